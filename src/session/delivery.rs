use crate::frame::SharedMessage;

/// One message on its way to one subscription.
#[derive(Debug, Clone)]
pub struct Delivery {
    message: SharedMessage,
    tag: u64,
    redelivered: bool,
}

/// Which subscription of a connection, as the leaving half numbers them.
///
/// A number is used again after its subscription has ended; the generation tells the two apart, so
/// that what was on its way to the old one is never delivered to the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriptionKey {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl SubscriptionKey {
    /// The key with this number and generation. Sessions make their own; this is for tests of what
    /// takes keys, such as a broker.
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }
}

impl Delivery {
    /// A delivery of `message`, for the first time and with tag 0.
    pub fn new(message: SharedMessage) -> Self {
        Self { message, tag: 0, redelivered: false }
    }

    /// Sets the [`tag`](Self::tag).
    #[must_use]
    pub fn with_tag(mut self, tag: u64) -> Self {
        self.tag = tag;
        self
    }

    /// Marks it as delivered to somebody before, who did not acknowledge it.
    #[must_use]
    pub fn with_redelivered(mut self, redelivered: bool) -> Self {
        self.redelivered = redelivered;
        self
    }

    /// What all copies of the message share.
    pub fn message(&self) -> &SharedMessage {
        &self.message
    }

    /// The broker's own name for the delivery, handed back when it is settled. 0 where nothing is
    /// to be settled.
    pub fn tag(&self) -> u64 {
        self.tag
    }

    /// Whether it was delivered to somebody before, who did not acknowledge it.
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }
}
