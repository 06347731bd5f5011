use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::handshake::{Accepted, Rejection, Upgrade};
use crate::session::Leaving;

use super::connection::{self, Origin};
use super::connections::Admission;
use super::listener::{self, WebSocketPaths};
use super::shared::Shared;
use super::socket::Socket;
use super::wire::Wire;
use super::{Publisher, ServerBuilder, ServerCounters};

/// A STOMP server inside a program: a broker, what the application plugs in, and the connections.
///
/// It listens itself ([`listen_websocket`](Self::listen_websocket), [`listen_tcp`](Self::listen_tcp)),
/// or is given connections that another server has upgraded
/// ([`serve_upgraded`](Self::serve_upgraded), or a route of axum with the feature `axum`); all at
/// once if wanted. Cloning shares it. Everything but [`builder`](Self::builder) and
/// [`publisher`](Self::publisher) is called on a tokio runtime, current-thread or multi-thread.
///
/// ```
/// use std::time::Duration;
/// use stompbox::broker::MemoryBroker;
/// use stompbox::server::Server;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder().broker(MemoryBroker::new()).build();
/// server.listen_websocket("127.0.0.1:0", "/ws").await?;
/// server.listen_tcp("127.0.0.1:0").await?;
///
/// server.publisher().publish("/topic/news", "hello").await?;
///
/// let shutdown = server.shutdown(Duration::from_secs(5)).await;
/// assert_eq!(shutdown.cut, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

/// How a [shutdown](Server::shutdown) went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// How many connections had not closed in time and were cut.
    pub cut: usize,
}

impl Server {
    /// Begins a server with the built-in broker, which lets everybody connect.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    pub(super) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Listens for WebSockets and serves them in the background. `paths` is the path of the STOMP
    /// endpoint, such as `/ws`. Port 0 takes a free one; returns the address that it listens on.
    pub async fn listen_websocket(
        &self,
        address: impl ToSocketAddrs,
        paths: impl Into<WebSocketPaths>,
    ) -> io::Result<SocketAddr> {
        let (listener, local) = self.bind(address).await?;
        let accept = listener::websocket(Arc::clone(&self.shared), listener, paths.into());
        self.shared.listeners.lock().spawn(accept);
        Ok(local)
    }

    /// Listens for STOMP over plain TCP and serves it in the background. Port 0 takes a free one;
    /// returns the address that it listens on.
    pub async fn listen_tcp(&self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        let (listener, local) = self.bind(address).await?;
        let accept = listener::tcp(Arc::clone(&self.shared), listener);
        self.shared.listeners.lock().spawn(accept);
        Ok(local)
    }

    async fn bind(&self, address: impl ToSocketAddrs) -> io::Result<(TcpListener, SocketAddr)> {
        if self.shared.connections.is_draining() {
            return Err(io::Error::other("the server was shut down"));
        }
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        self.shared.start();
        Ok((listener, local))
    }

    /// Checks an Upgrade request by the rules of this server: its origins, its number of
    /// connections and whether it is stopping. The path is the business of whoever routed it here.
    ///
    /// What is accepted is answered with its [response](Accepted::response), and its connection is
    /// then [served](Self::serve_upgraded).
    pub fn check(&self, request: http::Request<()>) -> Result<Accepted, Rejection> {
        self.check_parts(request.into_parts().0)
    }

    /// As [`check`](Self::check), for the parts of a request whose body is somebody else's.
    pub fn check_parts(&self, request: http::request::Parts) -> Result<Accepted, Rejection> {
        self.admit(request).map(|(_, accepted)| accepted)
    }

    /// As [`check_parts`](Self::check_parts), and keeps the place among the connections.
    pub(super) fn admit(
        &self,
        request: http::request::Parts,
    ) -> Result<(Admission, Accepted), Rejection> {
        let admission = self.shared.connections.admit()?;
        let upgrade = Upgrade::new().origin(self.shared.origin.clone());
        Ok((admission, upgrade.check_parts(request)?))
    }

    /// Serves a connection whose Upgrade request was accepted and answered, to its end. A
    /// `TcpStream` is written to directly; anything else goes through its own buffers.
    ///
    /// Dropping the future cuts the connection. [`shutdown`](Self::shutdown) covers it.
    pub async fn serve_upgraded<T>(&self, io: T, accepted: Accepted)
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.serve_upgraded_from(io, accepted, Vec::new()).await;
    }

    /// As [`serve_upgraded`](Self::serve_upgraded), for a connection of which something was read
    /// already: `already_read` came behind the Upgrade request.
    ///
    /// A program that owns its sockets, from the first byte on:
    ///
    /// ```
    /// use std::io;
    /// use bytes::BytesMut;
    /// use stompbox::handshake::{Head, HeadLimits};
    /// use stompbox::server::Server;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use tokio::net::TcpStream;
    ///
    /// async fn serve(server: Server, mut socket: TcpStream) -> io::Result<()> {
    ///     let mut read = BytesMut::new();
    ///     let checked = loop {
    ///         if socket.read_buf(&mut read).await? == 0 {
    ///             return Ok(()); // It went before its request was complete.
    ///         }
    ///         match Head::parse(&read, HeadLimits::default()) {
    ///             Ok(None) => {}
    ///             Ok(Some(head)) => {
    ///                 // What the head leaves in `read` is WebSocket.
    ///                 drop(read.split_to(head.length));
    ///                 break server.check(head.request);
    ///             }
    ///             Err(rejection) => break Err(rejection),
    ///         }
    ///     };
    ///     let mut response = BytesMut::new();
    ///     match checked {
    ///         Ok(accepted) => {
    ///             accepted.write_response(&mut response);
    ///             socket.write_all(&response).await?;
    ///             server.serve_upgraded_from(socket, accepted, read.to_vec()).await;
    ///         }
    ///         Err(rejection) => {
    ///             rejection.write_response(&mut response);
    ///             socket.write_all(&response).await?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> io::Result<()> {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let mut client = TcpStream::connect(listener.local_addr()?).await?;
    /// # let server = Server::builder().build();
    /// # tokio::spawn(serve(server.clone(), listener.accept().await?.0));
    /// # client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n").await?;
    /// # client.write_all(b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n").await?;
    /// # client.write_all(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").await?;
    /// # // A CONNECT in a masked text message, whose mask is zeros.
    /// # client.write_all(b"\x81\x8A\0\0\0\0CONNECT\n\n\0").await?;
    /// # let mut answer = BytesMut::new();
    /// # while !answer.windows(9).any(|window| window == b"CONNECTED") {
    /// #     assert_ne!(client.read_buf(&mut answer).await?, 0);
    /// # }
    /// # assert!(answer.starts_with(b"HTTP/1.1 101 "));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The server's own listener also bounds how long the request may take, and lets a client that
    /// was refused read why before its connection is gone.
    pub async fn serve_upgraded_from<T>(&self, io: T, accepted: Accepted, already_read: Vec<u8>)
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        // The client has its 101 by now; one too many is told by being closed.
        let Ok(admission) = self.shared.connections.admit() else { return };
        self.serve_admitted(io, admission, accepted, None, already_read).await;
    }

    pub(super) async fn serve_admitted<T>(
        &self,
        io: T,
        admission: Admission,
        accepted: Accepted,
        peer: Option<SocketAddr>,
        already_read: Vec<u8>,
    ) where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.shared.start();
        let origin = Origin { upgrade: Some(Arc::new(accepted.into_parts())), peer };
        let socket = Socket::new(io);
        connection::serve_websocket(&self.shared, socket, admission, origin, already_read).await;
    }

    /// A handle for publishing from anywhere in the program.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(Arc::clone(&self.shared.broker))
    }

    /// How many connections there are, those in their handshake included.
    pub fn connections(&self) -> usize {
        self.shared.connections.count()
    }

    /// How many bytes wait in the server for clients to read or to settle, over all connections,
    /// with what they cost to keep. A message that waits for several is counted for each. It asks
    /// every connection.
    pub fn waiting_bytes(&self) -> usize {
        let waiting = |leaving: &mut Leaving<Wire>| leaving.waiting_bytes() + leaving.held_bytes();
        let outlets = self.shared.connections.outlets();
        outlets.iter().map(|outlet| outlet.leaving(waiting)).sum()
    }

    /// What was counted since the server was made.
    pub fn counters(&self) -> ServerCounters {
        for outlet in self.shared.connections.outlets() {
            self.shared.counters.add(outlet.take_counters());
        }
        self.shared.counters.totals()
    }

    /// Stops: listens no more, and closes all connections, embedded ones too, with the WebSocket
    /// code 1012. What clients had sent before is still handled. Those that have not closed within
    /// `deadline` are cut. When it returns, all tasks of the server have ended.
    ///
    /// Afterwards nothing can be listened to any more. The broker is not closed: a
    /// [`Publisher`] still publishes, to whoever else the broker serves.
    pub async fn shutdown(&self, deadline: Duration) -> Shutdown {
        let connections = &self.shared.connections;
        connections.drain();
        let mut listeners = std::mem::take(&mut *self.shared.listeners.lock());
        let mut cut = 0;
        let gone = async {
            connections.gone().await;
            while listeners.join_next().await.is_some() {}
        };
        if tokio::time::timeout(deadline, gone).await.is_err() {
            cut = connections.count();
            connections.cut();
            connections.gone().await;
            while listeners.join_next().await.is_some() {}
        }
        self.shared.stop().await;
        Shutdown { cut }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("connections", &self.connections()).finish_non_exhaustive()
    }
}
