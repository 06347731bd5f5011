//! Clients that misbehave get their error and a close; the others notice nothing.

use std::sync::Arc;
use std::time::Duration;

use stompbox::broker::MemoryBroker;
use stompbox::server::{Server, ServerSettings};
use stompbox::session::Limit;
use tokio::io::AsyncWriteExt;

use super::peer::{Peer, TEXT, listening};

#[tokio::test]
async fn garbage_is_answered_with_an_error() {
    let (server, address) = listening(Server::builder()).await;
    let tcp = server.listen_tcp("127.0.0.1:0").await.unwrap();

    let mut peer = Peer::web_socket(address).await;
    peer.send_bytes(TEXT, b"GARBAGE GARBAGE GARBAGE\n\n\0").await;
    assert_eq!(peer.error().await.0, "malformed frame");
    assert_eq!(peer.closed().await, 1002);

    let mut peer = Peer::tcp(tcp).await;
    peer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 no STOMP at all").await;
    assert_eq!(peer.error().await.0, "malformed frame");
    peer.ended().await;
}

#[tokio::test]
async fn anything_before_connect_is_an_error() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::web_socket(address).await;
    peer.send("SEND\ndestination:/topic/a\n\nhello").await;
    assert_eq!(peer.error().await.0, "not connected");
    assert_eq!(peer.closed().await, 1002);
}

#[tokio::test]
async fn a_header_without_an_end_is_refused_at_the_limit() {
    let (server, address) = listening(Server::builder()).await;
    let tcp = server.listen_tcp("127.0.0.1:0").await.unwrap();
    let mut bystander = Peer::connected(address).await;
    bystander.subscribe("0", "/topic/a").await;

    let mut peer = Peer::tcp(tcp).await;
    peer.write(b"CONNECT\nx:").await;
    // Four times what is discarded after the error: the write ends when the server has had enough.
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..4 * (ServerSettings::default().linger_bytes / piece.len()) {
        if peer.io().write_all(&piece).await.is_err() {
            break;
        }
    }
    let mut peer = Peer::web_socket(address).await;
    peer.send_bytes(TEXT, &[b"CONNECT\nx:", &piece[..]].concat()).await;
    assert_eq!(peer.error().await.0, "frame too large");
    assert_eq!(peer.closed().await, 1009);

    bystander.send("SEND\ndestination:/topic/a\n\nstill here").await;
    assert_eq!(bystander.message().await, "still here");
}

#[tokio::test]
async fn a_content_length_without_end_is_refused() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.send_bytes(TEXT, b"SEND\ndestination:/a\ncontent-length:18446744073709551615\n\n").await;
    assert_eq!(peer.error().await.0, "frame too large");
    assert_eq!(peer.closed().await, 1009);
}

#[tokio::test]
async fn a_message_before_connect_has_a_tighter_limit_and_both_are_counted() {
    let (server, address) = listening(Server::builder()).await;
    let body = "x".repeat(500_000);
    let mut early = Peer::web_socket(address).await;
    early.send_bytes(TEXT, format!("CONNECT\n\n{body}\0").as_bytes()).await;
    assert_eq!(early.error().await.0, "WebSocket error");
    assert_eq!(early.closed().await, 1009);

    let mut known = Peer::connected(address).await;
    known.subscribe("0", "/topic/a").await;
    known.send(&format!("SEND\ndestination:/topic/a\n\n{body}")).await;
    assert_eq!(known.message().await, body);
    known.send(&format!("SEND\ndestination:/topic/a\n{}\n", "x:y\n".repeat(200))).await;
    assert_eq!(known.error().await.0, "frame too large");

    let counters = server.counters();
    assert_eq!(counters.exceeded(Limit::Message), 1);
    assert_eq!(counters.exceeded(Limit::FrameHeaders), 1);
    assert_eq!(counters.exceeded(Limit::FrameBody), 0);
    assert_eq!((counters.errors, counters.messages), (2, 1));
    drop((early, known));
    while server.connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.counters(), counters, "connections that have ended count on, and once");
}

#[tokio::test]
async fn a_reader_that_stops_is_closed_and_delays_nobody() {
    const MESSAGES: usize = 2_000;
    let mut settings = ServerSettings::default();
    settings.linger = Duration::from_millis(100);
    let (server, address) = listening(Server::builder().settings(settings)).await;
    let mut reader = Peer::connected(address).await;
    reader.subscribe("0", "/topic/a").await;
    let mut stopped = Peer::connected(address).await;
    stopped.subscribe("0", "/topic/a").await;

    // Far more than the socket's buffers and the limit of what may wait.
    let publisher = server.publisher();
    let body = "x".repeat(8 * 1024);
    let publishing = tokio::spawn(async move {
        for n in 0..MESSAGES {
            publisher.publish("/topic/a", format!("{n} {body}")).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for n in 0..MESSAGES {
        let message = reader.message().await;
        assert!(message.starts_with(&format!("{n} ")), "{n}");
    }
    publishing.await.unwrap();
    while server.connections() > 1 {
        tokio::task::yield_now().await;
    }
    // Whatever it had not read when it was closed, it gets no more.
    drop(stopped);
}

/// By a clock that stands still, so that "for a minute" takes no time.
#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_its_receipts_is_not_read_from_without_end() {
    let mut settings = ServerSettings::default();
    settings.write_timeout = Duration::from_secs(3600);
    let (server, mut peer) = super::heart_beats::embedded(Server::builder().settings(settings));
    peer.connect("").await;
    let sends = "SEND\ndestination:/topic/a\nreceipt:1234567890\n\n\0".repeat(1_000);
    let frame = super::peer::masked(0x80 | TEXT, sends.as_bytes());
    let mut written = 0;
    let flood = async {
        loop {
            peer.io().write_all(&frame).await.unwrap();
            written += 1;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), flood).await.is_err());
    // Each thousand asks for 40 kB of receipts, and half of 1 MiB may wait.
    assert!((10..50).contains(&written), "{written}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_vanishes_leaves_nothing_behind() {
    let broker = Arc::new(MemoryBroker::new());
    let (server, address) = listening(Server::builder().shared_broker(broker.clone())).await;
    for _ in 0..50 {
        let mut peer = Peer::connected(address).await;
        peer.subscribe("0", "/topic/a").await;
        peer.subscribe("1", "/topic/b").await;
        peer.subscribe("2", "/queue/c").await;
    }
    while server.connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(broker.router().destinations(), 0);
    server.publisher().publish("/queue/c", "nobody is there").await.unwrap();
    assert_eq!(broker.queued(&"/queue/c".parse().unwrap()), 1);
}
