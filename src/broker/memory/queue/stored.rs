use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::frame::SharedMessage;

use super::super::super::{BrokerError, Destination, Message};

/// A message that a queue holds.
#[derive(Debug)]
pub(in super::super) struct Stored {
    pub(in super::super) message: SharedMessage,
    /// Its place in the queue.
    pub(super) position: u64,
    /// What it was counted as: it grows when it is first encoded for an older version of STOMP.
    pub(super) bytes: usize,
    /// How often it may have reached a consumer.
    pub(super) attempts: u32,
    /// When it expires, if it ever does.
    pub(super) expires: Option<Instant>,
    /// The queues that it has died in before it came here.
    pub(in super::super) trail: Option<Arc<[Destination]>>,
}

/// A message on its way into a queue.
#[derive(Debug)]
pub(in super::super) struct Arrival {
    pub(in super::super) message: SharedMessage,
    pub(in super::super) bytes: usize,
    /// How long it may wait, by its own header.
    pub(in super::super) expiration: Option<Duration>,
    pub(in super::super) trail: Option<Arc<[Destination]>>,
}

/// Why a message will not be delivered any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Cause {
    Expired,
    Rejected,
    TooManyDeliveries,
}

impl Cause {
    /// The `dead-letter-reason` header.
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::TooManyDeliveries => "too many deliveries",
        }
    }
}

impl Arrival {
    /// A message that somebody published.
    pub(in super::super) fn new(message: Message) -> Result<Self, BrokerError> {
        let expiration = message.expiration()?;
        let message = message.into_shared();
        Ok(Self { bytes: message.size(), message, expiration, trail: None })
    }
}

impl Stored {
    /// Whether it must not be delivered any more. At the very instant it still may be: what is sent
    /// with `expiration:0` reaches a consumer that waits for it.
    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires < now)
    }
}
