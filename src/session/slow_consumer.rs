use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// What becomes of deliveries to a subscription whose client reads, or settles, too slowly.
///
/// A subscription is too slow when more than [`bytes`](Self::bytes) of its deliveries wait, or when
/// some have waited for [`time`](Self::time). One alone may wait however large it is. It never
/// applies to messages of queues and of history, which are pulled at the speed of their consumer, and
/// not before the broker has confirmed the subscription. What is encoded already, and RECEIPTs, are
/// never dropped. The first delivery behind what was dropped says so
/// ([`Delivery::has_gap`](super::Delivery::has_gap)).
///
/// Beyond it a connection is bounded as a whole, whatever its subscriptions' policies:
/// [`SessionSettings::waiting_bytes`](super::SessionSettings::waiting_bytes). A policy that drops
/// keeps to that bound by dropping, too; the others end the connection.
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
    /// Of the deliveries that wait with the same value of a header only the latest is kept, in the
    /// place of the first: for messages that each say all there is to know, such as prices by
    /// `symbol`. Where that is not enough, or a message lacks the header, the oldest are dropped. What
    /// is the latest may wait longer than [`SlowConsumer::time`].
    KeepLatest {
        /// The header's name.
        key: Box<str>,
    },
    /// Publishers to the destination are held, by not reading from them, while more than
    /// [`SlowConsumer::bytes`] wait and until not more than half of that do. When they have been held
    /// for [`SlowConsumer::time`] the connection is ended with an ERROR.
    HoldPublisher,
}

impl SlowConsumer {
    /// An action with the default bounds: 512 KiB, 20 s.
    pub fn new(action: SlowConsumerAction) -> Self {
        Self { action, bytes: 512 << 10, time: Duration::from_secs(20) }
    }

    /// The default, shared.
    pub(crate) fn shared_default() -> Arc<Self> {
        static DEFAULT: LazyLock<Arc<SlowConsumer>> = LazyLock::new(Arc::default);
        Arc::clone(&DEFAULT)
    }
}

impl Default for SlowConsumer {
    /// Closes.
    fn default() -> Self {
        Self::new(SlowConsumerAction::Close)
    }
}
