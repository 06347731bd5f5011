use std::sync::Arc;
use std::time::Instant;

use crate::session::Delivery;

use super::super::super::{Completer, Subscriber, SubscriberId, Taken};
use super::super::batch::Batch;
use super::super::flush::{Flush, Next, Order};
use super::super::history::Slice;
use super::{Channel, State};

/// What waits is delivered by one at a time, and those who deliver say what became of it.
impl Channel {
    /// Delivers what waits, unless somebody else is at it, who then takes it along. Where several
    /// publish it is done a little later, to take along what the others are about to.
    pub(in super::super::super) fn flush(self: &Arc<Self>, publisher: Option<u64>, now: Instant) {
        let Some(gathers) = self.begin_flush(publisher, now) else { return };
        let flush = Flush::new(Arc::clone(self));
        match self.host() {
            Some(host) if gathers => host.hand_over(flush.into()),
            _ => flush.run(now),
        }
    }

    /// Becomes the one who flushes, if there is something to do and nobody is at it. Returns whether
    /// a flush a turn of the scheduler later is likely to take more along.
    fn begin_flush(&self, publisher: Option<u64>, now: Instant) -> Option<bool> {
        let state = &mut *self.state.lock();
        state.gathering.came(publisher);
        if state.flushing || !state.is_waiting() {
            return None;
        }
        state.flushing = true;
        Some(state.gathering.begin(state.members.len(), now))
    }

    /// What there is to do next: a batch, which is put into `batch`, or a slice of history, which is
    /// put into `slice`. Ends the flush where there is neither.
    pub(in super::super) fn next(
        &self,
        batch: &mut Batch,
        slice: &mut Vec<Delivery>,
        order: Order,
    ) -> Next {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        slice.clear();
        if let Some(left_over) = state.left_over.take() {
            *batch = left_over;
            return Next::Batch;
        }
        if order == Order::SliceFirst || state.pending.is_empty() {
            if order == Order::NoSlice && state.is_read() {
                return Next::Later;
            }
            if let Some(read) = state.read(slice) {
                return Next::Slice(read);
            }
        }
        if state.pending.is_empty() {
            state.pending.keep_room(batch);
            state.flushing = false;
            return if state.is_idle() { Next::Idle } else { Next::Ended };
        }
        self.fill(batch, state);
        let waiters = state.released();
        drop(guard);
        // They are woken, which is no work for under a lock.
        for waiter in waiters {
            waiter.complete(Ok(()));
        }
        Next::Batch
    }

    /// Moves what is pending to `batch`, with those that it is for.
    fn fill(&self, batch: &mut Batch, state: &mut State) {
        state.pending.move_to(batch, state.next);
        if state.generation != self.shared.patterns.generation() {
            let matching = &mut state.matching;
            state.generation = self.shared.patterns.find_matching(&self.destination, matching);
        }
        let matching = state.matching.iter().map(|set| set.snapshot());
        batch.set_listeners(state.members.snapshot(), matching);
    }

    /// A slice of history was delivered.
    pub(in super::super) fn taken(&self, slice: &Slice, taken: Taken) {
        if let Some(history) = &mut self.state.lock().history {
            history.taken(slice, taken);
        }
    }

    /// Gives up flushing, in the middle of a batch perhaps. What is left of it, and what waits, is
    /// taken by whoever publishes next.
    pub(in super::super) fn abandon_flush(&self, left_over: Option<Batch>) {
        let state = &mut *self.state.lock();
        // One that was lost before it began has left what the last one did.
        state.left_over = left_over.or(state.left_over.take());
        state.flushing = false;
    }

    /// A subscriber is full, by its answer: it holds the publishers, unless it was resumed before its
    /// answer came here.
    pub(in super::super) fn is_full(self: &Arc<Self>, subscriber: &Subscriber, now: Instant) {
        let holding = &self.shared.holding;
        if holding.hold(subscriber.id, self) && subscriber.deliver(&[], now) != Taken::Full {
            holding.let_go(subscriber.id, self);
        }
    }

    /// From now on a subscriber holds the publishers. Returns whether it did not, and is here.
    pub(in super::super) fn hold(&self, subscriber: SubscriberId) -> bool {
        let state = &mut *self.state.lock();
        let is_here = state.members.contains(subscriber)
            || state.matching.iter().any(|set| set.contains(subscriber));
        is_here && state.full.insert(subscriber)
    }

    /// A subscriber holds the publishers no more. Returns those that are free.
    pub(in super::super) fn release(&self, subscriber: SubscriberId) -> Vec<Completer> {
        let state = &mut *self.state.lock();
        state.full.remove(&subscriber);
        state.released()
    }
}
