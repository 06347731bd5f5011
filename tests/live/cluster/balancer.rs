//! A TCP load balancer: what stands between clients and nodes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Takes connections and hands each on to a node, in turn, leaving out those that take none.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    links: Arc<Links>,
    accepting: AbortHandle,
}

/// The connections that it passes on.
struct Links {
    nodes: Vec<SocketAddr>,
    next: AtomicUsize,
    /// By the address of the client.
    alive: Mutex<HashMap<SocketAddr, Link>>,
}

struct Link {
    /// The place of the node.
    node: usize,
    passing: AbortHandle,
}

impl Balancer {
    pub(crate) async fn start(nodes: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (next, alive) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
        let links = Arc::new(Links { nodes, next, alive });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&links))).abort_handle();
        Self { address, links, accepting }
    }

    /// How many connections each node has.
    pub(crate) fn shares(&self) -> Vec<usize> {
        let mut shares = vec![0; self.links.nodes.len()];
        for link in self.links.alive.lock().values() {
            shares[link.node] += 1;
        }
        shares
    }

    /// Cuts all connections. Returns how many there were.
    pub(crate) fn cut(&self) -> usize {
        let links: Vec<_> = self.links.alive.lock().drain().collect();
        for (_, link) in &links {
            link.passing.abort();
        }
        links.len()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, links: Arc<Links>) {
    loop {
        // A client that is gone again is no reason to end.
        let Ok((client, address)) = listener.accept().await else { continue };
        let connecting = Arc::clone(&links);
        tokio::spawn(async move {
            // Without a node that lives the connection ends.
            let Some((node, stream)) = connect(&connecting).await else { return };
            // Under the lock, so that it is in the table before it can leave it.
            let mut alive = connecting.alive.lock();
            let passing = tokio::spawn(pass(client, stream, Arc::clone(&connecting), address));
            alive.insert(address, Link { node, passing: passing.abort_handle() });
        });
    }
}

/// Connects to the next node that takes the connection.
async fn connect(links: &Links) -> Option<(usize, TcpStream)> {
    for _ in &links.nodes {
        let node = links.next.fetch_add(1, Ordering::Relaxed) % links.nodes.len();
        if let Ok(stream) = TcpStream::connect(links.nodes[node]).await {
            return Some((node, stream));
        }
    }
    None
}

/// Passes on all that comes from either side, until one of them ends.
async fn pass(mut client: TcpStream, mut node: TcpStream, links: Arc<Links>, address: SocketAddr) {
    drop((client.set_nodelay(true), node.set_nodelay(true)));
    drop(copy_bidirectional(&mut client, &mut node).await);
    links.alive.lock().remove(&address);
}
