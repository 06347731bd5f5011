use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::BrokerError;

/// A bounded count of bytes that several queues share.
#[derive(Debug)]
pub(super) struct Bytes {
    held: AtomicUsize,
    limit: usize,
}

impl Bytes {
    pub(super) fn new(limit: usize) -> Self {
        Self { held: AtomicUsize::new(0), limit }
    }

    pub(super) fn count(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) -> Result<(), BrokerError> {
        let added = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let before = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
        let full = |held| BrokerError::AllFull { bytes: held, limit: self.limit };
        before.map(|_| ()).map_err(full)
    }

    pub(super) fn subtract(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}
