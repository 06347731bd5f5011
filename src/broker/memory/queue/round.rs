use std::ops::Range;
use std::time::Instant;

use crate::session::Delivery;

use super::super::super::{Subscriber, Taken};
use super::stored::{Cause, Stored};

/// What a dispatcher does between two looks at the queue: a run of messages for each of some
/// consumers, and messages that died.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// All runs, one behind the other.
    pub(super) deliveries: Vec<Delivery>,
    pub(super) shares: Vec<Share>,
    pub(super) dead: Vec<(Stored, Cause)>,
}

/// The run of one consumer.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) subscriber: Subscriber,
    /// The consumer's serial number, and how often it had been resumed.
    pub(super) serial: u64,
    pub(super) resumed: u64,
    /// Where its messages stand.
    pub(super) run: Range<usize>,
    /// What became of it; nothing until it is delivered.
    pub(super) taken: Taken,
}

/// A round keeps room for so many deliveries while there is nothing to do.
const KEPT_ROOM: usize = 128;

impl Round {
    pub(super) fn is_empty(&self) -> bool {
        self.shares.is_empty() && self.dead.is_empty()
    }

    /// How much work it is: what a budget counts.
    pub(super) fn len(&self) -> usize {
        self.deliveries.len() + self.dead.len()
    }

    /// Delivers every run to its consumer.
    pub(super) fn deliver(&mut self, now: Instant) {
        for share in &mut self.shares {
            if let Some(run) = self.deliveries.get(share.run.clone()) {
                share.taken = share.subscriber.deliver(run, now);
            }
        }
    }

    /// The round again, without anything in it, if it is not too large to be kept.
    pub(super) fn spare(mut self) -> Option<Self> {
        self.deliveries.clear();
        self.shares.clear();
        let small = self.deliveries.capacity().max(self.shares.capacity()) <= KEPT_ROOM;
        (small && self.dead.is_empty()).then_some(self)
    }
}
