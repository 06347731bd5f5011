//! Queues, which are topics that all nodes consume from as one group.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use stompbox::broker::{Broker, KafkaBroker, Message, Outcome, Settle, Settlement, Turn};
use stompbox::testkit::Received;

use crate::engine::{Engine, url};
use crate::listener::{Listener, PATIENCE, publish, send, texts, unique};
use crate::node;

fn queue() -> String {
    format!("/queue/{}", unique("work"))
}

/// A node whose group no other test is in: those of a group wait for each other.
async fn node_of(group: &str) -> KafkaBroker {
    node(&format!("{}?topic={group}", url())).await
}

fn settle(node: &KafkaBroker, from: &Listener, received: &[Received], settlement: Settlement) {
    let settle = Settle {
        destination: from.destination.clone(),
        subscriber: from.id,
        tags: received.iter().map(|it| it.tag).collect(),
        settlement,
    };
    drop(node.settle(settle, &mut Turn::new(Instant::now())));
}

pub(crate) fn acknowledge(node: &KafkaBroker, consumer: &Listener, received: &[Received]) {
    settle(node, consumer, received, Settlement::Acknowledged);
}

/// What one of several clients sends.
fn send_as(node: &KafkaBroker, client: u64, queue: &str, body: &str) -> Outcome {
    let message = Message::builder(queue.parse().unwrap()).body(body);
    node.publish(message, &mut Turn::new(Instant::now()).with_publisher(client))
}

/// Acknowledges what comes until each of so many bodies has come. Returns all that came.
pub(crate) async fn work(node: &KafkaBroker, consumer: &Listener, bodies: usize) -> Vec<Received> {
    work_until(node, consumer, |came| came.len() >= bodies).await
}

/// Acknowledges what comes until these bodies are enough. Returns all that came.
pub(crate) async fn work_until(
    node: &KafkaBroker,
    consumer: &Listener,
    enough: impl Fn(&HashSet<String>) -> bool,
) -> Vec<Received> {
    let mut done = 0;
    loop {
        let more = |all: &[Received]| all.len() > done;
        let all = consumer.mailbox.wait_until(PATIENCE, more).await;
        let all = all.unwrap_or_else(|all| panic!("there came only {:?}", texts(&all)));
        acknowledge(node, consumer, &all[done..]);
        done = all.len();
        if enough(&texts(&all).into_iter().collect()) {
            return all;
        }
    }
}

/// Many clients send numbers to a queue until each of two nodes has been given its part of it. Returns
/// all that came from then on, which was acknowledged.
pub(crate) async fn work_at_both(
    nodes: &[KafkaBroker; 2],
    consumers: &[Listener; 2],
    queue: &str,
) -> Vec<Received> {
    const CLIENTS: u64 = 32;
    let begin = [0, 1].map(|node: usize| consumers[node].mailbox.received().len());
    let deadline = Instant::now() + PATIENCE;
    let mut done = begin;
    let mut known = HashSet::new();
    let mut arrived = Vec::new();
    // Some rounds at least.
    for round in 0.. {
        if round >= 20 && done.iter().zip(begin).all(|(count, begin)| *count > begin) {
            break;
        }
        let publish = |client| send_as(&nodes[0], client, queue, &format!("{client}-{round}"));
        for outcome in (0..CLIENTS).map(publish).collect::<Vec<_>>() {
            outcome.await.unwrap();
        }
        let sent = (round + 1) * usize::try_from(CLIENTS).unwrap();
        while known.len() < sent {
            assert!(Instant::now() < deadline, "there came {done:?} of {sent}");
            for ((node, consumer), done) in nodes.iter().zip(consumers).zip(&mut done) {
                let all = consumer.mailbox.received();
                for it in &all[*done..] {
                    let new = known.insert(it.text());
                    assert!(new || it.attempt > 1, "{} came twice and does not say so", it.text());
                }
                acknowledge(node, consumer, &all[*done..]);
                arrived.extend_from_slice(&all[*done..]);
                *done = all.len();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    arrived
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn a_queue_is_one_queue_on_two_nodes() {
    let (group, queue) = (unique("shared"), queue());
    let nodes = [node_of(&group).await, node_of(&group).await];
    let consumers = [
        Listener::consumer(&nodes[0], &queue, 5).await,
        Listener::consumer(&nodes[1], &queue, 5).await,
    ];
    let arrived = work_at_both(&nodes, &consumers, &queue).await;
    // What one client has sent came in its order, but for what came again: to whichever node had the
    // partition, which may have gone from either to the other.
    let mut last: HashMap<String, u64> = HashMap::new();
    for it in arrived {
        let text = it.text();
        let (client, number) = text.split_once('-').unwrap();
        let number = number.parse::<u64>().unwrap();
        let before = last.insert(client.to_owned(), number);
        assert!(it.attempt > 1 || before.is_none_or(|before| before < number), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn what_a_node_that_is_gone_had_comes_to_another_and_nothing_is_skipped() {
    let (group, queue) = (unique("gone"), queue());
    let (dies, lives) = (node_of(&group).await, node_of(&group).await);
    let first = Listener::consumer(&dies, &queue, 10).await;
    for number in 0..10 {
        publish(&lives, &queue, &number.to_string()).await.unwrap();
    }
    let received = first.mailbox.wait_for(10, PATIENCE).await.unwrap();
    assert!(received.iter().all(|it| it.attempt == 1));
    acknowledge(&dies, &first, &received[..3]);
    acknowledge(&dies, &first, &received[4..6]);
    drop(dies);
    publish(&lives, &queue, "new").await.unwrap();
    let second = Listener::consumer(&lives, &queue, 20).await;
    let all = work(&lives, &second, 8).await;
    assert_eq!(texts(&all), ["3", "4", "5", "6", "7", "8", "9", "new"]);
    assert!(all[..7].iter().all(|it| it.attempt > 1), "{all:?}");
    assert_eq!(all[7].attempt, 1, "it can have been delivered to nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs kafka"]
async fn what_was_confirmed_survives_a_crash_of_the_engine() {
    let engine = Engine::start("kafka-queue-crash");
    let node = node(&engine.url).await;
    let consumer = Listener::consumer(&node, "/queue/work", 10).await;
    for number in 0..100 {
        publish(&node, "/queue/work", &number.to_string()).await.unwrap();
    }
    let first = consumer.mailbox.wait_for(10, PATIENCE).await.unwrap();
    acknowledge(&node, &consumer, &first[..5]);
    tokio::task::block_in_place(|| {
        engine.kill();
        engine.start_again();
    });
    let all = work(&node, &consumer, 100).await;
    let mut known = HashSet::new();
    for it in all {
        let new = known.insert(it.text());
        assert!(new || it.attempt > 1, "{} came twice and does not say so", it.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs kafka"]
async fn an_engine_that_hangs_loses_nothing_of_a_queue() {
    let engine = Engine::start("kafka-queue-hang");
    let node = node(&engine.url).await;
    let consumer = Listener::consumer(&node, "/queue/work", 10).await;
    publish(&node, "/queue/work", "before").await.unwrap();
    consumer.until("before").await;
    engine.pause();
    let sent: Vec<_> =
        (0..50).map(|number: u32| send(&node, "/queue/work", &number.to_string())).collect();
    tokio::time::sleep(Duration::from_secs(10)).await;
    engine.resume();
    let mut confirmed = vec!["before".to_owned()];
    for (number, outcome) in sent.into_iter().enumerate() {
        let outcome = tokio::time::timeout(PATIENCE, outcome).await;
        if outcome.expect("it is complete in time").is_ok() {
            confirmed.push(number.to_string());
        }
    }
    // It is unavailable for a while after that, if what was on its way was given up.
    let deadline = Instant::now() + PATIENCE;
    while publish(&node, "/queue/work", "after").await.is_err() {
        assert!(Instant::now() < deadline, "nothing is confirmed any more");
    }
    confirmed.push("after".to_owned());
    // What was given up may have been done, too, and come before what was confirmed.
    work_until(&node, &consumer, |came| confirmed.iter().all(|it| came.contains(it))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn a_consumer_that_comes_back_at_once_is_served() {
    let node = node_of(&unique("back")).await;
    let queue = queue();
    for number in 0..5 {
        let consumer = Listener::consumer(&node, &queue, 10).await;
        publish(&node, &queue, &number.to_string()).await.unwrap();
        let received = consumer.until(&number.to_string()).await;
        assert_eq!(texts(&received), [number.to_string()]);
        acknowledge(&node, &consumer, &received);
        consumer.leave(&node);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn what_nobody_has_credit_for_waits_and_what_is_rejected_comes_first() {
    const MESSAGES: usize = 3_000;
    let node = node_of(&unique("credit")).await;
    let queue = queue();
    let consumer = Listener::consumer(&node, &queue, 2).await;
    let sent: Vec<_> = (0..MESSAGES).map(|it| send(&node, &queue, &it.to_string())).collect();
    for outcome in sent {
        outcome.await.unwrap();
    }
    let received = consumer.mailbox.wait_for(2, PATIENCE).await.unwrap();
    settle(&node, &consumer, &received[..1], Settlement::Rejected);
    let again = consumer.mailbox.wait_for(3, PATIENCE).await.unwrap();
    assert_eq!((again[2].text(), again[2].attempt), ("0".to_owned(), 2));
    acknowledge(&node, &consumer, &again[1..]);
    let mut done = 3;
    while done <= MESSAGES {
        let more = |all: &[Received]| all.len() > done;
        let all = consumer.mailbox.wait_until(PATIENCE, more).await.unwrap();
        assert!(all.len() <= done + 2, "it has more than it may");
        acknowledge(&node, &consumer, &all[done..]);
        done = all.len();
    }
    let mut expected: Vec<_> = (0..MESSAGES).map(|it| it.to_string()).collect();
    expected.insert(2, "0".to_owned());
    assert_eq!(texts(&consumer.mailbox.received()), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn a_queue_that_another_node_leaves_is_taken_over() {
    let (group, queue) = (unique("leave"), queue());
    let (one, other) = (node_of(&group).await, node_of(&group).await);
    let here = Listener::consumer(&one, &queue, 10).await;
    publish(&one, &queue, "0").await.unwrap();
    acknowledge(&one, &here, &here.until("0").await);
    let there = Listener::consumer(&other, &queue, 10).await;
    here.leave(&one);
    for client in 0..20 {
        send_as(&one, client, &queue, &format!("to {client}")).await.unwrap();
    }
    let all = work(&other, &there, 20).await;
    assert!(all.iter().all(|it| it.attempt == 1 && it.text() != "0"), "{:?}", texts(&all));
}
