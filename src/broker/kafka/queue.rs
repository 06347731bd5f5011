use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::engine::Consumers;
use super::super::{BrokerError, Destination};
use super::ENGINE;
use super::place::Place;

/// A queue, which is a topic.
pub(super) struct Queue {
    pub(super) destination: Destination,
    pub(super) topic: String,
    pub(super) consumers: Consumers<Place>,
    /// Since when it has no consumers.
    left: Mutex<Option<Instant>>,
}

/// How long the partitions of a queue are kept after its last consumer: who comes back at once finds
/// everything where it was.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// How many messages are read ahead at the least.
const AHEAD: usize = 16;

impl Queue {
    pub(super) fn new(destination: Destination, topic: String) -> Self {
        Self { destination, topic, consumers: Consumers::with_requeue(), left: Mutex::default() }
    }

    /// Tells its consumers that Kafka refuses them.
    pub(super) fn refuse(&self, reason: &str) {
        let (destination, reason) = (self.destination.to_string(), reason.to_owned());
        self.consumers.refuse(&BrokerError::Refused { destination, reason, engine: ENGINE });
    }

    /// When it is left, if it has no consumers.
    pub(super) fn leaves_at(&self, now: Instant) -> Option<Instant> {
        let mut left = self.left.lock();
        if !self.consumers.is_empty() {
            *left = None;
            return None;
        }
        Some(*left.get_or_insert(now) + LINGER)
    }

    /// Whether Kafka is to be asked for more, or no more: nothing is said in between. So many records
    /// wait for their partitions to be open.
    pub(super) fn wants_more(&self, waiting: usize) -> Option<bool> {
        let ready = self.consumers.ready() + waiting;
        let ahead = self.consumers.credit().max(AHEAD);
        if self.consumers.is_empty() || ready >= ahead {
            return Some(false);
        }
        (ready <= ahead / 2).then_some(true)
    }
}
