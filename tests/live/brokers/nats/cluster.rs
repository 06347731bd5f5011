use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, Info};
use stompbox::broker::{BrokerOptions, NatsBroker};
use stompbox::testkit::Received;

use crate::engine::Engine;
use crate::listener::{Listener, PATIENCE, publish, send};
use crate::rooms::kept_room;

/// Three servers that are one.
pub(crate) struct Cluster {
    pub(crate) engines: Vec<Engine>,
    pub(crate) url: String,
}

impl Cluster {
    /// The name tells its folders from those of other tests.
    pub(crate) fn start(name: &str) -> Self {
        let listeners: Vec<_> = std::iter::repeat_with(listen).take(3).collect();
        let port = |listener: TcpListener| listener.local_addr().unwrap().port();
        let ports: Vec<_> = listeners.into_iter().map(port).collect();
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
    pub(crate) async fn node(&self) -> NatsBroker {
        self.node_at(&self.url).await
    }

    /// As [`node`](Self::node), to some of the servers.
    pub(crate) async fn node_at(&self, url: &str) -> NatsBroker {
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

    pub(crate) async fn client(&self) -> async_nats::Client {
        let urls: Vec<_> = self.engines.iter().map(|engine| engine.url.clone()).collect();
        async_nats::connect(urls).await.unwrap()
    }

    /// Has a stream on all servers, which somebody has made beforehand. Returns the number of the one
    /// that leads it.
    pub(crate) async fn replicate(&self, name: &str, destination: &str) -> usize {
        // As a node makes it.
        let node = self.node().await;
        publish_at_last(&node, destination, "made").await;
        drop(node);
        let context = jetstream::new(self.client().await);
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

/// On a port that nobody has, below those that the system gives to whoever connects.
fn listen() -> TcpListener {
    loop {
        let port = 10_000 + RandomState::new().hash_one(0) % 22_768;
        if let Ok(listener) = TcpListener::bind(format!("127.0.0.1:{port}")) {
            return listener;
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

/// The one that hands out the messages of a queue is killed, and starts again. The node is connected to
/// another one, so that nobody tells it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn a_queue_survives_the_crash_of_a_server_elsewhere() {
    let cluster = Cluster::start("cluster-queue");
    let queue = kept_room().replace("/topic/", "/queue/");
    publish_at_last(&cluster.node().await, &queue, "0").await;
    let context = jetstream::new(cluster.client().await);
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
pub(crate) async fn publish_at_last(node: &NatsBroker, to: &str, body: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = publish(node, to, body).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
