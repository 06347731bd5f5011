use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::engine::Item;
use super::super::{BrokerError, Destination, Message};
use super::node::{ENGINE, Node};
use super::streams::Streams;

/// What is to be published to streams that are not open yet: it waits for them, in order, and what is
/// to go elsewhere does not wait for it.
pub(super) struct Holding {
    node: Arc<Node>,
    streams: Arc<Streams>,
    /// By the name of the stream.
    held: HashMap<String, VecDeque<Held>>,
    opening: JoinSet<Opened>,
}

struct Held {
    since: Instant,
    item: Item<Message>,
}

/// What became of an attempt to open a stream.
struct Opened {
    wanted: Config,
    /// On whose behalf it was.
    destination: Destination,
    result: Result<(), BrokerError>,
}

/// How long something is held.
const TIME: Duration = Duration::from_secs(10);

/// How long to wait before another attempt to open a stream.
const PAUSE: Duration = Duration::from_millis(200);

impl Holding {
    pub(super) fn new(node: Arc<Node>, streams: Arc<Streams>) -> Self {
        Self { node, streams, held: HashMap::new(), opening: JoinSet::new() }
    }

    /// Gives a message back that can be published to its stream, and holds any other.
    pub(super) fn hold(&mut self, wanted: &Config, item: Item<Message>) -> Option<Item<Message>> {
        let is_held = self.held.contains_key(&wanted.name);
        if !is_held && self.streams.is_open(&wanted.name) {
            return Some(item);
        }
        if !is_held {
            self.open(wanted.clone(), item.what.destination().clone(), Duration::ZERO);
        }
        let held = Held { since: Instant::now(), item };
        self.held.entry(wanted.name.clone()).or_default().push_back(held);
        None
    }

    fn open(&mut self, wanted: Config, destination: Destination, pause: Duration) {
        let streams = Arc::clone(&self.streams);
        self.opening.spawn(async move {
            sleep(pause).await;
            let result = streams.open(&wanted, &destination).await.map(|_| ());
            Opened { wanted, destination, result }
        });
    }

    /// Waits until a stream is open, and returns what was held for it.
    pub(super) async fn opened(&mut self) -> Option<Vec<Item<Message>>> {
        while let Some(joined) = self.opening.join_next().await {
            let Ok(Opened { wanted, destination, result }) = joined else { continue };
            match result {
                Ok(()) => {
                    let held = self.held.remove(&wanted.name).into_iter().flatten();
                    return Some(held.map(|held| held.item).collect());
                }
                Err(BrokerError::Unavailable { .. }) if self.is_wanted(&wanted.name) => {
                    self.open(wanted, destination, PAUSE);
                }
                Err(error) => {
                    for held in self.held.remove(&wanted.name).into_iter().flatten() {
                        self.node.outbox.answer(held.item.number, Err(error.clone()));
                    }
                }
            }
        }
        None
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.held.get(name).is_some_and(|held| !held.is_empty())
    }

    /// Gives up what was held for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let is_old = |held: &Held| now.saturating_duration_since(held.since) >= TIME;
        for held in self.held.values_mut() {
            while held.front().is_some_and(is_old)
                && let Some(held) = held.pop_front()
            {
                let unavailable = BrokerError::Unavailable { engine: ENGINE };
                self.node.outbox.answer(held.item.number, Err(unavailable));
            }
        }
    }
}
