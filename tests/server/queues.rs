//! Queues over real connections: what is read slowly is not lost.

use std::sync::Arc;
use std::time::Duration;

use stompbox::broker::MemoryBroker;
use stompbox::frame::Command;
use stompbox::server::Server;

use super::heart_beats::embedded;
use super::peer::{Peer, listening};

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
