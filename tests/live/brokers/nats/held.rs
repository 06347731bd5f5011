//! What JetStream does not take for the moment.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use stompbox::broker::{BrokerError, NatsBroker};

use crate::cluster::{Cluster, publish_at_last};
use crate::engine::Engine;
use crate::listener::{Listener, PATIENCE, publish, send, texts};
use crate::node;
use crate::rooms::{kept_room, room};

/// How long a SEND is held, while it cannot be taken.
const HELD: Duration = Duration::from_secs(10);

const UNAVAILABLE: BrokerError = BrokerError::Unavailable { engine: "NATS" };

/// A publisher that goes on whatever becomes of what it has published, until it is told to stop.
struct Publisher<'a> {
    node: &'a NatsBroker,
    to: &'a str,
    /// How many messages were confirmed.
    confirmed: AtomicUsize,
    stopped: AtomicBool,
}

impl<'a> Publisher<'a> {
    fn new(node: &'a NatsBroker, to: &'a str) -> Self {
        Self { node, to, confirmed: AtomicUsize::new(0), stopped: AtomicBool::new(false) }
    }

    /// Publishes numbers. Returns those that were confirmed, and how long each other one was held.
    async fn run(&self) -> (Vec<u64>, Vec<(u64, Duration)>) {
        let (mut number, mut waiting) = (0, FuturesUnordered::new());
        let (mut confirmed, mut refused) = (Vec::new(), Vec::new());
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while !self.stopped.load(Ordering::Relaxed) || !waiting.is_empty() {
            tokio::select! {
                _ = tick.tick(), if !self.stopped.load(Ordering::Relaxed) => for _ in 0..3 {
                    let began = Instant::now();
                    let outcome = send(self.node, self.to, &number.to_string());
                    waiting.push(async move { (number, outcome.await, began.elapsed()) });
                    number += 1;
                },
                Some((number, outcome, held)) = waiting.next() => match outcome {
                    Ok(()) => {
                        confirmed.push(number);
                        self.confirmed.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => {
                        assert_eq!(error, UNAVAILABLE, "{}: {number} after {held:?}", self.to);
                        refused.push((number, held));
                    }
                },
            }
        }
        confirmed.sort_unstable();
        (confirmed, refused)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Waits until so many more were confirmed.
    async fn more(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let enough = self.confirmed.load(Ordering::Relaxed) + count;
        while self.confirmed.load(Ordering::Relaxed) < enough {
            assert!(Instant::now() < deadline, "{}: nothing is confirmed any more", self.to);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// All that was confirmed came, in order and each once.
fn check(listener: &Listener, confirmed: &[u64]) {
    let came = texts(&listener.mailbox.received());
    let numbers: Vec<u64> = came.iter().filter_map(|body| body.parse().ok()).collect();
    let disorder = numbers.windows(2).find(|pair| pair[0] >= pair[1]);
    assert_eq!(disorder, None, "{}", listener.destination);
    let missing: Vec<_> =
        confirmed.iter().filter(|it| numbers.binary_search(it).is_err()).collect();
    assert!(missing.is_empty(), "{}: {missing:?} are missing", listener.destination);
}

/// The one that leads a stream is killed. The node is connected to the others, which go on: what is
/// published meanwhile is held until there is another one that leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn what_is_sent_while_nobody_leads_is_held() {
    let cluster = Cluster::start("cluster-held");
    let (topic, live) = (kept_room(), room());
    let queue = topic.replace("/topic/", "/queue/");
    cluster.replicate("stompbox-topics", &topic).await;
    let leader = cluster.replicate("stompbox-queues", &queue).await;
    let others = cluster.engines.iter().enumerate().filter(|(number, _)| *number != leader);
    let others: Vec<_> =
        others.map(|(_, engine)| engine.url.trim_start_matches("nats://")).collect();
    let node = cluster.node_at(&format!("nats://{}", others.join(","))).await;
    let kept = Listener::new(&node, &topic).await;
    let other = Listener::new(&node, &live).await;
    let publishers = [Publisher::new(&node, &topic), Publisher::new(&node, &queue)];
    let more = async |count| tokio::join!(publishers[0].more(count), publishers[1].more(count));
    let disturb = async {
        more(500).await;
        cluster.engines[leader].kill();
        more(2_000).await;
        cluster.engines[leader].start_again();
        more(1_000).await;
        publishers.iter().for_each(Publisher::stop);
    };
    let (to_topic, to_queue, ()) = tokio::join!(publishers[0].run(), publishers[1].run(), disturb);
    publish(&node, &live, "end").await.unwrap();
    // After that long another server is tried.
    let too_long = !(to_topic.1.is_empty() && to_queue.1.is_empty());
    assert!(too_long || !other.until("end").await[0].gap, "the connection was given up");
    publish_at_last(&node, &topic, "end").await;
    publish_at_last(&node, &queue, "end").await;
    let queued = Listener::consumer(&node, &queue, 100_000).await;
    for (listener, (confirmed, refused)) in [(kept, to_topic), (queued, to_queue)] {
        listener.until("end").await;
        check(&listener, &confirmed);
        let early: Vec<_> = refused.iter().filter(|(_, held)| *held < HELD).collect();
        assert!(early.is_empty(), "{}: not held: {early:?}", listener.destination);
    }
}

/// Those that lead step down, again and again. What was on its way to one then may be lost, and what
/// was behind it not: it may be refused, but does not come later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn what_is_sent_while_another_one_takes_over_stays_in_order() {
    let cluster = Cluster::start("cluster-step");
    let topic = kept_room();
    let queue = topic.replace("/topic/", "/queue/");
    cluster.replicate("stompbox-topics", &topic).await;
    cluster.replicate("stompbox-queues", &queue).await;
    let (node, client) = (cluster.node().await, cluster.client().await);
    let kept = Listener::new(&node, &topic).await;
    let publishers = [Publisher::new(&node, &topic), Publisher::new(&node, &queue)];
    let more = async |count| tokio::join!(publishers[0].more(count), publishers[1].more(count));
    let disturb = async {
        for _ in 0..8 {
            more(200).await;
            for stream in ["stompbox-topics", "stompbox-queues"] {
                let request = format!("$JS.API.STREAM.LEADER.STEPDOWN.{stream}");
                drop(client.request(request, "".into()).await);
            }
        }
        more(200).await;
        publishers.iter().for_each(Publisher::stop);
    };
    let (to_topic, to_queue, ()) = tokio::join!(publishers[0].run(), publishers[1].run(), disturb);
    publish_at_last(&node, &topic, "end").await;
    publish_at_last(&node, &queue, "end").await;
    let queued = Listener::consumer(&node, &queue, 100_000).await;
    for (listener, (confirmed, _)) in [(kept, to_topic), (queued, to_queue)] {
        listener.until("end").await;
        check(&listener, &confirmed);
    }
}

/// As soon as there is room again, what waits for it is taken, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn what_there_is_no_room_for_is_held() {
    let engine = Engine::start_with("full", "jetstream { max_file_store: 1MB }");
    let (node, queue) = (node(&engine.url).await, room().replace("/topic/", "/queue/"));
    let large = "x".repeat(100_000);
    let mut taken = 0;
    let waits = loop {
        let outcome = send(&node, &queue, &large);
        match tokio::time::timeout(Duration::from_secs(2), outcome).await {
            Ok(outcome) => outcome.unwrap(),
            Err(_) => break taken,
        }
        taken += 1;
        assert!(taken < 100, "there is room for all");
    };
    let held: Vec<_> = ["one", "two"].map(|body| send(&node, &queue, body)).into();
    let context = jetstream::new(async_nats::connect(&engine.url).await.unwrap());
    let stream = context.get_stream("stompbox-queues").await.unwrap();
    stream.purge().await.unwrap();
    for outcome in held {
        outcome.await.unwrap();
    }
    let consumer = Listener::consumer(&node, &queue, 10).await;
    let came = texts(&consumer.until("two").await);
    assert_eq!(came[came.len() - 2..], ["one", "two"], "after {waits}");
}
