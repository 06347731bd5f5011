use crate::frame::SharedMessage;

use super::Token;

/// One message on its way to one subscription.
#[derive(Debug, Clone)]
pub struct Delivery {
    message: SharedMessage,
    tag: u64,
    token: Option<Token>,
    attempt: u32,
    gap: bool,
    retained: bool,
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
        Self { message, tag: 0, token: None, attempt: 1, gap: false, retained: false }
    }

    /// Sets the [`tag`](Self::tag).
    #[must_use]
    pub fn with_tag(mut self, tag: u64) -> Self {
        self.tag = tag;
        self
    }

    /// Says how often the message was delivered, this time included: see
    /// [`attempt`](Self::attempt).
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets the [`token`](Self::token).
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Says whether messages are missing before this one: see [`has_gap`](Self::has_gap).
    #[must_use]
    pub fn with_gap(mut self, gap: bool) -> Self {
        self.gap = gap;
        self
    }

    /// Marks it as one of the messages that a broker had kept: see
    /// [`is_retained`](Self::is_retained).
    #[must_use]
    pub fn with_retained(mut self, retained: bool) -> Self {
        self.retained = retained;
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

    /// How often the message was delivered, this time included: 1 for the first. From the second on
    /// it carries `redelivered:true` and `delivery-count`.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether it was delivered to somebody before, who did not acknowledge it.
    pub fn is_redelivered(&self) -> bool {
        self.attempt > 1
    }

    /// The message's place in the history of its destination, if there is one: its `token` header.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Whether messages that the subscriber asked for, or would have been delivered, are missing
    /// before this one: its `gap:true` header.
    pub fn has_gap(&self) -> bool {
        self.gap
    }

    /// Whether it comes from what the broker had kept, at the subscriber's wish. There is more of it
    /// than fits a connection's buffers, so the broker is told when it is written
    /// ([`Broker::resume`](crate::broker::Broker::resume)).
    pub fn is_retained(&self) -> bool {
        self.retained
    }
}
