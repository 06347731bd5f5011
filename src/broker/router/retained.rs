use std::cmp::Ordering as Order;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::locks::Mutex;

use super::channel::Channel;

/// What all destinations of a router keep together: how much it is, and what goes next.
///
/// Each destination that keeps something stands once in a heap, at the instant at which its oldest
/// message expires, or at an earlier one: it is put right only when its turn comes. So a message
/// costs nothing here, expiry needs no ticking, and where everything together is too much, that goes
/// which would have expired soonest, whoever published last.
#[derive(Default)]
pub(super) struct Retained {
    bytes: AtomicUsize,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    heap: BinaryHeap<Due>,
    /// The newest message may be of this instant that a destination had which is gone, or that was
    /// published before there was anything here.
    lost: Option<Instant>,
}

/// A destination whose oldest message expires at an instant, or later.
struct Due {
    at: Instant,
    channel: Weak<Channel>,
}

/// How many destinations one call looks at: a thousand that expire together must not hold up others.
const AT_ONCE: usize = 256;

impl Retained {
    /// All together keep at most so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.bytes() > self.limit
    }

    /// Up to when messages may be lost of a destination that is made now.
    pub(super) fn lost(&self, now: Instant) -> Instant {
        *self.state.lock().lost.get_or_insert(now)
    }

    /// A destination is gone that may have had messages up to this instant.
    pub(super) fn lose(&self, until: Instant) {
        let lost = &mut self.state.lock().lost;
        *lost = (*lost).max(Some(until));
    }

    /// Puts a destination into the heap. Returns whether it is the first there.
    pub(super) fn insert(&self, channel: Weak<Channel>, due: Instant) -> bool {
        let heap = &mut self.state.lock().heap;
        let first = heap.peek().is_none_or(|first| due < first.at);
        heap.push(Due { at: due, channel });
        first
    }

    /// When something is to be done.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.state.lock().heap.peek().map(|first| first.at)
    }

    /// Drops what has expired: some of it, if there is much.
    pub(super) fn expire(&self, now: Instant) {
        for _ in 0..AT_ONCE {
            let Some((channel, _)) = self.pop(Some(now)) else { return };
            if let Some(channel) = channel.upgrade() {
                let due = channel.expire(now);
                self.put_back(&channel, due);
            }
        }
    }

    /// Drops what expires soonest, for as long as all together is too much.
    pub(super) fn evict(&self) {
        while self.is_over() {
            let Some((channel, next)) = self.pop(None) else { return };
            if let Some(channel) = channel.upgrade() {
                let due = channel.evict(next);
                self.put_back(&channel, due);
            }
        }
    }

    /// Takes the first one out, if it is due until then, and tells when the next one is.
    fn pop(&self, until: Option<Instant>) -> Option<(Weak<Channel>, Option<Instant>)> {
        let heap = &mut self.state.lock().heap;
        if heap.peek().is_some_and(|first| until.is_some_and(|until| until < first.at)) {
            return None;
        }
        let first = heap.pop()?;
        Some((first.channel, heap.peek().map(|next| next.at)))
    }

    /// `due` is `None` where the destination keeps nothing any more.
    fn put_back(&self, channel: &Arc<Channel>, due: Option<Instant>) {
        match due {
            Some(due) => drop(self.insert(Arc::downgrade(channel), due)),
            None => channel.retire(),
        }
    }
}

impl Ord for Due {
    /// The earliest is the greatest, since a heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Order {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for Due {}
