use std::time::Duration;

use thiserror::Error;

use crate::frame::{Command, DecodeError, Version};

/// Why a client's session is over, by whose fault it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server broke the rules of STOMP.
    #[error("the server broke the rules: {0}")]
    Server(#[from] ServerFault),
    /// Nobody did wrong, and yet the two cannot talk to each other.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
}

/// What a server did wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServerFault {
    /// The bytes are no STOMP frame.
    #[error(transparent)]
    Frame(#[from] DecodeError),
    /// Anything but CONNECTED or ERROR in answer to CONNECT.
    #[error("{command} came in answer to CONNECT; CONNECTED or ERROR is expected")]
    NotConnected {
        /// What came.
        command: Command,
    },
    /// A second CONNECTED.
    #[error("CONNECTED came a second time")]
    AlreadyConnected,
    /// A frame that only clients send.
    #[error("{command} is sent by clients only")]
    ClientFrame {
        /// What came.
        command: Command,
    },
    /// A header that the frame needs is not there.
    #[error("{command} came without a {header} header")]
    MissingHeader {
        /// The frame.
        command: Command,
        /// The header.
        header: &'static str,
    },
    /// A header has a value that it cannot have.
    #[error("the {header} header of {command} is {value:?}")]
    InvalidHeader {
        /// The frame.
        command: Command,
        /// The header.
        header: &'static str,
        /// Its value.
        value: String,
    },
    /// A RECEIPT that nothing asked for, or that came before.
    #[error("RECEIPT came for {id:?}, which nothing waits for")]
    UnknownReceipt {
        /// Its `receipt-id`.
        id: String,
    },
    /// Nothing came for too long.
    #[error("nothing came for {} ms, though heart-beats were agreed", .silence.as_millis())]
    HeartBeatMissed {
        /// How long nothing came.
        silence: Duration,
    },
    /// CONNECT was not answered in time.
    #[error("CONNECT was not answered within {} ms", .limit.as_millis())]
    ConnectTimeout {
        /// How long this side waits.
        limit: Duration,
    },
    /// DISCONNECT was not answered in time.
    #[error("DISCONNECT was not answered within {} ms", .limit.as_millis())]
    DisconnectTimeout {
        /// How long this side waits.
        limit: Duration,
    },
}

/// What two peers, both within the rules, do not have in common.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Incompatible {
    /// No version that both know.
    #[error("no common version: this client offers {offered}, the server answers {answered:?}")]
    Version {
        /// The `accept-version` of CONNECT.
        offered: String,
        /// The `version` of the server's CONNECTED or ERROR.
        answered: String,
    },
}

/// What the caller of a session asked for and cannot have. Nothing was sent, and the session is as
/// it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The session is not connected yet, or is over.
    #[error("the session is not connected; requests are made between CONNECTED and DISCONNECT")]
    NotConnected,
    /// No version is offered.
    #[error("no version of STOMP is offered")]
    NoVersion,
    /// The session's version of STOMP does not have this.
    #[error("{what} is not part of STOMP {version}")]
    NotInVersion {
        /// What it does not have.
        what: &'static str,
        /// The session's version.
        version: Version,
    },
    /// A header that the session writes itself.
    #[error("the session writes the {header} header of {command} itself")]
    ReservedHeader {
        /// The frame.
        command: Command,
        /// The header.
        header: &'static str,
    },
    /// A header that this version, or this frame, cannot represent: see
    /// [`Encoder`](crate::frame::Encoder).
    #[error("STOMP {version} cannot represent the {header:?} header of {command}")]
    Unrepresentable {
        /// The frame.
        command: Command,
        /// The name of the header.
        header: String,
        /// The session's version.
        version: Version,
    },
    /// A second subscription with an id that is in use.
    #[error("the subscription id {id:?} is in use")]
    DuplicateSubscription {
        /// The id.
        id: String,
    },
    /// No subscription has this id, or it has ended.
    #[error("there is no subscription {id:?}")]
    UnknownSubscription {
        /// The id.
        id: String,
    },
    /// BEGIN of a transaction that is open.
    #[error("the transaction {id:?} is open already")]
    TransactionOpen {
        /// The id.
        id: String,
    },
    /// A transaction that is not open.
    #[error("there is no open transaction {id:?}; begin it first")]
    UnknownTransaction {
        /// The id.
        id: String,
    },
    /// As much waits as may, for the server to confirm or for the transport to write.
    #[error("at most {limit} {of} may wait; go on when there are less")]
    Limit {
        /// What there is too much of, in the plural.
        of: &'static str,
        /// How many there may be.
        limit: usize,
    },
}
