//! Authentication that takes long, or fails.

use std::time::Duration;

use stompbox::server::{Authenticate, Authenticating, ConnectRequest, Server};

use super::heart_beats::embedded;

struct Never;

impl Authenticate for Never {
    fn authenticate(&self, _request: ConnectRequest) -> Authenticating {
        Box::pin(std::future::pending())
    }
}

/// The client has gone, and its place among the connections is never given back.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_while_it_is_authenticated_is_gone() {
    let (server, mut peer) = embedded(Server::builder().authenticate(Never));
    peer.send("CONNECT\naccept-version:1.2\n\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(peer);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(server.connections(), 0);
}

struct Panics;

impl Authenticate for Panics {
    fn authenticate(&self, _request: ConnectRequest) -> Authenticating {
        panic!("the application's mistake")
    }
}

/// As a handler that panics does.
#[tokio::test(start_paused = true)]
async fn an_authentication_that_panics_is_answered_with_an_error() {
    let (_server, mut peer) = embedded(Server::builder().authenticate(Panics));
    peer.send("CONNECT\naccept-version:1.2\n\n").await;
    assert_eq!(peer.error().await.0, "internal error");
    assert_eq!(peer.closed().await, 1011);
}
