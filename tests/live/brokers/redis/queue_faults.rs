//! Queues at a Redis that ends, and at one that hangs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stompbox::broker::{Broker, BrokerError, Message, Operation, Settlement, Turn};
use stompbox::testkit::Received;

use crate::engine::Engine;
use crate::node::{Consumer, Node, PATIENCE, bodies, destination};

const QUEUE: &str = "/queue/work";

/// Publishes numbers on one node and acknowledges on two, while something happens to the engine.
/// Checks that all that was confirmed came, and that what came twice says so.
async fn under_load(name: &str, fault: impl FnOnce(&Engine) + Send) {
    let engine = Engine::start(name);
    let nodes = [Node::start(&engine.url).await, Node::start(&engine.url).await].map(Arc::new);
    let mut workers = Vec::new();
    for node in &nodes {
        let consumer = node.consume(QUEUE, 10).await;
        workers.push(tokio::spawn(work(Arc::clone(node), consumer)));
    }
    let (done, mut ended) = tokio::sync::oneshot::channel::<()>();
    let sender = Arc::clone(&nodes[0]);
    let publishing = tokio::spawn(async move {
        let (mut number, mut outcomes) = (0, Vec::new());
        while ended.try_recv().is_err() {
            outcomes.push((number, sender.send(QUEUE, number.to_string())));
            number += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut confirmed = Vec::new();
        for (number, outcome) in outcomes {
            if sender.answer(outcome).await.is_ok() {
                confirmed.push(number.to_string());
            }
        }
        confirmed
    });
    tokio::task::block_in_place(|| fault(&engine));
    done.send(()).expect("it publishes");
    let confirmed = publishing.await.expect("it publishes");
    assert!(confirmed.len() > 100, "{} were confirmed", confirmed.len());
    // Each of the workers ends with one of these.
    for _ in &workers {
        nodes[0].publish(QUEUE, "end").await;
    }
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.expect("it works"));
    }
    let came: HashSet<_> = bodies(&all).into_iter().collect();
    let missing: Vec<_> = confirmed.iter().filter(|it| !came.contains(*it)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing");
    let mut firsts = HashSet::new();
    for it in all.iter().filter(|it| it.attempt == 1 && it.text() != "end") {
        assert!(firsts.insert(it.text()), "{} came twice and does not say so", it.text());
    }
    let again = all.iter().filter(|it| it.attempt > 1).count();
    println!("{} confirmed, {} came, {again} of them again", confirmed.len(), all.len());
    assert_eq!(nodes[0].broker.outgoing_bytes(), 0, "nothing stays");
}

/// Acknowledges what comes until the end. Returns all that came.
async fn work(node: Arc<Node>, consumer: Consumer) -> Vec<Received> {
    let (mut done, mut outcomes) = (0, Vec::new());
    loop {
        let all = consumer.wait_for(done + 1).await;
        let ended = all[done..].iter().any(|it| it.text() == "end");
        outcomes.push(node.acknowledge(&consumer, &all[done..]));
        done = all.len();
        if ended {
            // Those that are refused come again.
            for outcome in outcomes {
                drop(node.answer(outcome).await);
            }
            node.unsubscribe(QUEUE, consumer.id).await;
            return consumer.mailbox.received();
        }
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
        Operation::Settle(Node::settle(&consumer, &received[..1], Settlement::Acknowledged)),
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
