mod flushing;
mod keeping;

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::locks::Mutex;
use crate::session::{Delivery, Token};

use super::super::{
    Completer, Destination, HistoryRequest, Host, Outcome, Subscriber, SubscriberId,
};
use super::batch::{Batch, Pending};
use super::gathering::Gathering;
use super::history::{History, Reading, Slice};
use super::log::Start;
use super::members::{Member, Members};
use super::patterns::PatternSet;
use super::shared::Shared;
use super::table::Table;

/// One destination that is in use: who listens, and what waits to be delivered to them.
///
/// The lock is never held while something is delivered. A flush takes what waits and a snapshot of
/// the members, and whoever publishes meanwhile appends to what waits and leaves.
///
/// A channel is made when somebody subscribes to its destination, or when something is published
/// that a pattern matches; it is [closed](Self::close) when nobody subscribes, nothing waits and
/// nobody delivers. Whoever has found it before that is refused and looks again, so that messages
/// of one destination never take two ways.
pub(in super::super) struct Channel {
    destination: Destination,
    table: Weak<Table>,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was routed and not yet taken by a flush.
    pending: Pending,
    /// The position of the next message routed.
    next: u64,
    /// Whether somebody is delivering.
    flushing: bool,
    gathering: Gathering,
    /// Who waits until there is room again.
    waiters: Vec<Completer>,
    /// The subscribers that hold the publishers.
    full: HashSet<SubscriberId>,
    /// What a flush took and was given up with: goes before what is pending.
    left_over: Option<Batch>,
    members: Members,
    /// The patterns that match, as of this generation of them.
    matching: Vec<Arc<PatternSet>>,
    generation: u64,
    /// What is kept, where anything is to be.
    history: Option<Box<History>>,
    closed: bool,
}

/// The channel has been removed, and there may be another one, to which this belongs.
#[derive(Debug)]
pub(super) struct Closed<T>(pub(super) T);

/// How many bytes may wait to be delivered at one destination. What is published beyond that takes
/// its place all the same, but its outcome is pending: a connection that has many such outcomes is
/// not read from, and so does not run ahead of the subscribers.
const WAITING_BYTES: usize = 4 << 20;

impl Channel {
    pub(super) fn new(
        destination: Destination,
        table: Weak<Table>,
        shared: Arc<Shared>,
        now: Instant,
    ) -> Self {
        let (next, retention) = (shared.first_position(), shared.retention(&destination));
        let made = || Box::new(History::new(retention, next, shared.retained.lost(now)));
        let history = (!retention.is_none()).then(made);
        let state = State { next, history, ..State::default() };
        Self { destination, table, shared, state: Mutex::new(state) }
    }

    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Adds a subscriber, or replaces the one with its id. Returns whether it is the first one.
    pub(super) fn join(
        &self,
        mut subscriber: Subscriber,
        now: Instant,
    ) -> Result<bool, Closed<Subscriber>> {
        let state = &mut *self.state.lock();
        if state.closed {
            return Err(Closed(subscriber));
        }
        let first = state.subscribers() == 0;
        state.remove(subscriber.id);
        let start = subscriber.history.take().map(|request| match &state.history {
            Some(history) => history.log.start(&request, self.shared.epoch(), now),
            // Nothing is kept, and nobody knows what there was.
            None => {
                let gap = !matches!(request, HistoryRequest::Last(_));
                Start { position: state.next, gap }
            }
        });
        let start = start.unwrap_or(Start { position: state.next, gap: false });
        match &mut state.history {
            Some(history) if start.position < state.next => history.join(subscriber, start),
            _ => {
                let Start { position: from, gap } = start;
                state.members.insert(Member { subscriber, from, gap });
            }
        }
        Ok(first)
    }

    /// Returns whether nobody is left because of this.
    pub(super) fn leave(&self, subscriber: SubscriberId) -> bool {
        let state = &mut *self.state.lock();
        state.remove(subscriber) && state.subscribers() == 0
    }

    pub(super) fn subscribers(&self) -> usize {
        self.state.lock().subscribers()
    }

    /// A subscriber's outlet has written what it kept of history: it goes on.
    pub(super) fn resume(&self, subscriber: SubscriberId) {
        if let Some(history) = &mut self.state.lock().history {
            history.resume(subscriber);
        }
    }

    /// Messages may be missing: each member is told so by the next one that it is delivered.
    #[cfg(feature = "nats")]
    pub(super) fn gap(&self) {
        self.state.lock().members.set_gap();
    }

    /// A subscriber was told that messages are missing.
    pub(super) fn told_of_gap(&self, subscriber: SubscriberId) {
        if let Some(member) = self.state.lock().members.get_mut(subscriber) {
            member.gap = false;
        }
    }

    /// Appends to what waits to be delivered, and to what is kept. The outcome is pending if too
    /// much waits.
    pub(super) fn append(
        self: &Arc<Self>,
        delivery: Delivery,
        now: Instant,
    ) -> Result<Outcome, Closed<Delivery>> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed {
            return Err(Closed(delivery));
        }
        let mut earlier = false;
        let delivery = match &mut state.history {
            Some(history) => {
                let delivery = self.with_token(delivery, state.next);
                history.log.append(delivery.clone(), now, &self.shared.retained);
                if history.place.is_some() == history.log.is_empty() {
                    earlier = self.place(history);
                }
                delivery
            }
            None => delivery,
        };
        state.pending.push(delivery, self.shared.patterns.joins());
        state.next += 1;
        let outcome = if state.has_room() {
            Outcome::done()
        } else {
            let (completer, outcome) = Outcome::pending();
            state.waiters.push(completer);
            outcome
        };
        drop(guard);
        if earlier && let Some(host) = self.shared.host() {
            host.deadline_changed();
        }
        Ok(outcome)
    }

    /// Adds messages to the front of what is kept. Returns false if the channel was closed.
    #[cfg(any(feature = "nats", feature = "redis"))]
    pub(super) fn prepend(
        self: &Arc<Self>,
        older: &[(Instant, Delivery)],
        lost: Instant,
        now: Instant,
    ) -> bool {
        let mut guard = self.state.lock();
        if guard.closed {
            return false;
        }
        let Some(history) = &mut guard.history else { return true };
        history.log.prepend(older, lost, now, &self.shared.retained);
        let earlier = self.place(history);
        drop(guard);
        if earlier && let Some(host) = self.shared.host() {
            host.deadline_changed();
        }
        true
    }

    /// A message that an engine ordered has a token of its own; any other gets its position.
    fn with_token(&self, delivery: Delivery, position: u64) -> Delivery {
        if delivery.token().is_some() {
            return delivery;
        }
        delivery.with_token(Token::position(self.shared.epoch(), position))
    }

    /// Closes the channel if it is not used any more.
    pub(super) fn close(&self) -> bool {
        let state = &mut *self.state.lock();
        if state.is_idle() && !state.closed {
            state.closed = true;
            self.shared.leave_off_at(state.next);
            if let Some(history) = &state.history {
                self.shared.retained.lose(history.log.lost());
            }
        }
        state.closed
    }

    /// Removes the channel from its router if it is not used any more.
    pub(super) fn retire(self: &Arc<Self>) {
        if let Some(table) = self.table.upgrade() {
            table.retire(self);
        }
    }

    pub(super) fn host(&self) -> Option<&Arc<dyn Host>> {
        self.shared.host()
    }
}

impl State {
    fn subscribers(&self) -> usize {
        self.members.len() + self.history.as_ref().map_or(0, |history| history.readers())
    }

    /// Returns whether it was there.
    fn remove(&mut self, subscriber: SubscriberId) -> bool {
        let read = self.history.as_mut().is_some_and(|history| history.leave(subscriber));
        self.members.remove(subscriber) || read
    }

    /// Whether publishers may go on.
    fn has_room(&self) -> bool {
        self.pending.bytes <= WAITING_BYTES && self.full.is_empty()
    }

    /// Those who wait, if they may go on.
    fn released(&mut self) -> Vec<Completer> {
        if self.has_room() { std::mem::take(&mut self.waiters) } else { Vec::new() }
    }

    /// Whether somebody reads history, and may go on.
    fn is_read(&self) -> bool {
        self.history.as_ref().is_some_and(|history| history.is_ready())
    }

    /// Whether there is something to deliver.
    fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || self.left_over.is_some() || self.is_read()
    }

    fn is_idle(&self) -> bool {
        self.members.is_empty()
            && !self.flushing
            && !self.is_waiting()
            && self.waiters.is_empty()
            && self.full.is_empty()
            && self.history.as_ref().is_none_or(|history| history.is_idle())
    }

    /// The next slice of history for somebody. Those that are at the end become members.
    fn read(&mut self, slice: &mut Vec<Delivery>) -> Option<Slice> {
        let history = self.history.as_deref_mut()?;
        loop {
            match history.read(slice)? {
                Reading::Slice(read) => return Some(read),
                Reading::CaughtUp(member) => self.members.insert(member),
            }
        }
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("destination", &self.destination).finish_non_exhaustive()
    }
}
