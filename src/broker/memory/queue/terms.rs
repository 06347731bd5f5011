use std::sync::Arc;

use super::super::super::{BrokerError, Destination, QueueOverflow, QueuePolicy};
use super::super::bytes::Bytes;
use super::super::counters::Counters;

/// What a queue goes by: its policy, and what it shares with the others.
#[derive(Debug)]
pub(in super::super) struct Terms {
    pub(in super::super) policy: QueuePolicy,
    /// Whether it is there for the replies to one connection, and vanishes with it.
    pub(in super::super) temporary: bool,
    /// What all queues hold together.
    pub(in super::super) total: Arc<Bytes>,
    pub(in super::super) counters: Arc<Counters>,
}

impl Terms {
    /// Says why a queue that holds so much has no room for a message of `more` bytes, if so.
    pub(super) fn check(
        &self,
        destination: &Destination,
        messages: usize,
        bytes: usize,
        more: usize,
    ) -> Result<(), BrokerError> {
        let destination = || destination.to_string();
        if messages >= self.policy.messages {
            let limit = self.policy.messages;
            return Err(BrokerError::TooManyMessages { destination: destination(), limit });
        }
        if bytes.saturating_add(more) > self.policy.bytes {
            let limit = self.policy.bytes;
            return Err(BrokerError::Full { destination: destination(), bytes, limit });
        }
        Ok(())
    }

    pub(super) fn drops_oldest(&self) -> bool {
        self.policy.overflow == QueueOverflow::DropOldest
    }
}
