use std::borrow::Cow;
use std::fmt;

use crate::frame::{Command, Frame, HeaderName, Version};

use super::super::{HeartBeat, MessageName};

/// What a server says: the outcome of [`ClientSession::next_event`](super::ClientSession::next_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// CONNECTED: from now on requests can be made.
    Connected(Box<Welcome>),
    /// MESSAGE: a delivery to a live subscription.
    Message(ReceivedMessage),
    /// MESSAGE to no live subscription: it was on its way when the subscription was ended, or it is
    /// the server's own idea, as `RabbitMQ`'s replies to a `reply-to` of `/temp-queue/…` are.
    Stray(ReceivedMessage),
    /// RECEIPT: this request is processed.
    Confirmed(Request),
    /// ERROR: the session is over.
    Error(Box<ServerError>),
    /// The RECEIPT of DISCONNECT: everything before it was processed, and the session is over.
    Disconnected,
}

/// What was asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    pub(super) number: u64,
    pub(super) command: Command,
}

/// Whether the server is asked to confirm a request with a RECEIPT once it is processed
/// (STOMP 1.2, "RECEIPT").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Confirm {
    /// No receipt: the request is sent, and that is all that is known of it.
    #[default]
    No,
    /// A receipt: [`ClientEvent::Confirmed`] says that the request is processed.
    Receipt,
}

/// A CONNECTED frame, with what was negotiated.
#[derive(Debug)]
#[non_exhaustive]
pub struct Welcome {
    /// The frame, whose headers are unescaped as they came (STOMP 1.2, "Value Encoding").
    pub frame: Frame,
    /// The version of the session.
    pub version: Version,
    /// The server's `heart-beat` header.
    pub heart_beat: HeartBeat,
}

/// A MESSAGE frame.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReceivedMessage {
    /// The subscription that it is for. Only a server of STOMP 1.0 leaves it open, and then it is
    /// found by its destination, if it can be.
    pub subscription: Option<Box<str>>,
    /// What to [acknowledge](super::ClientSession::ack) it by; `None` if nothing is to be settled.
    pub unsettled: Option<Unsettled>,
    /// The frame.
    pub frame: Frame,
}

/// A delivery that the server waits to have settled: outlives its message, so that the message need
/// not be kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unsettled {
    pub(super) subscription: Box<str>,
    pub(super) name: MessageName,
}

/// An ERROR frame: the server's last word.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServerError {
    /// The frame.
    pub frame: Frame,
    /// The request that it is about, where the server says so by `receipt-id`.
    pub request: Option<Request>,
}

impl Request {
    /// The number of the request in its session; the first is 1. It is the value of the `receipt`
    /// header where a receipt is asked for.
    pub const fn number(self) -> u64 {
        self.number
    }

    /// What was asked for.
    pub const fn command(self) -> Command {
        self.command
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.command, self.number)
    }
}

impl Unsettled {
    /// The id of the subscription.
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// How ACK and NACK name the message in this session's version.
    pub fn name(&self) -> &MessageName {
        &self.name
    }
}

impl ServerError {
    /// The `message` header: what was wrong, in short. Empty if there is none.
    pub fn summary(&self) -> Cow<'_, str> {
        self.frame.header(HeaderName::Message).unwrap_or_default()
    }

    /// The subscription that it is about, where the server says so.
    pub fn subscription(&self) -> Option<Cow<'_, str>> {
        self.frame.header(HeaderName::Subscription)
    }

    /// The body: what was wrong, at length. Empty if there is none.
    pub fn detail(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.frame.body())
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.summary(), self.detail())
    }
}
