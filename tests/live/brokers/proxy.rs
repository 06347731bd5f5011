//! What stands between a node and its engine.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands between a node and its engine, and can cut the connections.
pub(crate) struct Proxy {
    /// That of the engine, by the proxy.
    pub(crate) url: String,
    is_cut: Arc<watch::Sender<bool>>,
    is_held: Arc<watch::Sender<bool>>,
    /// How many connections it has not taken.
    refused: Arc<watch::Sender<usize>>,
    /// How many bytes its nodes have sent.
    asked: Arc<watch::Sender<usize>>,
}

#[allow(dead_code, reason = "not every engine's tests do everything with it")]
impl Proxy {
    /// Starts one before the engine at a URL.
    pub(crate) async fn start(engine: &str) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.expect("a port"), engine)
    }

    /// Starts one where somebody listens already.
    pub(crate) fn listen(listener: TcpListener, engine: &str) -> Self {
        let (scheme, rest) = engine.split_once("://").expect("a URL");
        let host = rest.rfind('@').map_or(0, |at| at + 1);
        let path = rest.find('/').unwrap_or(rest.len());
        let (login, path) = (&rest[..host], &rest[path..]);
        let address = listener.local_addr().expect("an address");
        let engine = rest[host..rest.len() - path.len()].to_owned();
        let is_cut = Arc::new(watch::channel(false).0);
        let is_held = Arc::new(watch::channel(false).0);
        let refused = Arc::new(watch::channel(0).0);
        let asked = Arc::new(watch::channel(0).0);
        let (cut, held) = (Arc::clone(&is_cut), Arc::clone(&is_held));
        let (not_taken, sent) = (Arc::clone(&refused), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut node, _)) = listener.accept().await {
                let (engine, mut cut, held) = (engine.clone(), cut.subscribe(), held.subscribe());
                if *cut.borrow() {
                    not_taken.send_modify(|count| *count += 1);
                    continue;
                }
                let sent = Arc::clone(&sent);
                tokio::spawn(async move {
                    let mut engine = TcpStream::connect(engine).await.expect("an engine");
                    let ((asks, is_told), (says, hears)) = (node.split(), engine.split());
                    let both = async {
                        let asks = copy(asks, hears, |bytes| {
                            sent.send_modify(|sent| *sent += bytes);
                            None
                        });
                        tokio::join!(asks, copy(says, is_told, |_| Some(held.clone())));
                    };
                    tokio::select! {
                        () = both => {}
                        _ = cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { url: format!("{scheme}://{login}{address}{path}"), is_cut, is_held, refused, asked }
    }

    /// Ends all connections, and takes no other ones.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Waits until no connection is left, after a [`cut`](Self::cut).
    pub(crate) async fn ended(&self) {
        self.is_cut.closed().await;
    }

    /// Waits until the node has tried to come back, while it cannot.
    pub(crate) async fn refuses(&self) {
        self.refused.subscribe().changed().await.expect("a proxy");
    }

    /// Takes connections again.
    pub(crate) fn mend(&self) {
        self.is_cut.send_replace(false);
    }

    /// Keeps back what the engine says, for the moment.
    pub(crate) fn hold(&self) {
        self.is_held.send_replace(true);
    }

    /// How many bytes its nodes have sent.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.borrow()
    }

    /// Waits until its nodes have sent so many bytes.
    pub(crate) async fn until_asked(&self, bytes: usize) {
        drop(self.asked.subscribe().wait_for(|asked| *asked >= bytes).await);
    }

    /// Tells what the engine has said.
    pub(crate) fn release(&self) {
        self.is_held.send_replace(false);
    }
}

/// Copies to the end, each piece of so many bytes when nothing holds it any more.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    held: impl Fn(usize) -> Option<watch::Receiver<bool>>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if let Some(mut held) = held(count) {
            drop(held.wait_for(|held| !held).await);
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    drop(to.shutdown().await);
}
