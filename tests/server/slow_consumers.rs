//! A client that stops reading is dealt with as its destination's policy says; the others get
//! everything, and nothing grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stompbox::broker::{
    Broker, Capabilities, Destination, Host, MemoryBroker, Message, Operation, Outcome, Settle,
    SlowConsumer, Subscriber, SubscriberId, Turn,
};
use stompbox::frame::Command;
use stompbox::server::{Server, ServerBuilder, ServerSettings};
use stompbox::session::Limit;
use tokio::io::DuplexStream;

use super::heart_beats::embedded;
use super::peer::{Peer, listening};

/// What may wait for the subscriptions of these tests.
const BYTES: usize = 16 * 1024;

/// What the server may hold beside that: what is encoded for one write, which no policy drops.
const ENCODED: usize = 64 * 1024;

/// A server with this policy for all topics.
fn with_policy(action: &str) -> ServerBuilder {
    let rule = format!("/topic/**,slow={action},slow-bytes=16KiB,slow-time=5s");
    let broker = MemoryBroker::builder().rule(rule.parse().unwrap()).build();
    Server::builder().broker(broker)
}

/// As [`with_policy`], with a client that subscribes and then reads nothing.
async fn stopped(action: &str) -> (Server, Peer<DuplexStream>) {
    let (server, mut peer) = embedded(with_policy(action));
    peer.connect("").await;
    peer.subscribe("7", "/topic/a").await;
    (server, peer)
}

async fn publish(server: &Server, numbers: std::ops::Range<usize>) {
    for n in numbers {
        server.publisher().publish("/topic/a", format!("{n:01000}")).await.unwrap();
    }
}

/// The number of the next message, and whether some are missing before it.
async fn next(peer: &mut Peer<DuplexStream>) -> (usize, bool) {
    let frame = peer.frame().await;
    let number = String::from_utf8(frame.body().to_vec()).unwrap();
    let number = number.parse().unwrap_or_else(|_| panic!("{frame:?}"));
    (number, frame.header("gap").as_deref() == Some("true"))
}

#[tokio::test(start_paused = true)]
async fn the_oldest_are_dropped_and_the_latest_arrive_behind_a_gap() {
    let (server, mut peer) = stopped("drop-oldest").await;
    publish(&server, 0..10_000).await;
    let counters = server.counters();
    assert_eq!(counters.failed_writes, 1, "one write of the publisher found the socket full");
    assert!(counters.dropped_oldest > 9_900);
    assert!(server.waiting_bytes() <= BYTES + ENCODED, "{}", server.waiting_bytes());
    let mut last = next(&mut peer).await.0;
    let mut gaps = 0;
    assert_eq!(last, 0);
    while last < 9_999 {
        let (number, gap) = next(&mut peer).await;
        assert_eq!(gap, number > last + 1, "{number} after {last}");
        gaps += usize::from(gap);
        last = number;
    }
    assert!(gaps > 0);
    // It has caught up, and is written to directly again: so there is a second time.
    publish(&server, 0..1).await;
    assert_eq!(next(&mut peer).await, (0, false));
    assert_eq!(server.counters().failed_writes, 1);
    publish(&server, 0..100).await;
    assert_eq!(server.counters().failed_writes, 2);
}

#[tokio::test(start_paused = true)]
async fn the_newest_are_dropped() {
    let (server, mut peer) = stopped("drop-newest").await;
    publish(&server, 0..1_000).await;
    let dropped = usize::try_from(server.counters().dropped_newest).unwrap();
    assert!(dropped > 900 && server.waiting_bytes() <= BYTES + ENCODED);
    for n in 0..1_000 - dropped {
        assert_eq!(next(&mut peer).await, (n, false));
    }
    publish(&server, 0..1).await;
    assert_eq!(next(&mut peer).await, (0, true));
}

#[tokio::test(start_paused = true)]
async fn only_the_latest_of_each_key_is_kept() {
    let (server, mut peer) = stopped("latest:symbol").await;
    let fill = "x".repeat(4096);
    server.publisher().publish("/topic/a", fill.clone()).await.unwrap();
    let broker_message = |n: usize| {
        let message = Message::builder("/topic/a".parse().unwrap());
        message.header("symbol", (n % 3).to_string()).body(n.to_string())
    };
    for n in 0..3_000 {
        server.publisher().publish_message(broker_message(n)).await.unwrap();
    }
    assert_eq!(peer.message().await, fill);
    // What filled the socket behind the first goes before what was kept.
    let mut last = [0; 3];
    while last != [2_997, 2_998, 2_999] {
        let number: usize = peer.message().await.parse().unwrap();
        assert!(number == 0 || last[number % 3] < number);
        last[number % 3] = number;
    }
    assert_eq!(server.counters().superseded, 3_000 - 3);
    assert_eq!(server.counters().dropped_oldest, 0);
}

#[tokio::test(start_paused = true)]
async fn too_many_bytes_close_with_the_reason() {
    let (server, mut peer) = stopped("close").await;
    let mut other = embedded_in(&server).await;
    for n in 0..50 {
        publish(&server, n..n + 1).await;
        assert_eq!(next(&mut other).await, (n, false));
    }
    while !matches!(peer.frame().await.command(), Command::Error) {}
    assert_eq!(server.counters().exceeded(Limit::SlowConsumerBytes), 1);
    assert_eq!(peer.closed().await, 1008);
    assert_eq!(server.waiting_bytes(), 0);
}

/// Another client of the same server, which has subscribed.
async fn embedded_in(server: &Server) -> Peer<DuplexStream> {
    let (near, far) = tokio::io::duplex(4096);
    let accepted = stompbox::handshake::Upgrade::new().check(super::embedding::request()).unwrap();
    let server = server.clone();
    tokio::spawn(async move { server.serve_upgraded(near, accepted).await });
    let mut peer = Peer::over(far, true);
    peer.connect("").await;
    peer.subscribe("8", "/topic/a").await;
    peer
}

/// Nothing more is published, and the socket makes progress all the while: only the connection's own
/// timer can notice.
#[tokio::test(start_paused = true)]
async fn too_long_closes_though_nothing_more_comes() {
    let (server, mut peer) = stopped("close").await;
    // The socket takes three and a part of the fourth.
    publish(&server, 0..4).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(server.counters().failed_writes, 1);
    let started = tokio::time::Instant::now();
    publish(&server, 4..15).await;
    while server.counters().errors == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let waited = started.elapsed().as_millis();
    assert!((5_000..5_200).contains(&waited), "{waited}");
    assert_eq!(server.counters().exceeded(Limit::SlowConsumerTime), 1);
    let error = loop {
        let frame = peer.frame().await;
        if frame.command() == Command::Error {
            break frame;
        }
    };
    assert_eq!(error.header("message").as_deref(), Some("slow consumer"));
    assert_eq!(error.header("subscription").as_deref(), Some("7"));
    assert_eq!(
        error.body(),
        b"what waits for the subscription \"7\" has waited for 5000 ms; it reads, or settles, too slowly"
    );
    assert_eq!(peer.closed().await, 1008);
}

/// Counts who is resumed.
struct Resuming {
    memory: MemoryBroker,
    resumed: AtomicUsize,
}

impl Broker for Resuming {
    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.memory.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
        self.memory.publish(message, turn)
    }

    fn subscribe(&self, to: &Destination, subscriber: Subscriber, turn: &mut Turn) -> Outcome {
        self.memory.subscribe(to, subscriber, turn)
    }

    fn unsubscribe(&self, from: &Destination, id: SubscriberId, turn: &mut Turn) -> Outcome {
        self.memory.unsubscribe(from, id, turn)
    }

    fn resume(&self, destination: &Destination, id: SubscriberId, turn: &mut Turn) {
        assert_eq!(destination.as_str(), "/topic/a");
        self.resumed.fetch_add(1, Ordering::SeqCst);
        self.memory.resume(destination, id, turn);
    }

    fn settle(&self, settle: Settle, turn: &mut Turn) -> Outcome {
        self.memory.settle(settle, turn)
    }

    fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
        self.memory.commit(operations, turn)
    }

    fn slow_consumer(&self, destination: &Destination) -> Arc<SlowConsumer> {
        self.memory.slow_consumer(destination)
    }
}

#[tokio::test(start_paused = true)]
async fn who_holds_publishers_is_resumed_once_it_has_caught_up() {
    let rule = "/topic/**,slow=hold,slow-bytes=16KiB,slow-time=5s".parse().unwrap();
    let memory = MemoryBroker::builder().rule(rule).build();
    let broker = Arc::new(Resuming { memory, resumed: AtomicUsize::new(0) });
    let (server, mut peer) = embedded(Server::builder().shared_broker(broker.clone()));
    peer.connect("").await;
    peer.subscribe("7", "/topic/a").await;
    for n in 0..40 {
        let message = Message::builder("/topic/a".parse().unwrap()).body(format!("{n:01000}"));
        drop(broker.publish(message, &mut Turn::new(Instant::now())));
    }
    assert_eq!(server.counters().holds, 1);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(broker.resumed.load(Ordering::SeqCst), 0);
    for n in 0..40 {
        assert_eq!(next(&mut peer).await, (n, false), "nothing is dropped");
    }
    assert_eq!(broker.resumed.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_holds_publishers_for_too_long_is_closed() {
    let (server, peer) = stopped("hold").await;
    for n in 0..40 {
        drop(server.publisher().publish("/topic/a", format!("{n:01000}")));
    }
    let started = tokio::time::Instant::now();
    while server.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(started.elapsed() >= Duration::from_secs(5));
    assert_eq!(server.counters().exceeded(Limit::SlowConsumerTime), 1);
    drop(peer);
}

/// Over sockets: one of some stops reading, and the others get everything, in order.
async fn one_stops_reading(action: &str) -> (Server, Peer) {
    const READERS: usize = 20;
    const MESSAGES: usize = 400;
    let mut settings = ServerSettings::default();
    settings.linger = Duration::from_secs(3600);
    let (server, address) = listening(with_policy(action).settings(settings)).await;
    let mut stopped = Peer::connected(address).await;
    stopped.subscribe("7", "/topic/a").await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut peer = Peer::connected(address).await;
        peer.subscribe("0", "/topic/b").await;
        peer.subscribe("1", "/topic/a").await;
        readers.push(tokio::spawn(async move {
            for n in 0..MESSAGES {
                let message = peer.message().await;
                assert!(message.starts_with(&format!("{n} ")), "{n}");
                // The publisher goes at the speed of the readers.
                peer.send("SEND\ndestination:/topic/done\n\n").await;
            }
        }));
    }
    let mut done = Peer::connected(address).await;
    done.subscribe("0", "/topic/done").await;
    let body = "x".repeat(32 * 1024);
    for n in 0..MESSAGES {
        server.publisher().publish("/topic/a", format!("{n} {body}")).await.unwrap();
        for _ in 0..READERS {
            done.message().await;
        }
        assert!(server.waiting_bytes() < BYTES + 2 * (body.len() + ENCODED));
    }
    for reader in readers {
        reader.await.unwrap();
    }
    (server, stopped)
}

#[tokio::test]
async fn over_sockets_one_that_stops_reading_is_closed() {
    let (server, mut stopped) = one_stops_reading("close").await;
    let counters = server.counters();
    assert_eq!(counters.exceeded(Limit::SlowConsumerBytes), 1);
    assert_eq!(counters.failed_writes, 1);
    while stopped.frame().await.command() == Command::Message {}
}

#[tokio::test]
async fn over_sockets_one_that_stops_reading_misses_the_oldest() {
    let (server, _stopped) = one_stops_reading("drop-oldest").await;
    let counters = server.counters();
    assert!(counters.dropped_oldest > 0);
    assert_eq!((counters.errors, counters.failed_writes), (0, 1));
}
