use crate::frame::HeaderName;

use super::super::AckMode;

/// A message to be sent: see [`ClientSession::send`](super::ClientSession::send).
///
/// ```
/// use stompbox::session::NewMessage;
///
/// let message = NewMessage::to("/queue/orders")
///     .with_header("content-type", "application/json")
///     .with_body(b"{}")
///     .in_transaction("t1");
/// # let _ = message;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a message is sent by `ClientSession::send`"]
pub struct NewMessage<'a> {
    pub(super) destination: &'a str,
    pub(super) headers: Vec<(&'a str, &'a str)>,
    pub(super) body: &'a [u8],
    pub(super) transaction: Option<&'a str>,
}

/// A subscription to be made: see [`ClientSession::subscribe`](super::ClientSession::subscribe).
///
/// ```
/// use stompbox::session::{AckMode, NewSubscription};
///
/// let subscription = NewSubscription::new("0", "/queue/orders")
///     .with_ack(AckMode::ClientIndividual)
///     .with_header("prefetch-count", "10");
/// # let _ = subscription;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a subscription is made by `ClientSession::subscribe`"]
pub struct NewSubscription<'a> {
    pub(super) id: &'a str,
    pub(super) destination: &'a str,
    pub(super) ack: AckMode,
    pub(super) headers: Vec<(&'a str, &'a str)>,
}

impl<'a> NewMessage<'a> {
    /// A message to `destination`, without further headers and without a body.
    pub const fn to(destination: &'a str) -> Self {
        Self { destination, headers: Vec::new(), body: b"", transaction: None }
    }

    /// Adds a header. `destination`, `transaction`, `receipt` and `content-length` are the
    /// session's.
    pub fn with_header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets the body.
    pub const fn with_body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }

    /// Sends it as a part of an open transaction.
    pub const fn in_transaction(mut self, transaction: &'a str) -> Self {
        self.transaction = Some(transaction);
        self
    }
}

impl<'a> NewSubscription<'a> {
    /// A subscription to `destination` in mode `auto`. The `id` is the caller's choice and unique in
    /// its session.
    pub const fn new(id: &'a str, destination: &'a str) -> Self {
        Self { id, destination, ack: AckMode::Auto, headers: Vec::new() }
    }

    /// Sets how deliveries are acknowledged.
    pub const fn with_ack(mut self, ack: AckMode) -> Self {
        self.ack = ack;
        self
    }

    /// Adds a header. `id`, `destination`, `ack` and `receipt` are the session's.
    pub fn with_header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// Headers of SEND that the session writes itself.
pub(super) const RESERVED_OF_SEND: [HeaderName; 4] = [
    HeaderName::Destination,
    HeaderName::Transaction,
    HeaderName::Receipt,
    HeaderName::ContentLength,
];

/// Headers of SUBSCRIBE that the session writes itself.
pub(super) const RESERVED_OF_SUBSCRIBE: [HeaderName; 5] = [
    HeaderName::Id,
    HeaderName::Destination,
    HeaderName::Ack,
    HeaderName::Receipt,
    HeaderName::ContentLength,
];
