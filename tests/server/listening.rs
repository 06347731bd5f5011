//! The listener's own part of the handshake.

use std::time::Duration;

use stompbox::handshake::OriginPolicy;
use stompbox::server::{Server, ServerSettings};

use super::peer::{Peer, listening, upgrade_request};

/// What the server answers to a request.
async fn answer(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut peer = Peer::tcp(address).await;
    peer.write(request).await;
    peer.http_head().await
}

#[tokio::test]
async fn each_request_gets_its_answer() {
    let (_server, address) = listening(Server::builder()).await;
    let request = upgrade_request("/ws", "");
    for (request, status) in [
        (upgrade_request("/other", ""), "404"),
        (request.replace("Upgrade: websocket\r\n", ""), "426"),
        (request.replace("GET", "POST"), "405"),
        (request.replace("HTTP/1.1", "HTTP/1.0"), "505"),
        (upgrade_request("/ws", "Origin: http://evil.example\r\n"), "403"),
        (upgrade_request("/ws", &format!("X: {}\r\n", "x".repeat(20_000))), "431"),
        ("garbage\r\n\r\n".to_owned(), "400"),
    ] {
        let head = answer(address, request.as_bytes()).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

#[tokio::test]
async fn c5_the_highest_subprotocol_is_echoed() {
    let (_server, address) = listening(Server::builder()).await;
    for (offered, chosen) in [
        ("v10.stomp, v11.stomp, v12.stomp", Some("v12.stomp")),
        ("v10.stomp", Some("v10.stomp")),
        ("graphql-ws", None),
    ] {
        let more = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let head = answer(address, upgrade_request("/ws", &more).as_bytes()).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let line = chosen.map(|chosen| format!("sec-websocket-protocol: {chosen}\r\n"));
        let head = head.to_ascii_lowercase();
        match line {
            Some(line) => assert!(head.contains(&line), "{head}"),
            None => assert!(!head.contains("sec-websocket-protocol"), "{head}"),
        }
    }
}

#[tokio::test]
async fn an_origin_may_be_allowed() {
    let origin = OriginPolicy::only(["https://*.example.com"]).unwrap();
    let (_server, address) = listening(Server::builder().origin(origin)).await;
    for (origin, status) in [("https://chat.example.com", "101"), ("https://example.org", "403")] {
        let more = format!("Origin: {origin}\r\n");
        let head = answer(address, upgrade_request("/ws", &more).as_bytes()).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_turned_away() {
    let mut settings = ServerSettings::default();
    settings.connections = 1;
    let (server, address) = listening(Server::builder().settings(settings)).await;
    let first = Peer::connected(address).await;
    let head = answer(address, upgrade_request("/ws", "").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("retry-after: 5\r\n"), "{head}");
    drop(first);
    while server.connections() > 0 {
        tokio::task::yield_now().await;
    }
    Peer::connected(address).await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_answered_with_408() {
    let mut settings = ServerSettings::default();
    settings.session.connect_timeout = Duration::from_millis(50);
    let (_server, address) = listening(Server::builder().settings(settings)).await;
    let head = answer(address, b"GET /ws HTTP/1.1\r\nHost: lo").await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("connection: close\r\n"), "{head}");
}
