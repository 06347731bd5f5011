//! Connections that somebody else has upgraded.

use http::Request;
use stompbox::handshake::Upgrade;
use stompbox::server::Server;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::peer::{Peer, TEXT};

/// An Upgrade request as an HTTP server gives it.
pub(crate) fn request() -> Request<()> {
    Request::builder()
        .uri("/ws")
        .header("host", "localhost")
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .unwrap()
}

#[tokio::test]
async fn a_stream_that_takes_little_at_a_time_gets_everything_in_order() {
    const MESSAGES: usize = 200;
    let server = Server::builder().build();
    let (near, far) = tokio::io::duplex(61);
    let accepted = Upgrade::new().check(request()).unwrap();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve_upgraded(near, accepted).await }
    });
    let mut peer = Peer::over(far, true);
    peer.connect("").await;
    peer.subscribe("0", "/topic/a").await;
    let publisher = server.publisher();
    for n in 0..MESSAGES {
        drop(publisher.publish("/topic/a", format!("{n:0100}")));
    }
    for n in 0..MESSAGES {
        assert_eq!(peer.message().await.parse::<usize>().unwrap(), n);
    }
    peer.send("DISCONNECT\nreceipt:1\n\n").await;
    peer.expect_receipt("1").await;
    assert_eq!(peer.closed().await, 1000);
    drop(peer);
    serving.await.unwrap();
}

#[tokio::test]
async fn what_was_read_with_the_request_is_not_lost() {
    let server = Server::builder().build();
    let (near, far) = tokio::io::duplex(1024);
    let accepted = Upgrade::new().check(request()).unwrap();
    let early = super::peer::masked(0x80 | TEXT, b"CONNECT\naccept-version:1.2\n\n\0");
    tokio::spawn(async move { server.serve_upgraded_from(near, accepted, early).await });
    let mut peer = Peer::over(far, true);
    assert_eq!(peer.frame().await.header("version").as_deref(), Some("1.2"));
}

#[tokio::test]
async fn a_tcp_stream_is_served_as_well() {
    let server = Server::builder().build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut peer =
        Peer::over(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap(), true);
    let (io, _) = listener.accept().await.unwrap();
    let accepted = Upgrade::new().check(request()).unwrap();
    tokio::spawn(async move { server.serve_upgraded(io, accepted).await });
    peer.connect("").await;
    peer.subscribe("0", "/topic/a").await;
}

#[tokio::test]
async fn dropping_the_future_cuts_the_connection_and_its_subscriptions() {
    let broker = std::sync::Arc::new(stompbox::broker::MemoryBroker::new());
    let server = Server::builder().shared_broker(broker.clone()).build();
    let (near, far) = tokio::io::duplex(1024);
    let accepted = Upgrade::new().check(request()).unwrap();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve_upgraded(near, accepted).await }
    });
    let mut peer = Peer::over(far, true);
    peer.connect("").await;
    peer.subscribe("0", "/topic/a").await;
    serving.abort();
    peer.ended().await;
    assert!(serving.await.unwrap_err().is_cancelled());
    assert_eq!(server.connections(), 0);
    assert_eq!(broker.router().destinations(), 0);
}

/// A stream that keeps what is written until it is flushed, as TLS may.
#[tokio::test]
async fn a_stream_with_a_buffer_of_its_own_is_flushed() {
    let server = Server::builder().build();
    let (near, far) = tokio::io::duplex(64);
    let accepted = Upgrade::new().check(request()).unwrap();
    let near = tokio::io::BufStream::with_capacity(4096, 4096, near);
    tokio::spawn(async move { server.serve_upgraded(near, accepted).await });
    let mut peer = Peer::over(far, true);
    peer.connect("").await;
    peer.subscribe("0", "/topic/a").await;
    for n in 0..50 {
        peer.send(&format!("SEND\ndestination:/topic/a\n\n{n:0100}")).await;
        assert_eq!(peer.message().await.parse::<usize>().unwrap(), n);
    }
    peer.io().shutdown().await.unwrap();
}

#[cfg(feature = "axum")]
mod axum {
    use std::time::Duration;

    use axum::{Extension, Router};
    use stompbox::server::{
        Authenticate, Authenticating, AuthenticationError, ConnectRequest, Principal, Server, route,
    };
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::super::peer::{Peer, upgrade_request};

    /// Somebody that a layer in front of the route has found out.
    #[derive(Clone)]
    struct User(&'static str);

    /// Lets in whom that layer knows.
    struct Known;

    impl Authenticate for Known {
        fn authenticate(&self, request: ConnectRequest) -> Authenticating {
            let user = request.upgrade().and_then(|upgrade| upgrade.extensions.get::<User>());
            let known = user.map(|user| Principal::new(user.0));
            Box::pin(std::future::ready(known.ok_or_else(AuthenticationError::refused)))
        }
    }

    async fn serving(server: &Server) -> std::net::SocketAddr {
        let router = Router::new().route("/ws", route(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn a_route_of_axum_serves_stomp() {
        let server = Server::builder().build();
        let address = serving(&server).await;
        let mut peer = Peer::connected(address).await;
        peer.subscribe("0", "/topic/a").await;
        peer.send("SEND\ndestination:/topic/a\n\nhello").await;
        assert_eq!(peer.message().await, "hello");
        let stopping = tokio::spawn({
            let server = server.clone();
            async move { server.shutdown(Duration::from_secs(30)).await }
        });
        assert_eq!(peer.closed().await, 1012);
        drop(peer);
        assert_eq!(stopping.await.unwrap().cut, 0);
    }

    #[tokio::test]
    async fn what_a_layer_has_found_out_reaches_authentication() {
        let server = Server::builder().authenticate(Known).build();
        let router = Router::new().route("/ws", route(&server)).layer(Extension(User("ann")));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut peer = Peer::web_socket(address).await;
        peer.send("CONNECT\naccept-version:1.2\n\n").await;
        assert_eq!(peer.frame().await.header("user-name").as_deref(), Some("ann"));
    }

    #[tokio::test]
    async fn axums_graceful_shutdown_leaves_web_sockets_to_the_server() {
        let server = Server::builder().build();
        let router: Router = Router::new().route("/ws", route(&server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let http =
            axum::serve(listener, router).with_graceful_shutdown(async { drop(stopped.await) });
        let http = tokio::spawn(http.into_future());
        let mut peer = Peer::connected(address).await;
        drop(stop);
        http.await.unwrap().unwrap();
        peer.subscribe("0", "/topic/a").await;
        let stopping = tokio::spawn(async move { server.shutdown(Duration::from_secs(30)).await });
        assert_eq!(peer.closed().await, 1012);
        drop(peer);
        assert_eq!(stopping.await.unwrap().cut, 0);
    }

    #[tokio::test]
    async fn a_route_of_axum_checks_the_request() {
        let server = Server::builder().build();
        let address = serving(&server).await;
        let request = upgrade_request("/ws", "");
        for (request, status, header) in [
            (request.replace("GET", "POST"), "405", "allow: get"),
            (request.replace("Version: 13", "Version: 8"), "426", "sec-websocket-version: 13"),
            (request.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400", ""),
            (upgrade_request("/ws", "Origin: https://evil.example\r\n"), "403", ""),
        ] {
            let mut peer = Peer::tcp(address).await;
            peer.write(request.as_bytes()).await;
            let head = peer.http_head().await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.to_ascii_lowercase().contains(header), "{head}");
        }
    }
}
