use std::time::Duration;

/// What a subscriber wants of the messages that were kept before it came: the headers `history` and
/// `since` of a SUBSCRIBE, an extension of STOMP.
///
/// The subscriber is delivered what was kept from there on, and then what is published from now on:
/// without a gap, without a duplicate. Where something of what was asked for is gone, or may be, the
/// first message it is delivered says so ([`Delivery::has_gap`](crate::session::Delivery::has_gap)).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryRequest {
    /// `history:N`: the last messages, at most so many.
    Last(u64),
    /// `since:<token>`: what came after the message that carried this `token`.
    After(Box<str>),
    /// `since:<time>`: what was published within this time before now.
    Within(Duration),
}
