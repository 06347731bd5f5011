//! What one turn of a connection does, and that it goes on after it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use stompbox::app::App;
use stompbox::broker::{Broker, MemoryBroker, Turn};
use stompbox::server::{HandleError, Publisher, Server, ServerSettings};

use super::counting::{Counting, subscriber};
use super::heart_beats::embedded;
use super::peer::{Peer, TEXT, listening};

/// A lost wake-up: the messages of a COMMIT are as many as may be pending, so the connection stops
/// reading; they are handled at once, and nobody goes on.
#[tokio::test(start_paused = true)]
async fn what_follows_a_commit_of_many_handled_messages_is_still_done() {
    let app = App::new().message("/pub/x", async || {});
    let (_server, mut peer) = embedded(Server::builder().app(app));
    peer.connect("").await;
    let mut frames = String::from("BEGIN\ntransaction:t\n\n\0");
    for _ in 0..100 {
        frames.push_str("SEND\ndestination:/pub/x\ntransaction:t\n\n\0");
    }
    frames.push_str("COMMIT\ntransaction:t\nreceipt:commit\n\n\0");
    frames.push_str("SEND\ndestination:/pub/x\nreceipt:after\n\n\0");
    peer.send_bytes(TEXT, frames.as_bytes()).await;
    peer.expect_receipt("commit").await;
    peer.expect_receipt("after").await;
}

/// A lost wake-up: more is answered in one turn than may wait, so the connection stops reading; the
/// socket takes all of it at once, and nobody goes on.
#[tokio::test]
async fn a_client_that_reads_its_answers_is_read_from() {
    let mut settings = ServerSettings::default();
    settings.session.waiting_bytes = 64 * 1024;
    let (_server, address) = listening(Server::builder().settings(settings)).await;
    let mut peer = Peer::connected(address).await;
    let sends: String =
        (0..1_000).map(|n| format!("SEND\ndestination:/topic/a\nreceipt:{n:020}\n\n\0")).collect();
    for _ in 0..3 {
        peer.send_bytes(TEXT, sends.as_bytes()).await;
        for n in 0..1_000 {
            peer.expect_receipt(&format!("{n:020}")).await;
        }
    }
}

/// The same with the default settings, and a message as large as is allowed.
#[tokio::test]
async fn a_client_that_reads_its_answers_is_read_from_by_default() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    let sends: String =
        (0..12_000).map(|n| format!("SEND\ndestination:/topic/a\nreceipt:{n:030}\n\n\0")).collect();
    for _ in 0..3 {
        peer.send_bytes(TEXT, sends.as_bytes()).await;
        for n in 0..12_000 {
            peer.expect_receipt(&format!("{n:030}")).await;
        }
    }
}

/// HOTPATH, design F, 1: what one read brought is grouped by destination, also where handlers stand
/// between: the way of the chat.
#[tokio::test(start_paused = true)]
async fn what_handlers_publish_in_one_turn_is_combined() {
    let broker = Arc::new(MemoryBroker::new());
    let counting = Arc::new(Counting::default());
    let topic = "/topic/a".parse().unwrap();
    let mut turn = Turn::new(Instant::now());
    drop(broker.subscribe(&topic, subscriber(1 << 40, counting.clone()), &mut turn));
    drop(turn);
    let say = async |publisher: Publisher| -> Result<(), HandleError> {
        Ok(publisher.publish("/topic/a", "x").await?)
    };
    let app = App::new().message("/pub/x", say);
    let (_server, mut peer) = embedded(Server::builder().app(app).shared_broker(broker));
    peer.connect("").await;
    for destination in ["/topic/a", "/pub/x"] {
        counting.0.store(0, Ordering::SeqCst);
        let mut frames = format!("SEND\ndestination:{destination}\n\nx\0").repeat(40);
        frames.push_str("SEND\ndestination:/topic/b\nreceipt:1\n\n\0");
        peer.send_bytes(TEXT, frames.as_bytes()).await;
        peer.expect_receipt("1").await;
        let deliveries = counting.0.load(Ordering::SeqCst);
        assert!(deliveries < 8, "40 SENDs to {destination} in one read: {deliveries} deliveries");
    }
}
