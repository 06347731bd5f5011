use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::locks::Mutex;
use crate::session::Delivery;

use super::super::{Completer, Host, Outcome, Subscriber, SubscriberId};
use super::flush::Flush;

/// One destination with subscribers: who they are, and what waits to be delivered to them.
///
/// The lock is never held while something is delivered. A flush takes the queue and a snapshot of
/// the members, and whoever publishes meanwhile appends to the queue and leaves.
pub(in super::super) struct Channel {
    state: Mutex<State>,
    host: Arc<OnceLock<Arc<dyn Host>>>,
}

#[derive(Default)]
struct State {
    /// What was routed and not yet taken by a flush.
    queue: Vec<Delivery>,
    /// The position of the next message routed.
    next: u64,
    /// Whether somebody is delivering.
    flushing: bool,
    /// What `queue` takes, in bytes.
    bytes: usize,
    /// Who waits until there is room in `queue` again.
    waiters: Vec<Completer>,
    /// What a flush took and was given up with: goes before the queue.
    left_over: Option<Batch>,
    members: Vec<Member>,
    /// Where in `members` each subscriber is, so that leaving does not search 100,000 others.
    places: HashMap<SubscriberId, usize>,
    /// `members` as the flushes share it; made again at the first flush after a change.
    snapshot: Option<Arc<[Member]>>,
}

/// A subscriber and the position at which it joined.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) subscriber: Subscriber,
    /// The first position that it is delivered.
    pub(super) from: u64,
}

/// What one round of a flush delivers.
pub(super) struct Batch {
    pub(super) deliveries: Vec<Delivery>,
    /// The position of the first of them.
    pub(super) first: u64,
    pub(super) members: Arc<[Member]>,
    /// The next of the members to deliver to.
    pub(super) cursor: usize,
}

impl Batch {
    /// The deliveries that are for this member: what was routed before it joined is not.
    pub(super) fn for_member(&self, member: &Member) -> &[Delivery] {
        let skipped = usize::try_from(member.from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.deliveries.get(skipped..).unwrap_or_default()
    }
}

/// The most deliveries that a queue keeps room for while nothing is in it.
const KEPT_CAPACITY: usize = 8;

/// How many bytes may wait to be delivered at one destination. What is published beyond that takes
/// its place all the same, but its outcome is pending: a connection that has many such outcomes is
/// not read from, and so does not run ahead of the subscribers.
const WAITING_BYTES: usize = 4 << 20;

impl Channel {
    pub(super) fn new(host: Arc<OnceLock<Arc<dyn Host>>>) -> Self {
        Self { state: Mutex::default(), host }
    }

    /// Adds a subscriber, or replaces the one with its id.
    pub(super) fn join(&self, subscriber: Subscriber) {
        let state = &mut *self.state.lock();
        let place = *state.places.entry(subscriber.id).or_insert(state.members.len());
        let member = Member { subscriber, from: state.next };
        match state.members.get_mut(place) {
            Some(same) => *same = member,
            None => state.members.push(member),
        }
        state.snapshot = None;
    }

    /// Returns whether nobody is left because of this.
    pub(super) fn leave(&self, subscriber: SubscriberId) -> bool {
        let state = &mut *self.state.lock();
        let Some(place) = state.places.remove(&subscriber) else { return false };
        state.members.swap_remove(place);
        if let Some(moved) = state.members.get(place) {
            state.places.insert(moved.subscriber.id, place);
        }
        state.snapshot = None;
        state.members.is_empty()
    }

    pub(super) fn subscribers(&self) -> usize {
        self.state.lock().members.len()
    }

    /// Appends to what waits to be delivered. The outcome is pending if that is too much.
    pub(super) fn append(&self, delivery: Delivery) -> Outcome {
        let state = &mut *self.state.lock();
        state.bytes += delivery.message().size();
        state.queue.push(delivery);
        state.next += 1;
        if state.bytes <= WAITING_BYTES {
            return Outcome::done();
        }
        let (completer, outcome) = Outcome::pending();
        state.waiters.push(completer);
        outcome
    }

    /// Delivers what waits, unless somebody else is at it, who then takes it along.
    pub(in super::super) fn flush(self: &Arc<Self>, now: Instant) {
        if self.begin_flush() {
            Flush::new(Arc::clone(self)).run(now);
        }
    }

    /// Becomes the one who flushes, if there is something to do and nobody is at it.
    pub(super) fn begin_flush(&self) -> bool {
        let state = &mut *self.state.lock();
        let waits = !state.queue.is_empty() || state.left_over.is_some();
        let begin = !state.flushing && waits;
        state.flushing |= begin;
        begin
    }

    /// Takes what another flush left over, or all that waits; ends the flush where nothing does.
    pub(super) fn next_batch(&self, mut spent: Vec<Delivery>) -> Option<Batch> {
        spent.clear();
        if spent.capacity() > KEPT_CAPACITY {
            spent = Vec::new();
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if let Some(batch) = state.left_over.take() {
            return Some(batch);
        }
        if state.queue.is_empty() {
            state.queue = spent;
            state.flushing = false;
            return None;
        }
        let deliveries = std::mem::replace(&mut state.queue, spent);
        let first = state.next - deliveries.len() as u64;
        let members = state.snapshot.get_or_insert_with(|| state.members.as_slice().into());
        let batch = Batch { deliveries, first, members: Arc::clone(members), cursor: 0 };
        state.bytes = 0;
        let waiters = std::mem::take(&mut state.waiters);
        drop(guard);
        // They are woken, which is no work for under a lock.
        for waiter in waiters {
            waiter.complete(Ok(()));
        }
        Some(batch)
    }

    /// Gives up flushing, in the middle of a batch perhaps. What is left of it, and what waits, is
    /// taken by whoever publishes next.
    pub(super) fn abandon_flush(&self, left_over: Option<Batch>) {
        let state = &mut *self.state.lock();
        state.left_over = left_over;
        state.flushing = false;
    }

    pub(super) fn host(&self) -> Option<&Arc<dyn Host>> {
        self.host.get()
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}
