use std::time::Duration;

/// What becomes of deliveries to a subscription whose client reads too slowly.
///
/// A subscription is too slow when more than [`bytes`](Self::bytes) of its deliveries wait, or when
/// some have waited longer than [`time`](Self::time). It never applies to messages of queues: a queue
/// passes over a consumer that is blocked.
///
/// Beyond it a connection is bounded as a whole, whatever its subscriptions' policies:
/// [`SessionSettings::waiting_bytes`](super::SessionSettings::waiting_bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowConsumer {
    /// What is done about it.
    pub action: SlowConsumerAction,
    /// How many bytes of deliveries may wait for a subscription, with what they cost to keep.
    pub bytes: usize,
    /// How long deliveries may wait.
    pub time: Duration,
}

/// What is done about a subscription that is too slow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowConsumerAction {
    /// The connection is ended with an ERROR.
    Close,
    /// The oldest deliveries that wait are dropped.
    DropOldest,
    /// The new deliveries are dropped.
    DropNewest,
    /// Of the deliveries with the same value of a header only the latest is kept: for messages that
    /// each say all there is to know, such as prices by `symbol`. Where that is not enough, or a
    /// message lacks the header, the oldest are dropped.
    KeepLatest {
        /// The header's name.
        key: Box<str>,
    },
    /// Publishers to the destination are held, by not reading from them, until the subscription has
    /// caught up. After [`SlowConsumer::time`] it is ended with an ERROR.
    HoldPublisher,
}

impl SlowConsumer {
    /// An action with the default bounds: 512 KiB, 20 s.
    pub fn new(action: SlowConsumerAction) -> Self {
        Self { action, bytes: 512 << 10, time: Duration::from_secs(20) }
    }
}

impl Default for SlowConsumer {
    /// Closes.
    fn default() -> Self {
        Self::new(SlowConsumerAction::Close)
    }
}
