use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use crate::session::Delivery;

use super::super::{Completer, Destination, Host, Outcome, Subscriber, SubscriberId};
use super::batch::{Batch, Pending};
use super::flush::Flush;
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
    /// Who waits until there is room again.
    waiters: Vec<Completer>,
    /// What a flush took and was given up with: goes before what is pending.
    left_over: Option<Batch>,
    members: Members,
    /// The patterns that match, as of this generation of them.
    matching: Vec<Arc<PatternSet>>,
    generation: u64,
    closed: bool,
}

/// The channel has been removed, and there may be another one, to which this belongs.
#[derive(Debug)]
pub(super) struct Closed<T>(pub(super) T);

/// What there is to do for whoever flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// To deliver a batch.
    Deliver,
    /// Nothing: the flush has ended.
    Ended,
    /// As `Ended`, and the channel is not used any more.
    Idle,
}

/// How many bytes may wait to be delivered at one destination. What is published beyond that takes
/// its place all the same, but its outcome is pending: a connection that has many such outcomes is
/// not read from, and so does not run ahead of the subscribers.
const WAITING_BYTES: usize = 4 << 20;

impl Channel {
    pub(super) fn new(destination: Destination, table: Weak<Table>, shared: Arc<Shared>) -> Self {
        let state = State { next: shared.first_position(), ..State::default() };
        Self { destination, table, shared, state: Mutex::new(state) }
    }

    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Adds a subscriber, or replaces the one with its id. Returns whether it is the first one.
    pub(super) fn join(&self, subscriber: Subscriber) -> Result<bool, Closed<Subscriber>> {
        let state = &mut *self.state.lock();
        if state.closed {
            return Err(Closed(subscriber));
        }
        let first = state.members.is_empty();
        let member = Member { subscriber, from: state.next, gap: false };
        state.members.insert(member);
        Ok(first)
    }

    /// Returns whether nobody is left because of this.
    pub(super) fn leave(&self, subscriber: SubscriberId) -> bool {
        let state = &mut *self.state.lock();
        state.members.remove(subscriber) && state.members.is_empty()
    }

    pub(super) fn subscribers(&self) -> usize {
        self.state.lock().members.len()
    }

    /// Appends to what waits to be delivered. The outcome is pending if that is too much.
    pub(super) fn append(&self, delivery: Delivery) -> Result<Outcome, Closed<Delivery>> {
        let state = &mut *self.state.lock();
        if state.closed {
            return Err(Closed(delivery));
        }
        state.pending.push(delivery, self.shared.patterns.joins());
        state.next += 1;
        if state.pending.bytes <= WAITING_BYTES {
            return Ok(Outcome::done());
        }
        let (completer, outcome) = Outcome::pending();
        state.waiters.push(completer);
        Ok(outcome)
    }

    /// Closes the channel if it is not used any more.
    pub(super) fn close(&self) -> bool {
        let state = &mut *self.state.lock();
        if state.is_idle() && !state.closed {
            state.closed = true;
            self.shared.leave_off_at(state.next);
        }
        state.closed
    }

    /// Removes the channel from its router if it is not used any more.
    pub(super) fn retire(self: &Arc<Self>) {
        if let Some(table) = self.table.upgrade() {
            table.retire(self);
        }
    }

    /// Delivers what waits, unless somebody else is at it, who then takes it along.
    pub(in super::super) fn flush(self: &Arc<Self>, now: Instant) {
        if self.begin_flush() {
            Flush::new(Arc::clone(self)).run(now);
        }
    }

    /// Becomes the one who flushes, if there is something to do and nobody is at it.
    fn begin_flush(&self) -> bool {
        let state = &mut *self.state.lock();
        let begin = !state.flushing && state.is_waiting();
        state.flushing |= begin;
        begin
    }

    /// Puts into `batch` what another flush left over, or all that waits; ends the flush where
    /// nothing does.
    pub(super) fn next(&self, batch: &mut Batch) -> Next {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if let Some(left_over) = state.left_over.take() {
            *batch = left_over;
            return Next::Deliver;
        }
        if state.pending.is_empty() {
            state.pending.keep_room(batch);
            state.flushing = false;
            return if state.is_idle() { Next::Idle } else { Next::Ended };
        }
        state.pending.move_to(batch, state.next);
        batch.members = Some(state.members.snapshot());
        if state.generation != self.shared.patterns.generation() {
            let matching = &mut state.matching;
            state.generation = self.shared.patterns.find_matching(&self.destination, matching);
        }
        batch.matching.extend(state.matching.iter().map(|set| set.snapshot()));
        let waiters = std::mem::take(&mut state.waiters);
        drop(guard);
        // They are woken, which is no work for under a lock.
        for waiter in waiters {
            waiter.complete(Ok(()));
        }
        Next::Deliver
    }

    /// Gives up flushing, in the middle of a batch perhaps. What is left of it, and what waits, is
    /// taken by whoever publishes next.
    pub(super) fn abandon_flush(&self, left_over: Option<Batch>) {
        let state = &mut *self.state.lock();
        state.left_over = left_over;
        state.flushing = false;
    }

    pub(super) fn host(&self) -> Option<&Arc<dyn Host>> {
        self.shared.host.get()
    }
}

impl State {
    /// Whether there is something to deliver.
    fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || self.left_over.is_some()
    }

    fn is_idle(&self) -> bool {
        self.members.is_empty() && !self.flushing && !self.is_waiting()
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("destination", &self.destination).finish_non_exhaustive()
    }
}
