//! Queues at a Redis that ends, and at one that hangs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stompbox::broker::{Broker, BrokerError, Message, Operation, Settlement, Turn};
use stompbox::testkit::Received;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::node::{Consumer, Node, PATIENCE, bodies, destination};

const QUEUE: &str = "/queue/work";

/// Publishes numbers on one node and acknowledges on two, while something happens to the engine.
/// Checks that all that was confirmed came, and that what came twice says so.
async fn under_load(name: &str, fault: impl FnOnce(&Engine) + Send) {
    let engine = Engine::start(name);
    let here = Arc::new(Node::start(&engine.url).await);
    let there = Arc::new(Node::start(&engine.url).await);
    let (one, other) = (here.consume(QUEUE, 10).await, there.consume(QUEUE, 10).await);
    let mailboxes = [Arc::clone(&one.mailbox), Arc::clone(&other.mailbox)];
    let mut workers = JoinSet::new();
    workers.spawn(work(Arc::clone(&here), one));
    workers.spawn(work(Arc::clone(&there), other));
    let (done, ended) = tokio::sync::oneshot::channel();
    let publishing = tokio::spawn(publish_until(ended, here));
    tokio::task::block_in_place(|| fault(&engine));
    done.send(()).expect("it publishes");
    let confirmed = publishing.await.expect("it publishes");
    assert!(confirmed.len() > 100, "{} were confirmed", confirmed.len());

    let deadline = Instant::now() + PATIENCE;
    let all = loop {
        let all = mailboxes.each_ref().map(|it| it.received()).concat();
        let came: HashSet<_> = bodies(&all).into_iter().collect();
        let missing: Vec<_> = confirmed.iter().filter(|it| !came.contains(*it)).collect();
        if missing.is_empty() {
            break all;
        }
        assert!(Instant::now() < deadline, "{missing:?} are missing");
        tokio::task::yield_now().await;
    };
    for mailbox in &mailboxes {
        let firsts = mailbox.received().into_iter().filter(|it| it.attempt == 1);
        let firsts: Vec<u64> = firsts.filter_map(|it| it.text().parse().ok()).collect();
        assert!(firsts.is_sorted(), "{firsts:?}");
    }
    let mut firsts = HashSet::new();
    for it in all.iter().filter(|it| it.attempt == 1) {
        assert!(firsts.insert(it.text()), "{} came twice and does not say so", it.text());
    }
    let again = all.iter().filter(|it| it.attempt > 1).count();
    println!("{name}: {} confirmed, {} came, {again} of them again", confirmed.len(), all.len());
}

/// Publishes numbers. Returns those that were confirmed.
async fn publish_until(
    mut ended: tokio::sync::oneshot::Receiver<()>,
    node: Arc<Node>,
) -> Vec<String> {
    let mut outcomes = Vec::new();
    while ended.try_recv().is_err() {
        let number = outcomes.len().to_string();
        outcomes.push((number.clone(), node.send(QUEUE, number)));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut confirmed = Vec::new();
    for (number, outcome) in outcomes {
        if node.answer(outcome).await.is_ok() {
            confirmed.push(number);
        }
    }
    confirmed
}

/// Acknowledges what comes.
async fn work(node: Arc<Node>, consumer: Consumer) {
    let mut done = 0;
    loop {
        let more = |all: &[Received]| all.len() > done;
        let all = consumer.mailbox.wait_until(Duration::MAX, more).await.unwrap_or_default();
        // What is refused comes again.
        drop(node.acknowledge(&consumer, all.get(done..).unwrap_or_default()));
        done = all.len();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn what_was_confirmed_survives_a_crash_of_the_engine() {
    under_load("queue-crash", |engine| {
        std::thread::sleep(Duration::from_millis(500));
        engine.kill();
        std::thread::sleep(Duration::from_secs(1));
        engine.start_again();
        std::thread::sleep(Duration::from_millis(500));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn an_engine_that_hangs_holds_up_nobody_for_ever() {
    under_load("queue-hang", |engine| {
        std::thread::sleep(Duration::from_millis(500));
        engine.pause();
        std::thread::sleep(Duration::from_secs(10));
        engine.resume();
        std::thread::sleep(Duration::from_millis(500));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn connections_that_are_cut_lose_nothing() {
    under_load("queue-cut", |engine| {
        let client = redis::Client::open(engine.url.as_str()).expect("a URL");
        let mut redis = client.get_connection().expect("a Redis");
        for kind in ["normal", "pubsub"].repeat(5) {
            std::thread::sleep(Duration::from_millis(300));
            let mut kill = redis::cmd("CLIENT");
            let kill = kill.arg("KILL").arg("TYPE").arg(kind);
            kill.query::<u64>(&mut redis).expect("they are cut");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn what_a_transaction_did_not_settle_comes_again() {
    let engine = Engine::start("queue-transaction");
    let node = Node::start(&engine.url).await;
    let consumer = node.consume(QUEUE, 2).await;
    for number in 0..2 {
        node.publish(QUEUE, number.to_string()).await;
    }
    let received = consumer.wait_for(2).await;
    engine.kill();
    let message = Message::builder(destination("/queue/done")).body("done");
    let operations = vec![
        Operation::Publish(message),
        Operation::Settle(consumer.settle(&received[..1], Settlement::Acknowledged)),
    ];
    let outcome = node.broker.commit(operations, &mut Turn::new(Instant::now()));
    let refused = node.answer(outcome).await;
    assert!(matches!(refused, Err(BrokerError::Unavailable { .. })), "{refused:?}");
    engine.start_again();
    let again = consumer.wait_for(3).await;
    assert_eq!((again[2].text(), again[2].attempt), ("0".to_owned(), 2));
    // What it had is its still, and was handed to nobody else.
    let outcome = node.acknowledge(&consumer, &again[1..]);
    node.answer(outcome).await.expect("acknowledged");
    let done = node.consume("/queue/done", 1).await;
    node.publish("/queue/done", "end").await;
    assert_eq!(bodies(&done.wait_for(1).await), ["end"]);
    node.publish(QUEUE, "2").await;
    assert_eq!(bodies(&consumer.wait_for(4).await), ["0", "1", "0", "2"]);
}

/// Who acknowledges, and may not have asked for a receipt, must not lose its session for that. Redis
/// is told when it is back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn what_is_settled_while_the_engine_hangs_is_settled_when_it_goes_on() {
    let engine = Engine::start("queue-settled");
    let node = Node::start(&engine.url).await;
    let consumer = node.consume(QUEUE, 2).await;
    for number in 0..2 {
        node.publish(QUEUE, number.to_string()).await;
    }
    let received = consumer.wait_for(2).await;
    engine.pause();
    let began = Instant::now();
    let acknowledged = node.acknowledge(&consumer, &received[..1]);
    let reject = consumer.settle(&received[1..], Settlement::Rejected);
    let rejected = node.broker.settle(reject, &mut Turn::new(began));
    node.answer(acknowledged).await.expect("noted");
    node.answer(rejected).await.expect("noted");
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(node.broker.outgoing_bytes() > 0, "they wait for Redis");
    engine.resume();
    let again = consumer.wait_for(3).await;
    assert_eq!((again[2].text(), again[2].attempt), ("1".to_owned(), 2));
    let outcome = node.acknowledge(&consumer, &again[2..]);
    node.answer(outcome).await.expect("acknowledged");
    node.unsubscribe(QUEUE, consumer.id).await;
    assert_eq!(node.broker.outgoing_bytes(), 0);
    let other = Node::start(&engine.url).await;
    let consumer = other.consume(QUEUE, 2).await;
    node.publish(QUEUE, "end").await;
    assert_eq!(bodies(&consumer.wait_for(1).await), ["end"], "nothing else is there");
}

/// The last consumer leaves while Redis is away: what it had is not kept from others by a node that
/// lives on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn what_is_left_while_the_engine_is_away_comes_to_others() {
    let engine = Engine::start("queue-left");
    let (one, other) = (Node::start(&engine.url).await, Node::start(&engine.url).await);
    let leaves = one.consume(QUEUE, 2).await;
    for number in 0..2 {
        one.publish(QUEUE, number.to_string()).await;
    }
    leaves.wait_for(2).await;
    engine.kill();
    one.unsubscribe(QUEUE, leaves.id).await;
    // Until it is noticed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    engine.start_again();
    let began = Instant::now();
    let stays = other.consume(QUEUE, 2).await;
    let received = stays.wait_for(2).await;
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    assert_eq!(bodies(&received), ["0", "1"]);
    assert!(received.iter().all(|it| it.attempt == 2), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn an_engine_that_is_full_refuses_messages_and_hands_out_those_it_has() {
    let engine = Engine::start("queue-full");
    let node = Node::start(&engine.url).await;
    let mut redis = crate::queues::redis(&engine.url).await;
    let mut limit = async |bytes: &str| {
        let mut set = redis::cmd("CONFIG");
        let set = set.arg("SET").arg("maxmemory").arg(bytes);
        set.query_async::<()>(&mut redis).await.expect("it is set");
    };
    let body = "x".repeat(10_000);
    for number in 0..100 {
        node.publish(QUEUE, format!("{number}{body}")).await;
    }
    limit("1mb").await;
    let refused = node.answer(node.send(QUEUE, "never")).await;
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    // A consumer that comes now is served, on a node that comes now too.
    let other = Node::start(&engine.url).await;
    let consumer = other.consume(QUEUE, 10).await;
    let mut done = 0;
    while done < 100 {
        let received = consumer.wait_for(done + 1).await;
        let outcome = other.acknowledge(&consumer, &received[done..]);
        other.answer(outcome).await.expect("acknowledged");
        done = received.len();
    }
    assert!(consumer.mailbox.received().iter().all(|it| it.attempt == 1));
    limit("100mb").await;
    node.publish(QUEUE, "again").await;
    assert_eq!(consumer.wait_for(101).await[100].text(), "again");
}

/// What docs/brokers.md says a node's user needs is enough.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn the_acl_of_the_documentation_is_enough() {
    let engine = Engine::start("queue-acl");
    let mut redis = crate::queues::redis(&engine.url).await;
    let documentation = include_str!("../../../../docs/brokers.md");
    let begins = documentation.find("`~stompbox:* allchannels").expect("it is there") + 1;
    let acl = documentation[begins..].split_once('`').expect("its end").0;
    let mut user = redis::cmd("ACL");
    for word in ["SETUSER", "node", "on", ">secret"].into_iter().chain(acl.split_whitespace()) {
        user.arg(word);
    }
    user.query_async::<()>(&mut redis).await.expect("a user");
    let url = engine.url.replace("//", "//node:secret@");
    let (dies, lives) = (Node::start(&url).await, Node::start(&url).await);
    let first = dies.consume(QUEUE, 1).await;
    dies.publish(QUEUE, "0").await;
    let received = first.wait_for(1).await;
    dies.reject(&first, &received).await;
    first.wait_for(2).await;
    let second = lives.consume(QUEUE, 1).await;
    drop(dies);
    let received = second.wait_for(1).await;
    assert_eq!(received[0].attempt, 3);
    let outcome = lives.acknowledge(&second, &received);
    lives.answer(outcome).await.expect("acknowledged");
    lives.publish("/topic/kept/a", "1").await;
    lives.unsubscribe(QUEUE, second.id).await;
    let mut exists = redis::cmd("EXISTS");
    let exists = exists.arg("stompbox:queue:/queue/work");
    while lives.broker.upstreams() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(exists.query_async::<u64>(&mut redis).await.expect("an answer"), 0);
    let mut log = redis::cmd("ACL");
    let denied: Vec<redis::Value> =
        log.arg("LOG").query_async(&mut redis).await.expect("what was denied");
    assert!(denied.is_empty(), "{denied:?}");
}
