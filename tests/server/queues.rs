//! Queues over real connections: what is read slowly is not lost.

use std::sync::Arc;
use std::time::Duration;

use stompbox::broker::MemoryBroker;
use stompbox::frame::{Command, Frame};
use stompbox::server::Server;

use super::heart_beats::embedded;
use super::peer::{Peer, TEXT, listening, masked};

/// DESIGN, decision 10: `auto` settles once the socket took the bytes; what was still ours is put
/// back.
#[tokio::test(start_paused = true)]
async fn a_queue_message_that_never_left_is_put_back() {
    let broker = Arc::new(MemoryBroker::new());
    let (server, mut peer) = embedded(Server::builder().shared_broker(broker.clone()));
    peer.connect("").await;
    peer.subscribe("0", "/queue/a").await;
    for _ in 0..10 {
        server.publisher().publish("/queue/a", "x".repeat(10 * 1024)).await.unwrap();
    }
    drop(peer);
    while server.connections() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let queued = broker.queued(&"/queue/a".parse().unwrap());
    assert!(queued >= 9, "{queued} of 10 are left, and the client had room for less than one");
}

/// A queue that holds more than may wait for one connection: whoever comes for it reads all of it.
/// DESIGN, decision 10: a queue passes over a consumer that is blocked; it never drops.
async fn a_backlog_reaches_its_consumer(ack: &str) {
    const MESSAGES: usize = 200;
    let broker = Arc::new(MemoryBroker::new());
    let (server, address) = listening(Server::builder().shared_broker(broker.clone())).await;
    for n in 0..MESSAGES {
        let body = format!("{n} {}", "x".repeat(20_000));
        server.publisher().publish("/queue/a", body).await.unwrap();
    }
    let mut peer = Peer::connected(address).await;
    peer.send(&format!("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:{ack}\nreceipt:1\n\n")).await;
    peer.expect_receipt("1").await;
    for n in 0..MESSAGES {
        let frame = peer.frame().await;
        assert_eq!(
            frame.command(),
            Command::Message,
            "after {n}, with {} left in the queue: {:?} {}",
            broker.queued(&"/queue/a".parse().unwrap()),
            frame.header("message"),
            String::from_utf8_lossy(frame.body())
        );
        assert!(frame.body().starts_with(format!("{n} ").as_bytes()));
        if let Some(id) = frame.header("ack") {
            peer.send(&format!("ACK\nid:{id}\n\n")).await;
        }
    }
}

#[tokio::test]
async fn a_backlog_reaches_its_consumer_in_mode_auto() {
    a_backlog_reaches_its_consumer("auto").await;
}

#[tokio::test]
async fn a_backlog_reaches_its_consumer_in_mode_client() {
    a_backlog_reaches_its_consumer("client").await;
}

const JOBS: &str = "/queue/jobs";

fn jobs() -> stompbox::broker::Destination {
    JOBS.parse().unwrap()
}

/// A broker with a rule.
fn broker(rule: &str) -> Arc<MemoryBroker> {
    Arc::new(MemoryBroker::builder().rule(rule.parse().unwrap()).build())
}

/// A peer that consumes the jobs, in mode `client-individual`.
async fn consumer(address: std::net::SocketAddr) -> Peer {
    let mut peer = Peer::connected(address).await;
    let subscribe = format!("SUBSCRIBE\nid:0\ndestination:{JOBS}\nack:client-individual\n\n");
    peer.send(&subscribe).await;
    peer
}

fn ack(message: &Frame) -> String {
    message.header("ack").unwrap().into_owned()
}

#[tokio::test]
async fn what_is_given_back_says_how_often_it_came_and_then_where_it_died() {
    let broker = broker("/queue/jobs,deliveries=3,dead-letter=/queue/dead");
    let (_server, address) = listening(Server::builder().shared_broker(broker)).await;
    let mut peer = consumer(address).await;
    let send = format!("SEND\ndestination:{JOBS}\nx-colour:blue\nexpiration:60000\n\nhard");
    peer.send(&send).await;
    for count in [None, Some("2")] {
        let message = peer.frame().await;
        assert_eq!(message.header("delivery-count").as_deref(), count);
        assert_eq!(message.header("redelivered").as_deref(), count.map(|_| "true"));
        peer.send(&format!("NACK\nid:{}\n\n", ack(&message))).await;
    }
    // The third time the consumer is lost.
    assert_eq!(peer.frame().await.header("delivery-count").as_deref(), Some("3"));
    drop(peer);
    let mut peer = Peer::connected(address).await;
    peer.subscribe("dead", "/queue/dead").await;
    let letter = peer.frame().await;
    assert_eq!(letter.body(), b"hard");
    for (name, value) in [
        ("destination", Some("/queue/dead")),
        ("dead-letter-from", Some(JOBS)),
        ("dead-letter-reason", Some("too many deliveries")),
        ("x-colour", Some("blue")),
        ("expiration", None),
        ("redelivered", None),
    ] {
        assert_eq!(letter.header(name).as_deref(), value, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_looks_for_what_has_expired() {
    let broker = broker("/queue/jobs,expiration=25s,dead-letter=/topic/dead");
    let (_server, mut peer) = embedded(Server::builder().shared_broker(broker.clone()));
    peer.connect("").await;
    peer.subscribe("dead", "/topic/dead").await;
    let start = tokio::time::Instant::now();
    for (body, expiration) in [("first", "10000"), ("second", "7200000")] {
        let send = format!("SEND\ndestination:{JOBS}\nexpiration:{expiration}\n\n{body}");
        peer.send(&send).await;
    }
    for (body, after) in [("first", 10), ("second", 25)] {
        assert_eq!(peer.message().await, body);
        // tokio's clock counts milliseconds.
        assert_eq!(start.elapsed().as_secs(), after);
    }
    assert_eq!((broker.counters().expired, broker.queues()), (2, 0));
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_by_an_error() {
    let (_server, address) =
        listening(Server::builder().shared_broker(broker("/queue/jobs,messages=1"))).await;
    let mut peer = Peer::connected(address).await;
    for body in ["1", "2"] {
        peer.send(&format!("SEND\ndestination:{JOBS}\nreceipt:{body}\n\n{body}")).await;
    }
    peer.expect_receipt("1").await;
    let error = peer.frame().await;
    assert_eq!(error.header("message").as_deref(), Some("destination full"));
    assert_eq!(error.header("receipt-id").as_deref(), Some("2"));
}

/// In one write, so that they come in one read.
async fn write_all(peer: &mut Peer, frames: &[String]) {
    let masked = |frame: &String| masked(0x80 | TEXT, format!("{frame}\0").as_bytes());
    peer.write(&frames.iter().flat_map(masked).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn acks_count_though_an_error_or_the_end_follows_in_the_same_read() {
    let broker = Arc::new(MemoryBroker::new());
    let (server, address) = listening(Server::builder().shared_broker(broker.clone())).await;
    for last in ["ACK\nid:0-4711\n\n", "NONSENSE\n\n", "DISCONNECT\n\n"] {
        let mut peer = consumer(address).await;
        let mut frames = Vec::new();
        for body in ["1", "2", "3"] {
            server.publisher().publish(JOBS, body).await.unwrap();
            frames.push(format!("ACK\nid:{}\n\n", ack(&peer.frame().await)));
        }
        frames.push(last.to_owned());
        write_all(&mut peer, &frames).await;
        drop(peer);
        while server.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(broker.queued(&jobs()), 0, "{last}");
    }
}

#[tokio::test]
async fn acks_keep_their_order_with_what_comes_between() {
    let broker = broker("/queue/jobs,messages=2");
    let (_server, address) = listening(Server::builder().shared_broker(broker.clone())).await;
    let mut peer = consumer(address).await;
    let send = |body: &str| format!("SEND\ndestination:{JOBS}\n\n{body}");
    write_all(&mut peer, &[send("1"), send("2")]).await;
    let (first, second) = (peer.frame().await, peer.frame().await);
    // Without the ACK before it the SEND would find the queue full.
    let ack_of = |message: &Frame| format!("ACK\nid:{}\n\n", ack(message));
    let frames = [ack_of(&first), send("3"), ack_of(&second), send("4")];
    write_all(&mut peer, &frames).await;
    assert_eq!((peer.message().await, peer.message().await), ("3".into(), "4".into()));
    assert_eq!(broker.counters().refused, 0);
}
