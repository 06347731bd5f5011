//! From a destination to the outlets of its subscribers on this node.

mod batch;
mod channel;
mod flush;
mod gathering;
mod history;
mod holding;
mod log;
mod members;
mod patterns;
mod retained;
mod shared;
mod table;
mod trie;

use std::sync::Arc;
use std::time::Instant;

use crate::session::Delivery;

#[cfg(feature = "kafka")]
use super::HistoryRequest;
use super::{Destination, DestinationRules, Host, Outcome, Subscriber, SubscriberId, Turn};

pub(super) use channel::Channel;
use channel::Closed;
pub(super) use flush::Flush;
#[cfg(feature = "kafka")]
pub(super) use log::Lack;
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
    /// Whether a pattern is a name like any other.
    patterns_are_names: bool,
}

impl Router {
    /// A router without subscribers.
    pub fn new() -> Self {
        Self { table: Arc::new(Table::new()), shared: Arc::default(), patterns_are_names: false }
    }

    /// From now on a pattern is a name like any other: for a broker whose engine matches patterns, and
    /// sends a message once for each that the node listens to. What comes by the pattern's
    /// subscription is [routed](Self::route) to the pattern, which keeps nothing.
    #[cfg(any(feature = "nats", feature = "rabbitmq"))]
    pub(super) fn with_patterns_as_names(self) -> Self {
        Self { patterns_are_names: true, ..self }
    }

    /// A router whose destinations keep what these rules say, for subscribers who come late; all
    /// together at most so many bytes, of which those go first that would have expired soonest.
    ///
    /// What is kept is given back in time only if [`handle_deadline`](Self::handle_deadline) is
    /// called at [`next_deadline`](Self::next_deadline).
    pub fn with_history(rules: Arc<DestinationRules>, bytes: usize) -> Self {
        let shared = Arc::new(Shared::with_history(rules, bytes));
        Self { table: Arc::new(Table::new()), shared, patterns_are_names: false }
    }

    /// As [`with_history`](Self::with_history), for a broker whose engine keeps the history: here is
    /// the last part of it, to the front of which older messages can be
    /// added.
    #[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
    pub(super) fn window(rules: Arc<DestinationRules>, bytes: usize) -> Self {
        let router = Self::with_history(rules, bytes);
        // Room for what is added at the front.
        router.shared.leave_off_at(1 << 48);
        router
    }

    /// Names the program that takes over flushes which would hold up a publisher. Without one,
    /// publishers do all of the work. Only the first call counts.
    pub fn attach(&self, host: Arc<dyn Host>) {
        // A second host is the caller's mistake, and the first one goes on serving.
        self.shared.attach(host);
    }

    /// Adds a subscriber to a destination or a pattern: it is delivered what is routed from now on.
    /// Returns whether it is the first one there. One with the same id is replaced.
    ///
    /// One that asks for history is delivered that first, from the end of the turn on, in slices:
    /// after one for which its outlet answered [`Taken::Queued`](super::Taken::Queued) it waits to
    /// be [resumed](Self::resume), and what is routed meanwhile waits in the history. If that drops
    /// it before it is read, the next message [says so](Delivery::has_gap). So does the first
    /// message where something that was asked for is gone, or may be:
    ///
    /// - `Last` asks for what there is, and has no gap.
    /// - `After` a token that is not known here, such as one of an earlier run of the program, or
    ///   one whose message was dropped together with others behind it: everything that is kept is
    ///   delivered, with a gap. A token is one of this router's own, or that of a message in the
    ///   history that was [routed](Self::route) with it.
    /// - `Within` a time that reaches back to a message that was dropped, or to before the
    ///   destination was in use.
    ///
    /// There is no history of a pattern: what a subscriber asks for there is ignored, so callers
    /// refuse it.
    pub fn subscribe(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> bool {
        if self.is_pattern(destination) {
            return self.shared.patterns.subscribe(destination, subscriber);
        }
        let reads = subscriber.history.is_some();
        let mut subscriber = subscriber;
        loop {
            let channel = self.open(destination, turn.now());
            match channel.join(subscriber, turn.now()) {
                Ok(first) => {
                    if reads {
                        turn.touch(channel);
                    }
                    return first;
                }
                Err(Closed(back)) => subscriber = back,
            }
        }
    }

    /// A subscriber's outlet has written what it had answered
    /// [`Taken::Queued`](super::Taken::Queued) or [`Taken::Full`](super::Taken::Full) for: it goes on
    /// reading history, and holds publishers no more.
    pub fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn) {
        self.shared.holding.release(subscriber);
        if let Some(channel) = self.table.find(destination) {
            channel.resume(subscriber);
            turn.touch(channel);
        }
    }

    /// Removes a subscriber from a destination or a pattern. Returns whether it was the last one
    /// there; false also if it was not there.
    pub fn unsubscribe(&self, destination: &Destination, subscriber: SubscriberId) -> bool {
        let last = if self.is_pattern(destination) {
            self.shared.patterns.unsubscribe(destination, subscriber)
        } else {
            self.leave(destination, subscriber)
        };
        self.shared.holding.release(subscriber);
        last
    }

    fn leave(&self, destination: &Destination, subscriber: SubscriberId) -> bool {
        let Some(channel) = self.table.find(destination) else { return false };
        let last = channel.leave(subscriber);
        if last {
            self.table.retire(&channel);
        }
        last
    }

    /// Gives a message its place behind all others of its destination. It is delivered when the turn
    /// ends. A destination without subscribers and history costs a look-up.
    ///
    /// Where it is kept, the message gets a token that names its place, unless it has one: that of
    /// an engine which has ordered it. A router can so be the window of the last messages that an
    /// engine's subscribers resume from.
    ///
    /// The outcome is pending where more waits to be delivered than a few megabytes: it is complete
    /// when that is being delivered. It is pending too while a subscriber's outlet is
    /// [full](super::Taken::Full): it is complete when all those were [resumed](Self::resume) or
    /// have left. The place is taken in any case, and what a full outlet is delivered nevertheless
    /// is bounded by its connection.
    pub fn route(&self, destination: &Destination, delivery: Delivery, turn: &mut Turn) -> Outcome {
        let mut delivery = delivery;
        loop {
            let channel = match self.table.find(destination) {
                Some(channel) => channel,
                None if self.is_wanted(destination) => self.open(destination, turn.now()),
                None => return Outcome::done(),
            };
            match channel.append(delivery, turn.now()) {
                Ok(outcome) => {
                    turn.touch(channel);
                    self.shared.retained.evict();
                    return outcome;
                }
                Err(Closed(back)) => delivery = back,
            }
        }
    }

    /// Adds messages to the front of what a destination keeps, each with the instant at which it was
    /// published. They are delivered to nobody who is there, only to those who ask for history. What
    /// was published up to `lost` may be missing.
    #[cfg(any(feature = "nats", feature = "redis"))]
    pub(super) fn prepend(
        &self,
        destination: &Destination,
        older: &[(Instant, Delivery)],
        lost: Instant,
        now: Instant,
    ) {
        while !self.open(destination, now).prepend(older, lost, now) {}
        self.shared.retained.evict();
    }

    /// What this router lacks of the history that is asked for: `None` if it is all there, or nobody
    /// can know of what is missing.
    #[cfg(feature = "kafka")]
    pub(super) fn lacks(
        &self,
        destination: &Destination,
        request: &HistoryRequest,
        now: Instant,
    ) -> Option<Lack> {
        self.open(destination, now).lacks(request, now)
    }

    /// Adds messages to the front of what a destination keeps, each with the instant at which it was
    /// published, if the front is still where it was. Returns whether it was. What was published up to
    /// `lost` may be missing.
    #[cfg(feature = "kafka")]
    pub(super) fn prepend_at(
        &self,
        destination: &Destination,
        lack: &Lack,
        older: &[(Instant, Delivery)],
        lost: Instant,
        now: Instant,
    ) -> bool {
        let added = self.open(destination, now).prepend_at(lack, older, lost, now);
        self.shared.retained.evict();
        added
    }

    /// What was published up to this instant may be missing from every destination that is new.
    #[cfg(feature = "kafka")]
    pub(super) fn lost_until(&self, instant: Instant) {
        self.shared.retained.lose(instant);
    }

    /// Whether a message to a destination would be kept, or delivered to anybody.
    #[cfg(feature = "kafka")]
    pub(super) fn is_of_use(&self, destination: &Destination) -> bool {
        self.table.find(destination).is_some() || self.is_wanted(destination)
    }

    /// Drops what a destination keeps: what comes next does not follow on it.
    #[cfg(any(feature = "nats", feature = "redis"))]
    pub(super) fn forget(&self, destination: &Destination) {
        if let Some(channel) = self.table.find(destination) {
            channel.evict_all();
        }
    }

    /// Tells those who listen to a destination that messages may be missing: the next one that each
    /// is delivered [says so](Delivery::has_gap).
    #[cfg(feature = "nats")]
    pub(super) fn gap(&self, destination: &Destination) {
        if let Some(channel) = self.table.find(destination) {
            channel.gap();
        }
    }

    /// How many destinations are in use: somebody has subscribed to them, or something waits there.
    pub fn destinations(&self) -> usize {
        self.table.len()
    }

    /// How many have subscribed to a destination, or to exactly this pattern.
    pub fn subscribers(&self, destination: &Destination) -> usize {
        if self.is_pattern(destination) {
            return self.shared.patterns.subscribers(destination);
        }
        self.table.find(destination).map_or(0, |channel| channel.subscribers())
    }

    /// How many bytes of history are kept, overhead included.
    pub fn retained_bytes(&self) -> usize {
        self.shared.retained.bytes()
    }

    /// When [`handle_deadline`](Self::handle_deadline) is to be called: when messages that are kept
    /// expire, or earlier. The host is told when it becomes earlier.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.shared.retained.next_deadline()
    }

    /// Drops history that has expired.
    pub fn handle_deadline(&self, now: Instant) {
        self.shared.retained.expire(now);
    }

    fn is_pattern(&self, destination: &Destination) -> bool {
        !self.patterns_are_names && destination.is_pattern()
    }

    /// Whether anybody listens to a destination for which there is no channel, or it keeps history.
    fn is_wanted(&self, destination: &Destination) -> bool {
        self.shared.patterns.match_any(destination) || !self.shared.retention(destination).is_none()
    }

    /// The channel of a destination, made if it is not there.
    fn open(&self, destination: &Destination, now: Instant) -> Arc<Channel> {
        self.table.find(destination).unwrap_or_else(|| {
            let (table, shared) = (Arc::downgrade(&self.table), Arc::clone(&self.shared));
            self.table.open(destination, || Channel::new(destination.clone(), table, shared, now))
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
