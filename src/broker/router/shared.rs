use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::super::Host;
use super::patterns::Patterns;

/// What all channels of a router share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) host: OnceLock<Arc<dyn Host>>,
    pub(super) patterns: Patterns,
    /// The highest position that any channel had come to that is gone. A new one begins there, so
    /// that no position of a destination is ever given twice.
    positions: AtomicU64,
}

impl Shared {
    /// Where a new channel begins.
    pub(super) fn first_position(&self) -> u64 {
        self.positions.load(Ordering::Acquire)
    }

    /// Notes how far a channel had come that is removed now.
    pub(super) fn leave_off_at(&self, position: u64) {
        self.positions.fetch_max(position, Ordering::AcqRel);
    }
}
