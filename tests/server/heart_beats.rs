//! Heart-beats and time-outs, by a clock that stands still: not one of these tests waits.

use std::time::Duration;

use stompbox::handshake::Upgrade;
use stompbox::server::{Server, ServerBuilder};
use stompbox::session::HeartBeat;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use super::peer::{PING, Peer, TEXT};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server with 10 s both ways, and a peer at an embedded connection.
pub(crate) fn embedded(builder: ServerBuilder) -> (Server, Peer<DuplexStream>) {
    let server = builder.build();
    let peer = connection(&server);
    (server, peer)
}

/// A peer at an embedded connection to a server.
pub(crate) fn connection(server: &Server) -> Peer<DuplexStream> {
    let (near, far) = tokio::io::duplex(4096);
    let accepted = Upgrade::new().check(super::embedding::request()).unwrap();
    tokio::spawn({
        let server = server.clone();
        async move { server.serve_upgraded(near, accepted).await }
    });
    Peer::over(far, true)
}

#[tokio::test(start_paused = true)]
async fn c4_a_beat_is_sent_when_nothing_else_was() {
    let (server, mut peer) = embedded(Server::builder());
    peer.connect("heart-beat:0,15000\n").await;
    peer.subscribe("0", "/topic/a").await;
    let mut last = Instant::now();
    for _ in 0..3 {
        let beat = peer.web_socket_frame().await;
        assert_eq!((beat.opcode, &beat.payload[..]), (TEXT, &b"\n"[..]));
        // The larger of what the server can do and the client wants.
        assert_eq!(last.elapsed().as_secs(), 15);
        last = Instant::now();
    }
    tokio::time::sleep(seconds(9)).await;
    server.publisher().publish("/topic/a", "instead").await.unwrap();
    assert_eq!(peer.message().await, "instead");
    let message = Instant::now();
    assert_eq!(peer.web_socket_frame().await.payload, b"\n");
    assert_eq!(message.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn c4_a_silent_client_is_pinged_and_then_closed() {
    let (_server, mut peer) = embedded(Server::builder());
    peer.connect("heart-beat:10000,0\n").await;
    let connected = Instant::now();
    // Any byte counts.
    tokio::time::sleep(seconds(15)).await;
    peer.send_bytes(TEXT, b"\n").await;
    assert_eq!(peer.web_socket_frame().await.opcode, PING);
    assert_eq!(connected.elapsed().as_secs(), 15 + 20);
    let (summary, detail) = peer.error().await;
    assert_eq!(summary, "heart-beat missed");
    assert!(detail.starts_with("nothing came for 30000 ms"), "{detail}");
    assert_eq!(connected.elapsed().as_secs(), 15 + 30);
    assert_eq!(peer.closed().await, 1008);
}

#[tokio::test(start_paused = true)]
async fn c4_a_client_that_answers_the_ping_stays() {
    let (server, mut peer) = embedded(Server::builder());
    peer.connect("heart-beat:10000,0\n").await;
    for _ in 0..5 {
        let ping = peer.web_socket_frame().await;
        assert_eq!(ping.opcode, PING);
        peer.send_bytes(super::peer::PONG, &ping.payload).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_heart_beats_nothing_is_sent_and_nobody_is_closed() {
    let mut settings = stompbox::server::ServerSettings::default();
    settings.session.heart_beat = HeartBeat::NONE;
    let (server, mut peer) = embedded(Server::builder().settings(settings));
    peer.connect("heart-beat:1000,1000\n").await;
    tokio::time::sleep(seconds(3600)).await;
    assert_eq!(server.connections(), 1);
    peer.subscribe("0", "/topic/a").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_closed_in_time() {
    let (_server, mut peer) = embedded(Server::builder());
    let opened = Instant::now();
    peer.send_bytes(TEXT, b"\n\nCONN").await;
    tokio::time::sleep(seconds(9)).await;
    // Neither beats nor half a frame win time.
    peer.send_bytes(TEXT, b"ECT\n").await;
    assert_eq!(peer.error().await.0, "connect timeout");
    assert_eq!(opened.elapsed().as_secs(), 10);
    assert_eq!(peer.closed().await, 1008);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_cut_in_time() {
    let (server, mut peer) = embedded(Server::builder());
    peer.connect("").await;
    peer.subscribe("0", "/topic/a").await;
    let started = Instant::now();
    // More than the stream takes, less than may wait.
    for _ in 0..10 {
        server.publisher().publish("/topic/a", "x".repeat(1024)).await.unwrap();
    }
    while server.connections() > 0 {
        tokio::time::sleep(seconds(1)).await;
    }
    // 20 s for reading something, and 3 s for reading the last words.
    assert!((23..=24).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_the_close_is_cut() {
    let (server, mut peer) = embedded(Server::builder());
    peer.connect("").await;
    let asked = Instant::now();
    peer.send("DISCONNECT\n\n").await;
    while server.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(asked.elapsed().as_secs(), 3);
    assert_eq!(peer.closed().await, 1000);
}

/// PROTOCOL C4: any byte counts as a beat. A large message over a slow line cannot answer a Ping
/// before it is sent whole.
#[tokio::test(start_paused = true)]
async fn c4_the_bytes_of_an_unfinished_message_count() {
    let (_server, mut peer) = embedded(Server::builder());
    peer.connect("heart-beat:10000,0\n").await;
    let frame =
        super::peer::masked(0x80 | TEXT, b"SEND\ndestination:/topic/a\nreceipt:1\n\nhello\0");
    for byte in frame {
        tokio::time::sleep(Duration::from_secs(5)).await;
        peer.write(&[byte]).await;
    }
    loop {
        let frame = peer.web_socket_frame().await;
        if frame.opcode != PING {
            assert_eq!(String::from_utf8_lossy(&frame.payload), "RECEIPT\nreceipt-id:1\n\n\0");
            break;
        }
    }
}
