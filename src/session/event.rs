use crate::frame::{Frame, Version};

use super::{AckMode, HeartBeat, Receipt, Refusal, Settlement};

/// What a client asks for, checked by the rules of STOMP: the outcome of
/// [`ServerSession::next_event`](super::ServerSession::next_event).
///
/// Where there is a receipt, the RECEIPT is owed once the thing is done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// CONNECT or STOMP: the session waits for
    /// [`accept`](super::ServerSession::accept) and gives no further event before it.
    Connect(Box<ConnectFrame>),
    /// SEND, outside of a transaction.
    Send(SendFrame),
    /// SUBSCRIBE.
    Subscribe(SubscribeFrame),
    /// UNSUBSCRIBE.
    Unsubscribe(UnsubscribeFrame),
    /// ACK or NACK, outside of a transaction.
    Settle(SettleFrame),
    /// COMMIT: everything that was held back takes effect, in this order.
    Commit(CommitFrame),
    /// BEGIN or ABORT is done; nothing remains but its receipt.
    Done(Receipt),
    /// DISCONNECT: after its receipt the session is over.
    Disconnect(Option<Receipt>),
}

/// A CONNECT frame, with what was negotiated.
#[derive(Debug)]
pub struct ConnectFrame {
    /// The frame, whose headers carry `login`, `passcode`, `host` or a token, unescaped as they
    /// came (STOMP 1.2, "Value Encoding").
    pub frame: Frame,
    /// The version of the session.
    pub version: Version,
    /// The client's `heart-beat` header; in STOMP 1.0, which knows none, [`HeartBeat::NONE`].
    pub heart_beat: HeartBeat,
}

/// A SEND frame.
#[derive(Debug)]
pub struct SendFrame {
    /// Its `destination`.
    pub destination: Box<str>,
    /// The frame.
    pub frame: Frame,
    /// The receipt asked for.
    pub receipt: Option<Receipt>,
}

/// A SUBSCRIBE frame.
#[derive(Debug)]
pub struct SubscribeFrame {
    /// Its `id`; in STOMP 1.0 it may be missing, and then the destination stands for it.
    pub id: Option<Box<str>>,
    /// Its `destination`.
    pub destination: Box<str>,
    /// Its `ack` mode.
    pub ack: AckMode,
    /// Its `prefetch-count`.
    pub prefetch: Option<usize>,
    /// The frame, for headers that a broker understands.
    pub frame: Frame,
    /// The receipt asked for.
    pub receipt: Option<Receipt>,
}

/// An UNSUBSCRIBE frame.
#[derive(Debug)]
pub struct UnsubscribeFrame {
    /// What it ends.
    pub target: UnsubscribeTarget,
    /// The receipt asked for.
    pub receipt: Option<Receipt>,
}

/// How an UNSUBSCRIBE names its subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsubscribeTarget {
    /// By its id.
    Id(Box<str>),
    /// By its destination, which STOMP 1.0 allows.
    Destination(Box<str>),
}

/// An ACK or NACK frame.
#[derive(Debug)]
pub struct SettleFrame {
    /// The message it names.
    pub message: MessageName,
    /// Whether it is an ACK or a NACK.
    pub settlement: Settlement,
    /// The receipt asked for.
    pub receipt: Option<Receipt>,
}

/// How an ACK or NACK names its message, which each version does in its own way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MessageName {
    /// STOMP 1.2: the value of the MESSAGE's `ack` header.
    Ack(Box<str>),
    /// STOMP 1.1: `message-id` and `subscription`.
    InSubscription {
        /// The `message-id`.
        message: Box<str>,
        /// The `subscription`.
        subscription: Box<str>,
    },
    /// STOMP 1.0: `message-id` alone.
    Message(Box<str>),
}

impl SubscribeFrame {
    /// The refusal of this frame, which names it by its receipt and its subscription.
    #[must_use]
    pub fn refused(&self, refusal: impl Into<Refusal>) -> Refusal {
        let refusal = refusal.into().with_subscription(self.id.as_deref());
        refusal.with_receipt(self.receipt.clone())
    }
}

impl UnsubscribeFrame {
    /// The refusal of this frame, which names it by its receipt and its subscription.
    #[must_use]
    pub fn refused(&self, refusal: impl Into<Refusal>) -> Refusal {
        let id = match &self.target {
            UnsubscribeTarget::Id(id) => Some(&**id),
            UnsubscribeTarget::Destination(_) => None,
        };
        refusal.into().with_subscription(id).with_receipt(self.receipt.clone())
    }
}

impl SettleFrame {
    /// The refusal of this frame, which names it by its receipt and, in STOMP 1.1, by the
    /// subscription that it names.
    #[must_use]
    pub fn refused(&self, refusal: impl Into<Refusal>) -> Refusal {
        let id = match &self.message {
            MessageName::InSubscription { subscription, .. } => Some(&**subscription),
            MessageName::Ack(_) | MessageName::Message(_) => None,
        };
        refusal.into().with_subscription(id).with_receipt(self.receipt.clone())
    }
}

impl MessageName {
    /// The id by which the message is named, whichever header it stood in.
    pub fn id(&self) -> &str {
        match self {
            Self::Ack(id) | Self::Message(id) | Self::InSubscription { message: id, .. } => id,
        }
    }
}

/// A COMMIT frame.
#[derive(Debug)]
pub struct CommitFrame {
    /// What takes effect.
    pub operations: Vec<HeldFrame>,
    /// The receipt asked for.
    pub receipt: Option<Receipt>,
}

/// A frame that a transaction held back.
#[derive(Debug)]
#[non_exhaustive]
pub enum HeldFrame {
    /// A SEND.
    Send(Box<SendFrame>),
    /// An ACK or a NACK.
    Settle(SettleFrame),
}
