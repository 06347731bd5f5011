use std::time::Duration;

use super::super::Destination;

/// How a queue treats its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueuePolicy {
    /// The most messages, unsettled ones included. Default: 100,000.
    pub messages: usize,
    /// The most bytes, with what they cost to keep. Default: 16 MiB, so that a consumer that is away
    /// for a while is served, and one that never comes does not take the node down.
    pub bytes: usize,
    /// What becomes of a SEND to a queue that is full. Default: it is refused.
    pub overflow: QueueOverflow,
    /// What becomes of a message that its consumer rejected by NACK. Default: it goes back to its
    /// old place.
    pub rejected: RejectedPolicy,
    /// How often a message is delivered at the most, counting those deliveries that may have reached
    /// a consumer; after that it goes to
    /// [`dead_letter`](Self::dead_letter). Default: without end.
    pub deliveries: Option<u32>,
    /// Where messages go that were delivered too often, that were rejected under
    /// [`RejectedPolicy::DeadLetter`], or that expired: a queue or a topic. Default: nowhere, they
    /// are dropped.
    ///
    /// They keep their headers, but for `expiration`, and say why and where they died:
    /// `dead-letter-reason` is `expired`, `rejected` or `too many deliveries`, `dead-letter-from`
    /// the queue. One that finds no room there, or that was there before, is dropped and counted.
    pub dead_letter: Option<Destination>,
    /// How long a message may wait for a consumer, where its own `expiration` header (in
    /// milliseconds) does not say less. Default: without end.
    ///
    /// What has expired is never delivered. It is taken out of the queue when it would be delivered,
    /// or within a second if nobody comes for it.
    pub expiration: Option<Duration>,
}

/// What becomes of a SEND to a queue that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum QueueOverflow {
    /// It is refused by an ERROR.
    #[default]
    Refuse,
    /// The oldest messages that no consumer has make room for it. Where consumers have all of them,
    /// it is the oldest itself and is dropped. What is larger than the whole queue may be, or finds
    /// all queues together full, is refused all the same.
    DropOldest,
}

/// What becomes of a message that its consumer rejected (STOMP 1.2, "NACK").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RejectedPolicy {
    /// It goes back to its old place, to be delivered again at once.
    #[default]
    Requeue,
    /// It goes back to its old place after this time.
    Delay(Duration),
    /// It is dropped.
    Discard,
    /// It goes to [`QueuePolicy::dead_letter`].
    DeadLetter,
}

impl QueuePolicy {
    /// The settings that say something else than the default, as a rule calls them.
    #[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
    pub(in super::super) fn settings(&self) -> impl Iterator<Item = &'static str> {
        let default = Self::default();
        let all = [
            ("messages", self.messages != default.messages),
            ("bytes", self.bytes != default.bytes),
            ("full", self.overflow != default.overflow),
            ("nack", self.rejected != default.rejected),
            ("deliveries", self.deliveries != default.deliveries),
            ("dead-letter", self.dead_letter != default.dead_letter),
            ("expiration", self.expiration != default.expiration),
        ];
        all.into_iter().filter(|(_, says)| *says).map(|(setting, _)| setting)
    }
}

impl Default for QueuePolicy {
    fn default() -> Self {
        Self {
            messages: 100_000,
            bytes: 16 << 20,
            overflow: QueueOverflow::Refuse,
            rejected: RejectedPolicy::Requeue,
            deliveries: None,
            dead_letter: None,
            expiration: None,
        }
    }
}
