use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, Info};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use stompbox::broker::{BrokerError, BrokerOptions, NatsBroker};
use stompbox::testkit::Received;

use crate::engine::Engine;
use crate::listener::{Listener, PATIENCE, publish, send};
use crate::rooms::{kept_room, room};

/// Three servers that are one.
struct Cluster {
    engines: Vec<Engine>,
    url: String,
}

impl Cluster {
    /// The name tells its folders from those of other tests.
    fn start(name: &str) -> Self {
        let ports: Vec<_> = std::iter::repeat_with(|| TcpListener::bind("127.0.0.1:0").unwrap())
            .take(3)
            .map(|listener| (listener.local_addr().unwrap().port(), listener))
            .collect();
        let ports: Vec<_> = ports.into_iter().map(|(port, _)| port).collect();
        let routes: Vec<_> =
            ports.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        let engine = |(number, port): (usize, &u16)| {
            let configuration = format!(
                "server_name: s{number}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: {routes:?} }}"
            );
            Engine::start_with(&format!("{name}-{number}"), &configuration)
        };
        let engines: Vec<_> = ports.iter().enumerate().map(engine).collect();
        let hosts: Vec<_> =
            engines.iter().map(|engine| engine.url.trim_start_matches("nats://")).collect();
        let url = format!("nats://{}", hosts.join(","));
        Self { engines, url }
    }

    /// Connects a node, as soon as the servers have found each other.
    async fn node(&self) -> NatsBroker {
        self.node_at(&self.url).await
    }

    /// As [`node`](Self::node), to some of the servers.
    async fn node_at(&self, url: &str) -> NatsBroker {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rule = "/topic/kept/**,history=100000,history-bytes=64MiB".parse().unwrap();
            let options = BrokerOptions::default().rule(rule);
            match NatsBroker::connect(url, options).await {
                Ok(node) => return node,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Has a stream on all servers, which somebody has made beforehand. Returns the number of the one
    /// that leads it.
    async fn replicate(&self, name: &str, destination: &str) -> usize {
        // As a node makes it.
        let node = self.node().await;
        publish_at_last(&node, destination, "made").await;
        drop(node);
        let urls: Vec<_> = self.engines.iter().map(|engine| engine.url.clone()).collect();
        let context = jetstream::new(async_nats::connect(urls).await.unwrap());
        let made = context.get_stream(name).await.unwrap();
        let config = Config { num_replicas: 3, ..made.cached_info().config.clone() };
        context.delete_stream(name).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        // Not all servers may be there yet.
        while let Err(error) = context.create_stream(config.clone()).await {
            assert!(Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        loop {
            let stream = context.get_stream(name).await.unwrap();
            if let Some(leader) = leader_of_three(stream.cached_info()) {
                return leader;
            }
            assert!(Instant::now() < deadline, "{:?}", stream.cached_info());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn leader_of_three(info: &Info) -> Option<usize> {
    let cluster = info.cluster.as_ref()?;
    let complete = cluster.replicas.len() == 2 && cluster.replicas.iter().all(|it| it.current);
    cluster.leader.as_ref().filter(|_| complete)?.strip_prefix('s')?.parse().ok()
}

/// The one that leads the stream is killed, while two nodes publish and listen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn a_cluster_survives_the_crash_of_a_server() {
    let cluster = Cluster::start("cluster");
    let leader = cluster.replicate("stompbox-topics", &kept_room()).await;
    let (one, other) = (cluster.node().await, cluster.node().await);
    let room = kept_room();
    let listeners = [
        Listener::new(&one, &room).await,
        Listener::new(&other, &room).await,
        Listener::new(&other, "/topic/kept/*").await,
    ];
    publish(&one, &room, "begin").await.unwrap();
    let stop = AtomicBool::new(false);
    let load = async {
        let (mut number, mut confirmed) = (0_u64, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            let sent: Vec<_> = (number..number + 20)
                .map(|number| (number, send(&one, &room, &number.to_string())))
                .collect();
            number += 20;
            for (number, outcome) in sent {
                let outcome = tokio::time::timeout(PATIENCE, outcome).await.expect("in time");
                if outcome.is_ok() {
                    confirmed.push(number);
                }
            }
        }
        confirmed
    };
    let disturb = async {
        listeners[1].until("100").await;
        cluster.engines[leader].kill();
        let more = listeners[1].mailbox.count() + 200;
        listeners[1].mailbox.wait_for(more, PATIENCE).await.expect("it goes on");
        cluster.engines[leader].start_again();
        let more = listeners[1].mailbox.count() + 200;
        listeners[1].mailbox.wait_for(more, PATIENCE).await.expect("it goes on");
        stop.store(true, Ordering::Relaxed);
    };
    let (confirmed, ()) = tokio::join!(load, disturb);
    publish(&one, &room, "end").await.unwrap();
    for listener in &listeners {
        let received = listener.until("end").await;
        let numbers: Vec<u64> = received.iter().filter_map(|it| it.text().parse().ok()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{}", listener.destination);
        let missing: Vec<_> =
            confirmed.iter().filter(|it| numbers.binary_search(it).is_err()).collect();
        assert!(missing.is_empty(), "{}: {missing:?} are missing", listener.destination);
        let gaps: Vec<_> = received.iter().filter(|it| it.gap).map(Received::text).collect();
        assert!(gaps.is_empty(), "{}: a gap is said before {gaps:?}", listener.destination);
    }
}

/// Publishes numbers to a destination until it is told to stop, whatever becomes of them. Returns those
/// that were confirmed; all others were held for as long as they may be.
async fn steadily(
    node: &NatsBroker,
    to: &str,
    confirmed: &AtomicUsize,
    stop: &AtomicBool,
) -> Vec<u64> {
    let (mut number, mut waiting) = (0, FuturesUnordered::new());
    let (mut came, mut tick) = (Vec::new(), tokio::time::interval(Duration::from_millis(5)));
    while !stop.load(Ordering::Relaxed) || !waiting.is_empty() {
        tokio::select! {
            _ = tick.tick(), if !stop.load(Ordering::Relaxed) => {
                let (outcome, began) = (send(node, to, &number.to_string()), Instant::now());
                waiting.push(async move { (number, outcome.await, began.elapsed()) });
                number += 1;
            }
            Some((number, outcome, held)) = waiting.next() => match outcome {
                Ok(()) => {
                    came.push(number);
                    confirmed.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    let unavailable = BrokerError::Unavailable { engine: "NATS" };
                    assert_eq!(error, unavailable, "{to}: {number} after {held:?}");
                    assert!(held >= HELD, "{to}: {number} was held for {held:?}");
                }
            },
        }
    }
    came.sort_unstable();
    came
}

/// How long a SEND is held, while it cannot be taken.
const HELD: Duration = Duration::from_secs(10);

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
    let listeners = [Listener::new(&node, &topic).await, Listener::new(&node, &live).await];
    let (stop, counts) = (AtomicBool::new(false), [AtomicUsize::new(0), AtomicUsize::new(0)]);
    let more = async |count: usize| {
        let deadline = Instant::now() + PATIENCE;
        let now = counts.each_ref().map(|confirmed| confirmed.load(Ordering::Relaxed));
        let is_behind = |(count_of, then): (&AtomicUsize, usize)| {
            count_of.load(Ordering::Relaxed) < then + count
        };
        while counts.iter().zip(now).any(is_behind) {
            assert!(Instant::now() < deadline, "nothing is confirmed any more: {counts:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let disturb = async {
        more(200).await;
        cluster.engines[leader].kill();
        more(400).await;
        cluster.engines[leader].start_again();
        more(400).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (kept, queued, ()) = tokio::join!(
        steadily(&node, &topic, &counts[0], &stop),
        steadily(&node, &queue, &counts[1], &stop),
        disturb
    );
    publish(&node, &live, "end").await.unwrap();
    assert!(!listeners[1].until("end").await[0].gap, "the connection was given up");
    publish_at_last(&node, &topic, "end").await;
    publish_at_last(&node, &queue, "end").await;
    let consumer = Listener::consumer(&node, &queue, 100_000).await;
    for (listener, confirmed) in [(&listeners[0], kept), (&consumer, queued)] {
        let received = listener.until("end").await;
        let numbers: Vec<u64> = received.iter().filter_map(|it| it.text().parse().ok()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{}", listener.destination);
        let missing: Vec<_> =
            confirmed.iter().filter(|it| numbers.binary_search(it).is_err()).collect();
        assert!(missing.is_empty(), "{}: {missing:?} are missing", listener.destination);
    }
}

/// The one that hands out the messages of a queue is killed, and starts again. The node is connected to
/// another one, so that nobody tells it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn a_queue_survives_the_crash_of_a_server_elsewhere() {
    let cluster = Cluster::start("cluster-queue");
    let queue = kept_room().replace("/topic/", "/queue/");
    publish_at_last(&cluster.node().await, &queue, "0").await;
    let urls: Vec<_> = cluster.engines.iter().map(|engine| engine.url.clone()).collect();
    let context = jetstream::new(async_nats::connect(urls).await.unwrap());
    let stream = context.get_stream("stompbox-queues").await.unwrap();
    let leader = stream.cached_info().cluster.as_ref().and_then(|it| it.leader.clone());
    let leader: usize = leader.and_then(|name| name.strip_prefix('s')?.parse().ok()).unwrap();
    let elsewhere = &cluster.engines[(leader + 1) % 3].url;
    let node = NatsBroker::connect(elsewhere, BrokerOptions::default()).await.unwrap();
    let consumer = Listener::consumer(&node, &queue, 10).await;
    consumer.until("0").await;
    cluster.engines[leader].kill();
    cluster.engines[leader].start_again();
    publish_at_last(&node, &queue, "1").await;
    consumer.until("1").await;
}

/// As soon as the servers have agreed on who leads.
async fn publish_at_last(node: &NatsBroker, to: &str, body: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = publish(node, to, body).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
