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

/// A route of axum that serves STOMP over WebSocket. Needs the feature `axum`.
///
/// It checks the Upgrade request as this crate's own listener does, and answers what it refuses;
/// axum's own `ws` is not involved. Where axum serves plain TCP, publishers write to its socket
/// directly.
///
/// A program that publishes from an HTTP handler, and lets in whom a middleware has let in: what
/// that leaves in the request's extensions is found in [`ConnectRequest::upgrade`]. An axum that
/// shuts down gracefully closes no WebSockets, so the server is shut down behind it.
///
#[cfg_attr(feature = "app", doc = "```no_run")]
#[cfg_attr(not(feature = "app"), doc = "```ignore")]
/// use std::time::Duration;
/// use axum::extract::{Request, State};
/// use axum::http::StatusCode;
/// use axum::middleware::{self, Next};
/// use axum::response::Response;
/// use axum::{Router, routing};
/// use stompbox::app::App;
/// use stompbox::server::{self, AuthenticationError, ConnectRequest, Principal, Publisher, Server};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// /// Stands for whatever finds out who a request is from.
/// async fn log_in(mut request: Request, next: Next) -> Response {
///     request.extensions_mut().insert(User("ann".to_owned()));
///     next.run(request).await
/// }
///
/// async fn authenticate(request: ConnectRequest) -> Result<Principal, AuthenticationError> {
///     let upgrade = request.upgrade().ok_or_else(AuthenticationError::refused)?;
///     let user = upgrade.extensions.get::<User>().ok_or_else(AuthenticationError::refused)?;
///     Ok(Principal::new(&user.0).with(user.clone()))
/// }
///
/// async fn news(State(publisher): State<Publisher>, text: String) -> StatusCode {
///     match publisher.publish("/topic/news", text).await {
///         Ok(()) => StatusCode::ACCEPTED,
///         Err(_) => StatusCode::SERVICE_UNAVAILABLE,
///     }
/// }
///
/// #[tokio::main]
/// async fn main() -> std::io::Result<()> {
///     let app = App::new().prefix("/topic").authenticate(authenticate);
///     let server = Server::builder().app(app).build();
///     let router = Router::new()
///         .route("/ws", server::route(&server))
///         .route("/news", routing::post(news))
///         .layer(middleware::from_fn(log_in))
///         .with_state(server.publisher());
///
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
///     let interrupted = async { drop(tokio::signal::ctrl_c().await) };
///     axum::serve(listener, router).with_graceful_shutdown(interrupted).await?;
///     server.shutdown(Duration::from_secs(5)).await;
///     Ok(())
/// }
/// ```
///
/// [`ConnectRequest::upgrade`]: super::ConnectRequest::upgrade
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
