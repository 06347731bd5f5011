//! A RabbitMQ that ends, and one that hangs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use stompbox::broker::BrokerError;
use stompbox::testkit::{Mailbox, Received};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::node::{Node, PATIENCE, bodies, until};
use crate::proxy::Proxy;

const TOPIC: &str = "/topic/room/1";
const QUEUE: &str = "/queue/work";

/// Two nodes: one publishes, on the other one somebody consumes and listens.
struct Nodes {
    engine: Engine,
    here: Arc<Node>,
    queue: Arc<Mailbox>,
    topic: Arc<Mailbox>,
    by_pattern: Arc<Mailbox>,
    _there: Node,
}

impl Nodes {
    async fn new(name: &str) -> Self {
        let engine = Engine::start(name);
        let here = Arc::new(Node::start(&engine.url).await);
        let there = Node::start(&engine.url).await;
        let [queue, topic, by_pattern] = [Mailbox::new(), Mailbox::new(), Mailbox::new()];
        there.subscribe(QUEUE, &queue).await;
        there.subscribe(TOPIC, &topic).await;
        there.subscribe("/topic/room/*", &by_pattern).await;
        Self { engine, here, queue, topic, by_pattern, _there: there }
    }

    /// Publishes numbers to both until `act` is done. Returns those that the queue has confirmed.
    async fn publish_during(&self, act: impl FnOnce(&Engine) + Send) -> BTreeSet<u64> {
        let (done, mut ended) = tokio::sync::oneshot::channel::<()>();
        let here = Arc::clone(&self.here);
        let publishing = tokio::spawn(async move {
            let (mut number, mut outcomes) = (0, Vec::new());
            while ended.try_recv().is_err() {
                outcomes.push((number, here.send(QUEUE, number.to_string())));
                drop(here.send(TOPIC, number.to_string()));
                number += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let mut confirmed = BTreeSet::new();
            for (number, outcome) in outcomes {
                if here.answer(outcome).await.is_ok() {
                    confirmed.insert(number);
                }
            }
            confirmed
        });
        tokio::task::block_in_place(|| act(&self.engine));
        done.send(()).expect("it publishes");
        publishing.await.expect("it publishes")
    }

    /// What the queue has confirmed is there, and marked where it comes twice.
    async fn check_queue(&self, confirmed: &BTreeSet<u64>) {
        assert!(confirmed.len() > 100, "{} were confirmed", confirmed.len());
        self.here.publish(QUEUE, "end").await;
        let came = until(&self.queue, "end").await;
        let mut seen = BTreeSet::new();
        for message in &came {
            if let Ok(number) = message.text().parse::<u64>() {
                assert!(
                    seen.insert(number) || message.attempt > 1,
                    "{number} comes again unmarked"
                );
            }
        }
        let missing: Vec<_> = confirmed.difference(&seen).collect();
        assert!(missing.is_empty(), "{missing:?} are missing");
    }

    /// The topic goes on in its order.
    async fn check_topic(&self, gaps: usize) {
        self.here.publish(TOPIC, "end").await;
        for mailbox in [&self.topic, &self.by_pattern] {
            let came = until(mailbox, "end").await;
            // What is sent again after a loss goes back in the order, and then on in it.
            let firsts = first_times(&came);
            assert!(firsts.is_sorted(), "{:?}", bodies(&came));
            assert_eq!(came.iter().filter(|it| it.gap).count(), gaps, "{:?}", bodies(&came));
        }
    }
}

/// The numbers, each when it came first.
fn first_times(received: &[Received]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    let numbers = received.iter().filter_map(|it| it.text().parse().ok());
    numbers.filter(|number| seen.insert(*number)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn what_was_confirmed_survives_a_crash_of_the_engine() {
    let nodes = Nodes::new("crash").await;
    let confirmed = nodes
        .publish_during(|engine| {
            std::thread::sleep(Duration::from_secs(1));
            engine.kill();
            engine.start_again();
            std::thread::sleep(Duration::from_secs(1));
        })
        .await;
    nodes.check_queue(&confirmed).await;
    nodes.check_topic(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn an_engine_that_hangs_holds_up_nobody_for_ever() {
    let nodes = Nodes::new("hang").await;
    let confirmed = nodes
        .publish_during(|engine| {
            std::thread::sleep(Duration::from_secs(1));
            engine.pause();
            std::thread::sleep(Duration::from_secs(10));
            engine.resume();
            std::thread::sleep(Duration::from_secs(1));
        })
        .await;
    nodes.check_queue(&confirmed).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn what_an_engine_does_not_take_in_time_is_refused() {
    let engine = Engine::start("away");
    let node = Node::start(&engine.url).await;
    engine.kill();
    let refused = node.answer(node.send(QUEUE, "never")).await;
    assert!(refused.is_err(), "{refused:?}");
    engine.start_again();
    let mailbox = Mailbox::new();
    node.subscribe(TOPIC, &mailbox).await;
    node.publish(TOPIC, "again").await;
    assert_eq!(bodies(&until(&mailbox, "again").await), ["again"]);
}

/// It is out of memory, so it says, and reads nothing from who publishes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn what_an_engine_does_not_confirm_is_refused_in_time() {
    let engine = Engine::start("full");
    let node = Node::start(&engine.url).await;
    let mailbox = Mailbox::new();
    node.subscribe(TOPIC, &mailbox).await;
    node.publish(TOPIC, "before").await;
    tokio::task::block_in_place(|| engine.ctl(&["set_vm_memory_high_watermark", "0.0001"]));
    until_nobody_may_publish(&engine).await;
    let mut never = vec![node.send(QUEUE, "never")];
    // As many as there is room for, the first of them on its way already.
    loop {
        let mut outcome = node.send(QUEUE, vec![0; 8 << 20]);
        if outcome.take_ready().is_some() {
            break;
        }
        never.push(outcome);
    }
    assert!(never.len() > 5, "{} are taken", never.len());
    for outcome in never {
        let refused = node.answer(outcome).await;
        assert!(matches!(refused, Err(BrokerError::Unavailable { .. })), "{refused:?}");
    }
    assert_eq!(node.broker.outgoing_bytes(), 0);
    assert!(node.send(QUEUE, "never").take_ready().is_none(), "there is room");
    tokio::task::block_in_place(|| engine.ctl(&["set_vm_memory_high_watermark", "0.6"]));
    node.publish(TOPIC, "after").await;
    let came = until(&mailbox, "after").await;
    assert_eq!(bodies(&came), ["before", "after"]);
    assert!(!came.iter().any(|it| it.gap), "the connection was lost");
}

/// What it says is late: the node is about to send another message by then, which is not taken.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn what_an_engine_confirms_is_told_while_nobody_may_publish() {
    let engine = Engine::start("confirms");
    let proxy = Proxy::start(&engine.url).await;
    // It hears nothing for a while.
    let node = Node::start(&format!("{}?heartbeat=60", proxy.url)).await;
    node.publish(QUEUE, "before").await;
    proxy.hold();
    let confirmed = node.send(QUEUE, "confirmed");
    until_messages(&engine, 2).await;
    tokio::task::block_in_place(|| engine.ctl(&["set_vm_memory_high_watermark", "0.0001"]));
    until_nobody_may_publish(&engine).await;
    // More than all sockets on the way take.
    let asked = proxy.asked();
    let mut waits = node.send(TOPIC, vec![0; 40 << 20]);
    proxy.until_asked(asked + (1 << 16)).await;
    proxy.release();
    node.answer(confirmed).await.expect("confirmed");
    assert!(waits.take_ready().is_none(), "nobody may publish");
    tokio::task::block_in_place(|| engine.ctl(&["set_vm_memory_high_watermark", "0.6"]));
    // It may have been given up by now.
    drop(node.answer(waits).await);
    node.publish(TOPIC, "after").await;
}

async fn connect(engine: &Engine) -> lapin::Connection {
    lapin::Connection::connect(&engine.url, <_>::default()).await.expect("a RabbitMQ")
}

/// Waits until an engine reads no more from who publishes.
async fn until_nobody_may_publish(engine: &Engine) {
    let admin = connect(engine).await;
    let channel = admin.create_channel().await.expect("a channel");
    let told = async {
        while !admin.status().blocked() {
            let sent =
                channel.basic_publish("".into(), "".into(), <_>::default(), b"", <_>::default());
            drop(timeout(Duration::from_millis(100), sent).await);
        }
    };
    timeout(PATIENCE, told).await.expect("it says so");
}

/// Waits until there are so many messages in the queue.
async fn until_messages(engine: &Engine, count: u32) {
    let admin = connect(engine).await;
    let channel = admin.create_channel().await.expect("a channel");
    let passive = QueueDeclareOptions { passive: true, ..<_>::default() };
    let there = async {
        loop {
            let found = channel.queue_declare("work".into(), passive, <_>::default()).await;
            if found.expect("the queue is there").message_count() >= count {
                break;
            }
        }
    };
    timeout(PATIENCE, there).await.expect("they are there");
}

/// What it is full of is taken out all the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn who_consumes_goes_on_while_nobody_may_publish() {
    let engine = Engine::start("drained");
    let node = Node::start(&engine.url).await;
    for number in 0..20 {
        node.publish(QUEUE, number.to_string()).await;
    }
    tokio::task::block_in_place(|| engine.ctl(&["set_vm_memory_high_watermark", "0.0001"]));
    drop(node.send(TOPIC, "never"));
    let (here, left) = (Mailbox::new(), node.consume(QUEUE, 1).await);
    for count in 1..=20 {
        let received = left.wait_for(count).await;
        node.answer(node.acknowledge(&left, &received[count - 1..])).await.expect("acknowledged");
    }
    // Topics begin and end, too.
    for _ in 0..2 {
        let id = node.subscribe(TOPIC, &here).await;
        node.unsubscribe(TOPIC, id).await;
    }
}
