//! What stands between a node and its engine.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands between a node and its engine, and can cut the connections.
pub(crate) struct Proxy {
    /// That of the engine, by the proxy.
    pub(crate) url: String,
    is_cut: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// Starts one before the engine at a URL.
    pub(crate) async fn start(engine: &str) -> Self {
        let (scheme, rest) = engine.split_once("://").expect("a URL");
        let host = rest.rfind('@').map_or(0, |at| at + 1);
        let path = rest.find('/').unwrap_or(rest.len());
        let (login, path) = (&rest[..host], &rest[path..]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let engine = rest[host..rest.len() - path.len()].to_owned();
        let is_cut = Arc::new(watch::channel(false).0);
        let cut = Arc::clone(&is_cut);
        tokio::spawn(async move {
            while let Ok((mut node, _)) = listener.accept().await {
                let (engine, mut cut) = (engine.clone(), cut.subscribe());
                if *cut.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let mut engine = TcpStream::connect(engine).await.expect("an engine");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut node, &mut engine) => {}
                        _ = cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { url: format!("{scheme}://{login}{address}{path}"), is_cut }
    }

    /// Ends all connections, and takes no other ones.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Takes connections again.
    pub(crate) fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}
