//! Nodes on one engine, behind a balancer.

use std::time::{Duration, Instant};

use stompbox::broker::{self, BrokerOptions, Capabilities};
use tokio::sync::{Mutex, MutexGuard};

use crate::balancer::Balancer;
use crate::client::{Client, Diary, Mode, PATIENCE};
use crate::engine::Engine;
use crate::program::Program;

/// What a test has to know of an engine.
pub(crate) struct Kind {
    /// Its script in `tests/live/engines`.
    pub(crate) script: &'static str,
    /// The setting that has its URL.
    pub(crate) url: &'static str,
    /// How many destinations the nodes listen to, by what the engine says; each node counts.
    pub(crate) upstreams: fn(&Engine) -> usize,
    /// How many bytes the engine says that it has sent to its clients.
    pub(crate) sent_bytes: fn(&Engine) -> u64,
    /// Whether each node reads all that is published, and so misses nothing; of a queue each node then
    /// has some partitions, and what one client sends is in one of them.
    pub(crate) reads_all: bool,
}

/// How many nodes there are.
pub(crate) const NODES: usize = 3;

/// What nodes keep, if they can.
const RULES: [&str; 2] = ["/topic/kept/**,history=100000,history-bytes=16MiB", "/topic/live/**"];

/// Three nodes on one engine, behind a balancer.
pub(crate) struct Cluster {
    pub(crate) engine: Engine,
    pub(crate) balancer: Balancer,
    /// What the nodes' broker can do.
    pub(crate) can: Capabilities,
    pub(crate) kind: &'static Kind,
    nodes: Vec<Option<Program>>,
    /// How many sockets each node had open before any but its first client had come.
    sockets: Vec<usize>,
    /// Part of each destination, so that no other test and no other run has it.
    mark: String,
    _turn: MutexGuard<'static, ()>,
}

/// One test at a time: they end the engine that they share.
static TURN: Mutex<()> = Mutex::const_new(());

impl Cluster {
    pub(crate) async fn start(kind: &'static Kind) -> Self {
        let turn = TURN.lock().await;
        let engine = Engine::lent(kind.script, kind.url);
        let options = RULES.map(|rule| rule.parse().expect("a rule")).into_iter();
        let options = options.fold(BrokerOptions::default(), BrokerOptions::rule);
        let connecting = broker::connect(&engine.url, options);
        let can = connecting.await.expect("the engine").capabilities();
        let nodes: Vec<_> = (0..NODES).map(|_| node(&engine.url)).collect();
        let addresses = nodes.iter().map(|node| node.web_socket.parse().expect("an address"));
        let balancer = Balancer::start(addresses.collect()).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut cluster = Self {
            engine,
            balancer,
            can,
            kind,
            nodes: nodes.into_iter().map(Some).collect(),
            sockets: Vec::new(),
            mark: format!("{:x}", now.expect("a time after 1970").as_nanos()),
            _turn: turn,
        };
        for place in 0..NODES {
            cluster.warm_up(place).await;
        }
        cluster.sockets = cluster.nodes.iter().flatten().map(Program::sockets).collect();
        cluster
    }

    /// Has a client use all that there is at a node, which may open sockets once for all clients.
    async fn warm_up(&self, place: usize) {
        let client = Client::connect(self.node(place)).await;
        let mut destinations = vec![(self.kept_room(usize::MAX), Mode::Listen)];
        if self.can.queues {
            destinations.push((self.queue(&format!("warm-{place}")), Mode::Settle));
        }
        let word = format!("warm-{place}");
        for (destination, mode) in destinations {
            client.subscribe(&destination, mode).await;
            client.publish(&destination, &word).await;
            // Not a number of messages: in the room there may come what was sent to another node just
            // before, too.
            let came = |diary: &Diary| {
                diary.messages.iter().any(|it| *it.destination == *destination && *it.word == *word)
            };
            client.wait_for("what it sends", came).await;
        }
        client.leave().await;
    }

    /// A topic whose messages are kept, where the engine has history.
    pub(crate) fn kept_room(&self, number: usize) -> String {
        format!("/topic/kept/{}-{number}", self.mark)
    }

    /// A topic whose messages are not kept.
    pub(crate) fn live_room(&self, number: usize) -> String {
        format!("/topic/live/{}-{number}", self.mark)
    }

    pub(crate) fn queue(&self, name: &str) -> String {
        format!("/queue/{}-{name}", self.mark)
    }

    /// The address of one of the nodes.
    pub(crate) fn node(&self, place: usize) -> std::net::SocketAddr {
        let node = self.nodes[place].as_ref().expect("it lives");
        node.web_socket.parse().expect("an address")
    }

    /// Ends a node as a crash would.
    pub(crate) fn kill_node(&mut self, place: usize) {
        self.nodes[place].take().expect("it lives").kill();
    }

    pub(crate) fn upstreams(&self) -> usize {
        tokio::task::block_in_place(|| (self.kind.upstreams)(&self.engine))
    }

    pub(crate) fn sent_bytes(&self) -> u64 {
        tokio::task::block_in_place(|| (self.kind.sent_bytes)(&self.engine))
    }

    /// When all clients have left: nothing of them is left behind, at the nodes and at the engine.
    pub(crate) async fn nothing_stays(&self) {
        until("the engine has nobody who listens", || match self.upstreams() {
            0 => Ok(()),
            count => Err(format!("{count} subscriptions")),
        })
        .await;
        until("the nodes have no more sockets open than before", || {
            let open: Vec<_> =
                self.nodes.iter().map(|node| node.as_ref().map(Program::sockets)).collect();
            let more = open.iter().zip(&self.sockets).any(|(now, before)| *now > Some(*before));
            if more { Err(format!("{open:?} after {:?}", self.sockets)) } else { Ok(()) }
        })
        .await;
    }
}

/// Waits until this is so. The error is how it is instead.
pub(crate) async fn until(what: &str, mut met: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(instead) = met() {
        assert!(Instant::now() < deadline, "{what}: {instead}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn node(url: &str) -> Program {
    Program::start_with(url, &RULES.map(|rule| ["--destination", rule]).concat(), &[])
}
