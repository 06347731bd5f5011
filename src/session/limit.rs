use std::fmt;

use crate::frame::Fault;

use super::SessionError;

/// A limit of a connection, by name: what an error was about, and what a server counts.
///
/// ```
/// use stompbox::session::{Limit, SessionError};
///
/// let error = SessionError::Limit { of: Limit::Subscriptions, limit: 1_000 };
/// assert_eq!(error.limit(), Some(Limit::Subscriptions));
/// assert_eq!(error.to_string(), "at most 1000 subscriptions are allowed on one connection");
/// assert_eq!(Limit::Subscriptions.name(), "subscriptions");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::head`](crate::frame::Limits::head): octets in the head of a frame.
    FrameHead,
    /// [`Limits::headers`](crate::frame::Limits::headers): headers in a frame.
    FrameHeaders,
    /// [`Limits::body`](crate::frame::Limits::body): octets in the body of a frame.
    FrameBody,
    /// A WebSocket message, in bytes: a little more than one frame.
    Message,
    /// [`SessionSettings::subscriptions`](super::SessionSettings::subscriptions).
    Subscriptions,
    /// [`SessionSettings::subscription_bytes`](super::SessionSettings::subscription_bytes).
    SubscriptionBytes,
    /// [`SessionSettings::transactions`](super::SessionSettings::transactions).
    Transactions,
    /// [`SessionSettings::transaction_frames`](super::SessionSettings::transaction_frames).
    TransactionFrames,
    /// [`SessionSettings::transaction_bytes`](super::SessionSettings::transaction_bytes).
    TransactionBytes,
    /// [`SessionSettings::waiting_bytes`](super::SessionSettings::waiting_bytes).
    WaitingBytes,
    /// How long a connection may read nothing of what waits for it.
    ReadTime,
    /// [`SessionSettings::connect_timeout`](super::SessionSettings::connect_timeout).
    ConnectTime,
    /// [`SlowConsumer::bytes`](super::SlowConsumer::bytes).
    SlowConsumerBytes,
    /// [`SlowConsumer::time`](super::SlowConsumer::time).
    SlowConsumerTime,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 14] = [
        Self::FrameHead,
        Self::FrameHeaders,
        Self::FrameBody,
        Self::Message,
        Self::Subscriptions,
        Self::SubscriptionBytes,
        Self::Transactions,
        Self::TransactionFrames,
        Self::TransactionBytes,
        Self::WaitingBytes,
        Self::ReadTime,
        Self::ConnectTime,
        Self::SlowConsumerBytes,
        Self::SlowConsumerTime,
    ];

    /// The name, as it stands beside a counter: `transaction-bytes`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FrameHead => "frame-head",
            Self::FrameHeaders => "frame-headers",
            Self::FrameBody => "frame-body",
            Self::Message => "message",
            Self::Subscriptions => "subscriptions",
            Self::SubscriptionBytes => "subscription-bytes",
            Self::Transactions => "transactions",
            Self::TransactionFrames => "transaction-frames",
            Self::TransactionBytes => "transaction-bytes",
            Self::WaitingBytes => "waiting-bytes",
            Self::ReadTime => "read-time",
            Self::ConnectTime => "connect-time",
            Self::SlowConsumerBytes => "slow-consumer-bytes",
            Self::SlowConsumerTime => "slow-consumer-time",
        }
    }
}

/// What it limits, in the plural.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FrameHead => "octets in the head of a frame",
            Self::FrameHeaders => "headers in a frame",
            Self::FrameBody => "octets in the body of a frame",
            Self::Message => "bytes in a WebSocket message",
            Self::Subscriptions => "subscriptions",
            Self::SubscriptionBytes => "bytes of subscriptions",
            Self::Transactions => "open transactions",
            Self::TransactionFrames => "frames in transactions",
            Self::TransactionBytes => "bytes in transactions",
            Self::WaitingBytes => "bytes that wait to be read",
            Self::ReadTime => "seconds without reading",
            Self::ConnectTime => "seconds without CONNECT",
            Self::SlowConsumerBytes => "bytes that wait for one subscription",
            Self::SlowConsumerTime => "seconds that deliveries wait for one subscription",
        })
    }
}

impl SessionError {
    /// The limit that was exceeded, if the error is that one was.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Frame(error) => match error.fault() {
                Fault::HeadTooLong { .. } => Some(Limit::FrameHead),
                Fault::TooManyHeaders { .. } => Some(Limit::FrameHeaders),
                Fault::BodyTooLong { .. } => Some(Limit::FrameBody),
                _ => None,
            },
            Self::Limit { of, .. } => Some(*of),
            Self::SlowConsumer { .. } => Some(Limit::WaitingBytes),
            Self::NotReading { .. } => Some(Limit::ReadTime),
            Self::ConnectTimeout { .. } => Some(Limit::ConnectTime),
            Self::SlowSubscription { .. } => Some(Limit::SlowConsumerBytes),
            Self::OverdueSubscription { .. } => Some(Limit::SlowConsumerTime),
            _ => None,
        }
    }
}
