use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::super::{Destination, DestinationRules, Host, Retention};
use super::holding::Holding;
use super::patterns::Patterns;
use super::retained::Retained;

/// What all channels of a router share.
#[derive(Default)]
pub(super) struct Shared {
    attached: OnceLock<Attached>,
    pub(super) patterns: Patterns,
    /// What each destination keeps.
    rules: Arc<DestinationRules>,
    /// Whether any of them keeps anything.
    keeps: bool,
    pub(super) retained: Retained,
    pub(super) holding: Holding,
    /// The highest position that any channel had come to that is gone. A new one begins there, so
    /// that no position of a destination is ever given twice.
    positions: AtomicU64,
}

/// Who runs the broker.
struct Attached {
    host: Arc<dyn Host>,
    epoch: u64,
}

impl Shared {
    /// What keeps history by these rules, at most so many bytes of it.
    pub(super) fn with_history(rules: Arc<DestinationRules>, bytes: usize) -> Self {
        let (keeps, retained) = (rules.keep_history(), Retained::new(bytes));
        Self { rules, keeps, retained, ..Self::default() }
    }

    /// Only the first call counts.
    pub(super) fn attach(&self, host: Arc<dyn Host>) {
        self.attached.get_or_init(|| Attached { epoch: host.epoch(), host });
    }

    pub(super) fn host(&self) -> Option<&Arc<dyn Host>> {
        self.attached.get().map(|attached| &attached.host)
    }

    /// Tells the positions of this run of the program from those of others.
    pub(super) fn epoch(&self) -> u64 {
        self.attached.get().map_or(0, |attached| attached.epoch)
    }

    /// What a destination keeps. A pattern keeps nothing.
    pub(super) fn retention(&self, destination: &Destination) -> Retention {
        let keeps = self.keeps && !destination.is_pattern();
        if keeps { self.rules.policy(destination).retention } else { Retention::NONE }
    }

    /// Where a new channel begins.
    pub(super) fn first_position(&self) -> u64 {
        self.positions.load(Ordering::Acquire)
    }

    /// Notes how far a channel had come that is removed now.
    pub(super) fn leave_off_at(&self, position: u64) {
        self.positions.fetch_max(position, Ordering::AcqRel);
    }
}
