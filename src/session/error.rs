use std::time::Duration;

use thiserror::Error;

use crate::frame::{Command, DecodeError, DecodeErrorKind};

use super::Limit;

/// What a peer did that ends its session, or what it asked for that it cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The bytes are no STOMP frame.
    #[error(transparent)]
    Frame(#[from] DecodeError),
    /// Anything but CONNECT or STOMP before the session is connected.
    #[error("{command} came before CONNECT; a session begins with CONNECT or STOMP")]
    NotConnected {
        /// What came.
        command: Command,
    },
    /// CONNECT or STOMP on a session that is connected.
    #[error("{command} came a second time; a connection has one session")]
    AlreadyConnected {
        /// What came.
        command: Command,
    },
    /// A frame that only servers send.
    #[error("{command} is sent by servers only; to have a message delivered, SEND it")]
    ServerFrame {
        /// What came.
        command: Command,
    },
    /// No version that both know.
    #[error("no common version: the client accepts {offered:?}, this server speaks {spoken}")]
    Version {
        /// The client's `accept-version`.
        offered: String,
        /// What this server speaks.
        spoken: String,
    },
    /// A virtual host that is not served; only where virtual hosts are configured.
    #[error("no virtual host {host:?} is served here; CONNECT with a host that is")]
    UnknownHost {
        /// The client's `host`.
        host: String,
    },
    /// A header that the frame needs is not there.
    #[error("{command} needs a {header} header")]
    MissingHeader {
        /// The frame.
        command: Command,
        /// The header.
        header: &'static str,
    },
    /// A header has a value that it cannot have.
    #[error("the {header} header of {command} is {value:?}; {expected}")]
    InvalidHeader {
        /// The frame.
        command: Command,
        /// The header.
        header: &'static str,
        /// Its value.
        value: String,
        /// What would be valid, as the end of a sentence.
        expected: &'static str,
    },
    /// The session's version of STOMP does not have this command.
    #[error("{command} is not part of STOMP {version}; offer a later one in accept-version")]
    NotInVersion {
        /// The frame.
        command: Command,
        /// The session's version.
        version: crate::frame::Version,
    },
    /// A second subscription with an id that is in use.
    #[error("the subscription id {id:?} is in use; UNSUBSCRIBE first, or choose another id")]
    DuplicateSubscription {
        /// The id.
        id: String,
    },
    /// No subscription has this id.
    #[error("there is no subscription {id:?}; it has ended, or SUBSCRIBE named it otherwise")]
    UnknownSubscription {
        /// The id, or in STOMP 1.0 the destination.
        id: String,
    },
    /// An ACK or NACK of something that was never delivered here, or not under this name: STOMP 1.2,
    /// "ACK", wants the value of the MESSAGE's own `ack` header. A message that another subscription
    /// holds unsettled is one of these, so that it is not left unsettled without a word.
    #[error(
        "no message was ever delivered here under the id {id:?}; acknowledge by what the MESSAGE says: \
         its ack header since STOMP 1.2, its message-id and subscription before"
    )]
    UnknownMessage {
        /// The id.
        id: String,
    },
    /// An ACK or NACK of what was settled before, is not to be settled, or whose subscription has
    /// ended; an error in the strict profile only. `RabbitMQ` refuses these as it refuses what was
    /// never delivered; but STOMP does not, and handlers that acknowledge after UNSUBSCRIBE would lose
    /// their connection.
    #[error(
        "the message {id:?} is not to be settled: it was before, its subscription is in mode auto, or \
         it has ended; acknowledge each message once"
    )]
    SettledBefore {
        /// The id.
        id: String,
    },
    /// BEGIN of a transaction that is open.
    #[error("the transaction {id:?} is open already; COMMIT or ABORT it first")]
    TransactionOpen {
        /// The id.
        id: String,
    },
    /// A transaction that is not open.
    #[error("there is no open transaction {id:?}; BEGIN it first")]
    UnknownTransaction {
        /// The id.
        id: String,
    },
    /// The session holds as many of something as it may.
    #[error("at most {limit} {of} are allowed on one connection")]
    Limit {
        /// What there are too many of.
        of: Limit,
        /// How many there may be.
        limit: usize,
    },
    /// The peer is too slow to take what it subscribed to.
    #[error("{waiting} bytes wait for this connection, at most {limit} may; it reads too slowly")]
    SlowConsumer {
        /// Bytes that wait.
        waiting: usize,
        /// Bytes that may.
        limit: usize,
    },
    /// More waits for one subscription than may
    /// ([`SlowConsumerAction::Close`](super::SlowConsumerAction::Close)).
    #[error(
        "{waiting} bytes wait for the subscription {id:?}, at most {limit} may; it reads too slowly"
    )]
    SlowSubscription {
        /// Its id, or its destination where it has none.
        id: String,
        /// Bytes that wait.
        waiting: usize,
        /// Bytes that may.
        limit: usize,
    },
    /// Deliveries to one subscription have waited, or have held their publishers, for longer than
    /// they may ([`SlowConsumer::time`](super::SlowConsumer::time)).
    #[error(
        "what waits for the subscription {id:?} has waited for {} ms; it reads, or settles, too slowly",
        .limit.as_millis()
    )]
    OverdueSubscription {
        /// Its id, or its destination where it has none.
        id: String,
        /// How long deliveries may wait, or hold their publishers.
        limit: Duration,
    },
    /// The peer has read nothing of what waits for it for too long.
    #[error(
        "nothing of what waits for this connection was read for {} ms; read as fast as you subscribe",
        .limit.as_millis()
    )]
    NotReading {
        /// How long that may be.
        limit: Duration,
    },
    /// Nothing came for too long.
    #[error(
        "nothing came for {} ms, though heart-beats were agreed; send what CONNECT promised",
        .silence.as_millis()
    )]
    HeartBeatMissed {
        /// How long nothing came.
        silence: Duration,
    },
    /// No CONNECT came in time.
    #[error(
        "no CONNECT was accepted within {} ms; send it as soon as the connection is there",
        .limit.as_millis()
    )]
    ConnectTimeout {
        /// How long the server waits.
        limit: Duration,
    },
}

impl SessionError {
    /// The short text for an ERROR frame's `message` header; the error's own text is its body.
    pub fn summary(&self) -> &'static str {
        match self {
            Self::Frame(error) if error.kind() == DecodeErrorKind::OverLimit => "frame too large",
            Self::Frame(_) => "malformed frame",
            Self::NotConnected { .. } => "not connected",
            Self::AlreadyConnected { .. } => "already connected",
            Self::ServerFrame { .. } => "unexpected command",
            Self::Version { .. } => "unsupported version",
            Self::UnknownHost { .. } => "unknown host",
            Self::MissingHeader { .. } => "missing header",
            Self::InvalidHeader { .. } => "invalid header",
            Self::NotInVersion { .. } => "unsupported command",
            Self::DuplicateSubscription { .. } => "duplicate subscription",
            Self::UnknownSubscription { .. } => "unknown subscription",
            Self::UnknownMessage { .. } => "unknown message",
            Self::SettledBefore { .. } => "settled before",
            Self::TransactionOpen { .. } | Self::UnknownTransaction { .. } => "transaction error",
            Self::Limit { .. } => "limit reached",
            Self::SlowConsumer { .. }
            | Self::SlowSubscription { .. }
            | Self::OverdueSubscription { .. }
            | Self::NotReading { .. } => "slow consumer",
            Self::HeartBeatMissed { .. } => "heart-beat missed",
            Self::ConnectTimeout { .. } => "connect timeout",
        }
    }
}

/// An ERROR frame about to be sent: what was wrong, and with which frame (STOMP 1.2, "ERROR").
///
/// After it the session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Box<Told>);

/// What a peer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    summary: String,
    detail: String,
    receipt: Option<Receipt>,
    headers: Vec<(&'static str, String)>,
    error: Option<SessionError>,
    our_fault: bool,
}

/// The `receipt` that a client asked for; the server owes it a RECEIPT with this id once the frame
/// is processed (STOMP 1.2, "RECEIPT").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt(Box<str>);

impl Receipt {
    /// The id that the client chose.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.0
    }
}

impl Refusal {
    /// An ERROR with this `message` header (short) and this body (a sentence that says what to do).
    pub fn new(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(Told {
            summary: summary.into(),
            detail: detail.into(),
            receipt: None,
            headers: Vec::new(),
            error: None,
            our_fault: false,
        }))
    }

    /// Names the frame concerned by the receipt that it asked for.
    #[must_use]
    pub fn with_receipt(mut self, receipt: Option<Receipt>) -> Self {
        self.0.receipt = receipt.or(self.0.receipt);
        self
    }

    /// Names the subscription concerned, where there is one and it has an id: clients that hand
    /// frames to subscriptions find the one that failed by it.
    #[must_use]
    pub fn with_subscription(self, id: Option<&str>) -> Self {
        match id {
            Some(id) => self.with_header("subscription", id),
            None => self,
        }
    }

    /// Says that the client did nothing wrong: this side failed, or what it depends on. A WebSocket is
    /// closed with a code of its own then, 1011 (RFC 6455 §7.4.1).
    #[must_use]
    pub fn by_our_fault(mut self) -> Self {
        self.0.our_fault = true;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// The `message` header.
    pub fn summary(&self) -> &str {
        &self.0.summary
    }

    /// The body.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The receipt of the frame concerned.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.0.receipt.as_ref()
    }

    /// Further headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.headers.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether this side failed, and not the client.
    pub fn is_our_fault(&self) -> bool {
        self.0.our_fault
    }

    /// The rule that the peer broke; `None` where the application refused.
    pub fn error(&self) -> Option<&SessionError> {
        self.0.error.as_ref()
    }
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        let refusal = Self::new(error.summary(), error.to_string());
        let mut refusal = match &error {
            // STOMP 1.2, "Protocol Negotiation": the ERROR lists the versions of the server.
            SessionError::Version { spoken, .. } => refusal.with_header("version", spoken.clone()),
            _ => refusal,
        };
        refusal.0.error = Some(error);
        refusal
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        SessionError::from(error).into()
    }
}
