use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`MemoryBroker`](super::MemoryBroker)'s queues did with messages other than to deliver
/// them: see [`MemoryBroker::counters`](super::MemoryBroker::counters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryBrokerCounters {
    /// SENDs that were refused since the queue, or all queues together, were full.
    pub refused: u64,
    /// Messages that made room for newer ones
    /// ([`QueueOverflow::DropOldest`](super::super::QueueOverflow::DropOldest)).
    pub dropped: u64,
    /// Messages that were rejected, or delivered as often as they may be, where no
    /// [`dead_letter`](super::super::QueuePolicy::dead_letter) destination is named or
    /// [`RejectedPolicy::Discard`](super::super::RejectedPolicy::Discard) is set.
    pub discarded: u64,
    /// Messages that expired, whether they went to a dead-letter destination or not.
    pub expired: u64,
    /// Messages that went to a dead-letter destination.
    pub dead_lettered: u64,
    /// Messages that had no place to go to: those for a dead-letter destination that is full, or
    /// that they had been at before, and replies to a reply queue that is full, or gone.
    pub undeliverable: u64,
}

/// The counters of a running broker.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) refused: Counter,
    pub(super) dropped: Counter,
    pub(super) discarded: Counter,
    pub(super) expired: Counter,
    pub(super) dead_lettered: Counter,
    pub(super) undeliverable: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn totals(&self) -> MemoryBrokerCounters {
        MemoryBrokerCounters {
            refused: self.refused.count(),
            dropped: self.dropped.count(),
            discarded: self.discarded.count(),
            expired: self.expired.count(),
            dead_lettered: self.dead_lettered.count(),
            undeliverable: self.undeliverable.count(),
        }
    }
}
