//! From a destination to the outlets of its subscribers on this node.

mod batch;
mod channel;
mod flush;
mod members;
mod patterns;
mod shared;
mod table;
mod trie;

use std::sync::Arc;
use std::time::Instant;

use crate::session::Delivery;

use super::{Destination, Host, Outcome, Subscriber, SubscriberId, Turn};

pub(super) use channel::Channel;
use channel::Closed;
pub use flush::Work;
use shared::Shared;
use table::Table;

/// Knows which subscriptions of this node listen to which destination, and delivers to all of them.
///
/// Every broker delivers through a router: [`MemoryBroker`](super::MemoryBroker) what is published,
/// an adapter what its engine sends, for which it needs one upstream subscription a destination
/// however many subscribers listen here: [`subscribe`](Self::subscribe) says when the first came,
/// [`unsubscribe`](Self::unsubscribe) when the last left.
///
/// A subscription is to one destination or to a pattern of them: `*` is one segment, `**` or `#` any
/// number of segments, wherever it stands. A destination is found by a map and patterns by a trie,
/// whose answer each destination in use keeps until a pattern comes or goes; so with 100,000
/// patterns a message costs what it costs with those that match.
///
/// Deliveries of one destination are combined: whoever publishes while somebody else is delivering
/// there leaves its message with them.
pub struct Router {
    table: Arc<Table>,
    shared: Arc<Shared>,
}

impl Router {
    /// A router without subscribers.
    pub fn new() -> Self {
        Self { table: Arc::new(Table::new()), shared: Arc::default() }
    }

    /// Names the program that takes over flushes which would hold up a publisher. Without one,
    /// publishers do all of the work. Only the first call counts.
    pub fn attach(&self, host: Arc<dyn Host>) {
        // A second host is the caller's mistake, and the first one goes on serving.
        drop(self.shared.host.set(host));
    }

    /// Adds a subscriber to a destination or a pattern: it is delivered what is routed from now on.
    /// Returns whether it is the first one there. One with the same id is replaced.
    pub fn subscribe(&self, destination: &Destination, subscriber: Subscriber) -> bool {
        if destination.is_pattern() {
            return self.shared.patterns.subscribe(destination, subscriber);
        }
        let mut subscriber = subscriber;
        loop {
            match self.open(destination).join(subscriber) {
                Ok(first) => return first,
                Err(Closed(back)) => subscriber = back,
            }
        }
    }

    /// Removes a subscriber from a destination or a pattern. Returns whether it was the last one
    /// there; false also if it was not there.
    pub fn unsubscribe(&self, destination: &Destination, subscriber: SubscriberId) -> bool {
        if destination.is_pattern() {
            return self.shared.patterns.unsubscribe(destination, subscriber);
        }
        let Some(channel) = self.table.find(destination) else { return false };
        let last = channel.leave(subscriber);
        if last {
            self.table.retire(&channel);
        }
        last
    }

    /// Gives a message its place behind all others of its destination. It is delivered when the turn
    /// ends. A destination without subscribers costs a look-up.
    ///
    /// The outcome is pending where more waits to be delivered than a few megabytes: it is complete
    /// when that is being delivered. The place is taken in any case.
    pub fn route(&self, destination: &Destination, delivery: Delivery, turn: &mut Turn) -> Outcome {
        let mut delivery = delivery;
        loop {
            let channel = match self.table.find(destination) {
                Some(channel) => channel,
                None if self.shared.patterns.match_any(destination) => self.open(destination),
                None => return Outcome::done(),
            };
            match channel.append(delivery) {
                Ok(outcome) => {
                    turn.touch(channel);
                    return outcome;
                }
                Err(Closed(back)) => delivery = back,
            }
        }
    }

    /// How many destinations are in use: somebody has subscribed to them, or something waits there.
    pub fn destinations(&self) -> usize {
        self.table.len()
    }

    /// How many have subscribed to a destination, or to exactly this pattern.
    pub fn subscribers(&self, destination: &Destination) -> usize {
        if destination.is_pattern() {
            return self.shared.patterns.subscribers(destination);
        }
        self.table.find(destination).map_or(0, |channel| channel.subscribers())
    }

    /// When [`handle_deadline`](super::Broker::handle_deadline) of the router's broker is wanted
    /// for the router's own sake. Routing itself never waits for an instant.
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// The channel of a destination, made if it is not there.
    fn open(&self, destination: &Destination) -> Arc<Channel> {
        self.table.find(destination).unwrap_or_else(|| {
            let (table, shared) = (Arc::downgrade(&self.table), Arc::clone(&self.shared));
            self.table.open(destination, || Channel::new(destination.clone(), table, shared))
        })
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
