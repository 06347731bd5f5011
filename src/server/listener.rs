use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::frame::{Command, Encoder, Version};
use crate::handshake::{Head, Rejection, Upgrade};

use super::connection::{self, Origin};
use super::connections::{Admission, Connections, Phase};
use super::echo;
use super::linger::Linger;
use super::shared::Shared;
use super::socket::Socket;

/// How long to wait after the operating system refused to accept a connection, which is mostly for
/// want of file descriptors: trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How much of a request is read at once, in bytes: most requests arrive whole.
const HEAD_READ: usize = 2 * 1024;

/// Which paths a WebSocket listener serves.
#[derive(Debug, Clone)]
pub struct WebSocketPaths {
    stomp: String,
    echo: Option<String>,
}

impl WebSocketPaths {
    /// Serves STOMP at this path.
    pub fn new(stomp: impl Into<String>) -> Self {
        Self { stomp: stomp.into(), echo: None }
    }

    /// Also serves a plain WebSocket echo at this path, for suites that test WebSocket conformance.
    #[must_use]
    pub fn echo(mut self, path: impl Into<String>) -> Self {
        self.echo = Some(path.into());
        self
    }
}

impl From<&str> for WebSocketPaths {
    fn from(stomp: &str) -> Self {
        Self::new(stomp)
    }
}

impl From<String> for WebSocketPaths {
    fn from(stomp: String) -> Self {
        Self::new(stomp)
    }
}

/// Accepts WebSockets until the server stops.
pub(super) async fn websocket(shared: Arc<Shared>, listener: TcpListener, paths: WebSocketPaths) {
    let endpoints = Arc::new(Endpoints::new(&shared, paths));
    accept(&shared, listener, |stream, peer, admission| {
        let (shared, endpoints) = (Arc::clone(&shared), Arc::clone(&endpoints));
        // In a box of its own: a task has room for the largest of what it does, as long as it runs.
        let opening = Box::pin(open(shared, endpoints, stream, peer, admission));
        async move {
            // A client that fails here has been answered, or has gone.
            if let Ok(Some(serving)) = opening.await {
                serving.await;
            }
        }
    })
    .await;
}

/// Accepts STOMP over TCP until the server stops.
pub(super) async fn tcp(shared: Arc<Shared>, listener: TcpListener) {
    accept(&shared, listener, |stream, peer, admission| {
        let shared = Arc::clone(&shared);
        async move {
            match admission {
                Ok(admission) => connection::serve_tcp(&shared, stream, admission, peer).await,
                // A client that fails here has been answered, or has gone.
                Err(rejection) => {
                    let words = error_frame(&rejection);
                    drop(Box::pin(turn_away(&shared, stream, &words)).await);
                }
            }
        }
    })
    .await;
}

/// Accepts connections until the server stops, and returns when all of them have ended.
async fn accept<F: Future<Output = ()> + Send + 'static>(
    shared: &Shared,
    listener: TcpListener,
    serve: impl Fn(TcpStream, SocketAddr, Result<Admission, Rejection>) -> F,
) {
    let mut phases = shared.connections.phases();
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = phases.reach(Phase::Draining) => break,
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                tasks.spawn(serve(stream, peer, shared.connections.admit()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// What a listener serves, and by which rules it is upgraded.
struct Endpoints {
    stomp: Upgrade,
    echo: Option<(String, Upgrade)>,
}

/// What is spoken at an endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Stomp,
    Echo,
}

impl Endpoints {
    fn new(shared: &Shared, paths: WebSocketPaths) -> Self {
        let stomp = Upgrade::new().origin(shared.origin.clone()).path(paths.stomp);
        let echo = paths.echo.map(|path| {
            let upgrade = Upgrade::new().subprotocols([]).origin(shared.origin.clone());
            (path, upgrade)
        });
        Self { stomp, echo }
    }

    /// What a path serves; one that is nobody's is refused by the rules of STOMP's.
    fn at(&self, path: &str) -> (Protocol, &Upgrade) {
        match &self.echo {
            Some((echo, upgrade)) if echo == path => (Protocol::Echo, upgrade),
            _ => (Protocol::Stomp, &self.stomp),
        }
    }
}

/// Serves a WebSocket to its end.
type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Reads the request of a connection and answers it. `None` if it was refused.
async fn open(
    shared: Arc<Shared>,
    endpoints: Arc<Endpoints>,
    mut stream: TcpStream,
    peer: SocketAddr,
    admission: Result<Admission, Rejection>,
) -> io::Result<Option<Serving>> {
    let mut phases = shared.connections.phases();
    let read = tokio::select! {
        read = read_head(&shared, &mut stream) => read?,
        () = phases.reach(Phase::Draining) => Err(Connections::draining_now()),
    };
    // The request is read also where it is refused already, or the answer could be lost.
    let request = read.and_then(|read| Ok((read, admission?))).and_then(|(read, admission)| {
        let (protocol, upgrade) = endpoints.at(read.head.request.uri().path());
        Ok((upgrade.check(read.head.request)?, protocol, read.rest, admission))
    });
    let (accepted, protocol, rest, admission) = match request {
        Ok(request) => request,
        Err(rejection) => {
            reject(&shared, stream, &rejection).await?;
            return Ok(None);
        }
    };
    let mut response = BytesMut::new();
    accepted.write_response(&mut response);
    stream.write_all(&response).await?;
    let socket = Socket::tcp(stream);
    Ok(Some(match protocol {
        Protocol::Echo => Box::pin(echo::serve(socket, shared, rest, admission)),
        Protocol::Stomp => {
            let upgrade = Some(Arc::new(accepted.into_parts()));
            let origin = Origin { upgrade, peer: Some(peer) };
            Box::pin(connection::serve_websocket(&shared, socket, admission, origin, rest))
        }
    }))
}

/// A request, and what came behind it.
struct Request {
    head: Head,
    rest: Vec<u8>,
}

/// Reads a whole request head, within the limits of time and size.
async fn read_head(
    shared: &Shared,
    stream: &mut TcpStream,
) -> io::Result<Result<Request, Rejection>> {
    let mut bytes = BytesMut::with_capacity(HEAD_READ);
    let read = async {
        loop {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match Head::parse(&bytes, shared.settings.head) {
                Ok(None) => {}
                Ok(Some(head)) => {
                    let rest = bytes.get(head.length..).unwrap_or_default().to_vec();
                    return Ok(Ok(Request { head, rest }));
                }
                Err(rejection) => return Ok(Err(rejection)),
            }
        }
    };
    let limit = shared.session.connect_timeout;
    tokio::time::timeout(limit, read).await.unwrap_or(Ok(Err(Rejection::HeadTimeout)))
}

/// Answers a request that is refused.
async fn reject(shared: &Shared, stream: TcpStream, rejection: &Rejection) -> io::Result<()> {
    let mut response = BytesMut::new();
    rejection.write_response(&mut response);
    turn_away(shared, stream, &response).await
}

/// What a client without HTTP is told of a rejection.
fn error_frame(rejection: &Rejection) -> BytesMut {
    let mut frame = BytesMut::new();
    let mut head = Encoder::new(&mut frame, Version::V1_2, Command::Error);
    head.header("message", "not admitted");
    head.finish(rejection.to_string().as_bytes());
    frame
}

/// Says the last words to a client, and lets it read them before the connection is gone.
async fn turn_away(shared: &Shared, mut stream: TcpStream, words: &[u8]) -> io::Result<()> {
    let mut phases = shared.connections.phases();
    let linger = async {
        stream.write_all(words).await?;
        let socket = Socket::tcp(stream);
        let mut linger = Linger::new(shared.settings.linger_bytes);
        std::future::poll_fn(|context| linger.poll(&socket, context, true)).await;
        Ok(())
    };
    tokio::select! {
        result = tokio::time::timeout(shared.settings.linger, linger) => result.unwrap_or(Ok(())),
        () = phases.reach(Phase::Cut) => Ok(()),
    }
}
