use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use http::StatusCode;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::net::TcpStream;

use crate::handshake::Accepted;

use super::Server;
use super::connections::Admission;

/// A route of axum that serves STOMP over WebSocket.
///
/// It checks the Upgrade request as this crate's own listener does, and answers what it refuses;
/// axum's own `ws` is not involved. Where axum serves plain TCP, publishers write to its socket
/// directly.
///
/// ```
/// use axum::Router;
/// use stompbox::server::Server;
///
/// let server = Server::builder().build();
/// let router: Router = Router::new().route("/ws", stompbox::server::route(&server));
/// # let _ = router;
/// ```
pub fn route<S: Clone + Send + Sync + 'static>(server: &Server) -> MethodRouter<S> {
    let server = server.clone();
    // Any method: the check answers what is not GET as it should be answered.
    any(move |request: Request| {
        let response = upgrade(&server, request);
        async move { response }
    })
}

fn upgrade(server: &Server, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let (admission, accepted) = match server.admit(parts) {
        Ok(admitted) => admitted,
        Err(rejection) => return rejection.response().map(Body::from),
    };
    let Some(upgrade) = upgrade else { return not_upgradable() };
    let response = accepted.response().map(|()| Body::empty());
    let server = server.clone();
    tokio::spawn(async move {
        // Hyper upgrades once the response is written; if that fails, nobody is there to be served.
        if let Ok(upgraded) = upgrade.await {
            serve(&server, upgraded, admission, accepted, peer).await;
        }
    });
    response
}

async fn serve(
    server: &Server,
    upgraded: Upgraded,
    admission: Admission,
    accepted: Accepted,
    peer: Option<SocketAddr>,
) {
    match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => {
            let (stream, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
            server.serve_admitted(stream, admission, accepted, peer, read).await;
        }
        Err(upgraded) => {
            let stream = TokioIo::new(upgraded);
            server.serve_admitted(stream, admission, accepted, peer, Vec::new()).await;
        }
    }
}

/// The HTTP server around axum was built without upgrades.
fn not_upgradable() -> Response {
    let mut response = Response::new(Body::from("this server does not upgrade connections\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
