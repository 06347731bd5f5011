//! Everybody gets everything, once and in order.

use std::sync::Arc;

use stompbox::broker::MemoryBroker;
use stompbox::server::Server;

use super::peer::{Peer, listening};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_gets_every_message_once_and_in_order() {
    const SUBSCRIBERS: usize = 50;
    const PUBLISHERS: usize = 4;
    const MESSAGES: usize = 250;
    let (_server, address) = listening(Server::builder()).await;
    let mut readers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut peer = Peer::connected(address).await;
        peer.subscribe("0", "/topic/a").await;
        readers.push(tokio::spawn(async move {
            let mut next = [0; PUBLISHERS];
            for _ in 0..PUBLISHERS * MESSAGES {
                let message = peer.message().await;
                let (publisher, number) = message.split_once(' ').unwrap();
                let expected = &mut next[publisher.parse::<usize>().unwrap()];
                assert_eq!(number.parse::<usize>().unwrap(), *expected);
                *expected += 1;
            }
            peer
        }));
    }
    for publisher in 0..PUBLISHERS {
        tokio::spawn(async move {
            let mut peer = Peer::connected(address).await;
            for n in 0..MESSAGES {
                peer.send(&format!("SEND\ndestination:/topic/a\n\n{publisher} {n}")).await;
            }
            peer.send("DISCONNECT\nreceipt:1\n\n").await;
            peer.expect_receipt("1").await;
        });
    }
    for reader in readers {
        // Nothing comes after the last one but the answer to this.
        let mut peer = reader.await.unwrap();
        peer.send("UNSUBSCRIBE\nid:0\nreceipt:end\n\n").await;
        peer.expect_receipt("end").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receipt_of_subscribe_comes_before_its_first_message() {
    let (server, address) = listening(Server::builder()).await;
    let publisher = server.publisher();
    let busy = tokio::spawn(async move {
        loop {
            publisher.publish("/topic/a", "x").await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let mut peer = Peer::connected(address).await;
    for n in 0..200 {
        // `subscribe` and this loop accept nothing but what is expected, in its order.
        peer.subscribe("0", "/topic/a").await;
        assert_eq!(peer.message().await, "x");
        peer.send(&format!("UNSUBSCRIBE\nid:0\nreceipt:{n}\n\n")).await;
        loop {
            let frame = peer.frame().await;
            if frame.header("receipt-id").as_deref() == Some(&n.to_string()) {
                break;
            }
        }
    }
    busy.abort();
}

#[tokio::test]
async fn a_room_gets_only_its_own_messages() {
    let broker = Arc::new(MemoryBroker::new());
    let (server, address) = listening(Server::builder().shared_broker(broker.clone())).await;
    let mut five = Peer::connected(address).await;
    five.subscribe("0", "/topic/room/5").await;
    let mut six = Peer::connected(address).await;
    six.subscribe("0", "/topic/room/6").await;
    let publisher = server.publisher();
    publisher.publish("/topic/room/5", "five").await.unwrap();
    publisher.publish("/topic/room/6", "six").await.unwrap();
    assert_eq!(five.message().await, "five");
    assert_eq!(six.message().await, "six");
    assert_eq!(broker.router().subscribers(&"/topic/room/5".parse().unwrap()), 1);
}

#[tokio::test]
async fn a_publisher_reports_what_cannot_be_published() {
    let publisher = Server::builder().build().publisher();
    let error = publisher.publish("no slash", "x").await.unwrap_err();
    assert_eq!(error.to_string(), "the destination \"no slash\" does not begin with /");
    let error = publisher.publish("/pub/x", "x").await.unwrap_err();
    assert!(error.to_string().contains("/topic, /queue"), "{error}");
}

#[cfg(feature = "serde")]
#[tokio::test]
async fn json_is_published_with_its_type() {
    let (server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.subscribe("0", "/topic/a").await;
    server.publisher().publish_json("/topic/a", &[1, 2]).await.unwrap();
    let frame = peer.frame().await;
    assert_eq!(frame.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(frame.body(), b"[1,2]");
}
