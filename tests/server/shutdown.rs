//! A server that stops says so to everybody.

use std::time::Duration;

use stompbox::handshake::Upgrade;
use stompbox::server::Server;
use tokio::net::TcpStream;

use super::peer::{Peer, listening};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn c7_all_connections_are_closed_with_1012_and_joined() {
    let (server, address) = listening(Server::builder()).await;
    let tcp_address = server.listen_tcp("127.0.0.1:0").await.unwrap();
    let mut connected = Peer::connected(address).await;
    let mut unconnected = Peer::web_socket(address).await;
    let mut tcp = Peer::tcp(tcp_address).await;
    tcp.connect("").await;
    let (near, far) = tokio::io::duplex(1024);
    let accepted = Upgrade::new().check(super::embedding::request()).unwrap();
    let embedded = tokio::spawn({
        let server = server.clone();
        async move { server.serve_upgraded(near, accepted).await }
    });
    let mut far = Peer::over(far, true);
    far.connect("").await;

    let stopping = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown(LONG).await }
    });
    assert_eq!(connected.closed().await, 1012);
    assert_eq!(unconnected.closed().await, 1012);
    assert_eq!(far.closed().await, 1012);
    assert_eq!(tcp.error().await.0, "server restart");
    tcp.ended().await;
    drop((connected, unconnected, tcp, far));
    assert_eq!(stopping.await.unwrap().cut, 0);
    embedded.await.unwrap();
    assert_eq!(server.connections(), 0);
    assert!(TcpStream::connect(address).await.is_err(), "it listens on");
}

#[tokio::test]
async fn a_request_that_is_half_way_is_answered_with_503() {
    let (server, address) = listening(Server::builder()).await;
    let mut half = Peer::tcp(address).await;
    half.write(b"GET /ws HTTP/1.1\r\n").await;
    while server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn(async move { server.shutdown(LONG).await });
    let head = half.http_head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("retry-after: "), "{head}");
    drop(half);
    assert_eq!(stopping.await.unwrap().cut, 0);
}

#[tokio::test]
async fn who_does_not_leave_in_time_is_cut() {
    let (server, address) = listening(Server::builder()).await;
    let mut stubborn = Peer::connected(address).await;
    let shutdown = server.shutdown(Duration::from_millis(50)).await;
    assert_eq!(shutdown.cut, 1);
    assert_eq!(server.connections(), 0);
    // The Close was sent all the same.
    assert_eq!(stubborn.closed().await, 1012);
}

#[tokio::test]
async fn after_it_nobody_is_let_in() {
    let (server, _address) = listening(Server::builder()).await;
    server.shutdown(LONG).await;
    let rejection = server.check(super::embedding::request()).unwrap_err();
    assert_eq!(rejection.status(), 503);
    assert!(server.listen_tcp("127.0.0.1:0").await.is_err());
    assert!(server.listen_websocket("127.0.0.1:0", "/ws").await.is_err());
}

#[tokio::test]
async fn after_shutdown_no_task_is_left() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let (server, address) = listening(Server::builder()).await;
    let mut half = Peer::tcp(address).await;
    half.write(b"GET /ws HTTP/1.1\r\n").await;
    while server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown(Duration::from_secs(30)).await;
    // The refusal of `half` still lingers, and the task that calls the broker back still waits.
    assert_eq!(metrics.num_alive_tasks() - before, 0, "tasks are left after the shutdown");
}
