//! From a destination to the outlets of its subscribers on this node.

mod channel;
mod flush;

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::locks::RwLock;
use crate::session::Delivery;

use super::{Destination, Host, Outcome, Subscriber, SubscriberId, Turn};

pub(super) use channel::Channel;
pub use flush::Work;

/// How many locks the table of destinations is spread over. Publishers take a read lock of one of
/// them for a look-up; only a destination's first subscriber and its last write.
const SHARDS: usize = if cfg!(stompbox_loom) { 1 } else { 64 };

/// A part of the table of destinations.
type Shard = RwLock<HashMap<Destination, Arc<Channel>>>;

/// Knows which subscriptions of this node listen to which destination, and delivers to all of them.
///
/// Every broker delivers through a router: [`MemoryBroker`](super::MemoryBroker) what is published,
/// an adapter what its engine sends, for which it needs one upstream subscription a destination
/// however many subscribers listen here: [`subscribe`](Self::subscribe) says when the first came,
/// [`unsubscribe`](Self::unsubscribe) when the last left.
///
/// Deliveries of one destination are combined: whoever publishes while somebody else is delivering
/// there leaves its message with them.
pub struct Router {
    shards: Box<[Shard]>,
    hasher: RandomState,
    host: Arc<OnceLock<Arc<dyn Host>>>,
}

impl Router {
    /// A router without subscribers.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            host: Arc::default(),
        }
    }

    /// Names the program that takes over flushes which would hold up a publisher. Without one,
    /// publishers do all of the work. Only the first call counts.
    pub fn attach(&self, host: Arc<dyn Host>) {
        // A second host is the caller's mistake, and the first one goes on serving.
        drop(self.host.set(host));
    }

    /// Adds a subscriber: it is delivered what is routed from now on. Returns whether it is the
    /// first one of its destination. One with the same id is replaced.
    pub fn subscribe(&self, destination: &Destination, subscriber: Subscriber) -> bool {
        let mut shard = self.shard(destination).write();
        match shard.entry(destination.clone()) {
            Entry::Occupied(channel) => {
                channel.get().join(subscriber);
                false
            }
            Entry::Vacant(vacant) => {
                let channel = vacant.insert(Arc::new(Channel::new(Arc::clone(&self.host))));
                channel.join(subscriber);
                true
            }
        }
    }

    /// Removes a subscriber. Returns whether it was the last one of its destination; false also if
    /// it was not there.
    pub fn unsubscribe(&self, destination: &Destination, subscriber: SubscriberId) -> bool {
        let mut shard = self.shard(destination).write();
        let Some(channel) = shard.get(destination) else { return false };
        let last = channel.leave(subscriber);
        if last {
            shard.remove(destination);
        }
        last
    }

    /// Gives a message its place behind all others of its destination. It is delivered when the turn
    /// ends. A destination without subscribers costs a look-up.
    ///
    /// The outcome is pending where more waits to be delivered than a few megabytes: it is complete
    /// when that is being delivered. The place is taken in any case.
    pub fn route(&self, destination: &Destination, delivery: Delivery, turn: &mut Turn) -> Outcome {
        let channel = self.shard(destination).read().get(destination).cloned();
        let Some(channel) = channel else { return Outcome::done() };
        let outcome = channel.append(delivery);
        turn.touch(channel);
        outcome
    }

    /// How many destinations have a subscriber.
    pub fn destinations(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// How many subscribers a destination has.
    pub fn subscribers(&self, destination: &Destination) -> usize {
        let channel = self.shard(destination).read().get(destination).cloned();
        channel.map_or(0, |channel| channel.subscribers())
    }

    /// When [`handle_deadline`](super::Broker::handle_deadline) of the router's broker is wanted
    /// for the router's own sake. Routing itself never waits for an instant.
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    #[allow(clippy::indexing_slicing)] // The index is a remainder of the length, which is not 0.
    fn shard(&self, destination: &Destination) -> &Shard {
        let hash = self.hasher.hash_one(destination);
        // The remainder of a 64-bit hash fits any usize.
        #[allow(clippy::cast_possible_truncation)]
        let index = hash as usize % self.shards.len();
        &self.shards[index]
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("destinations", &self.destinations()).finish_non_exhaustive()
    }
}
