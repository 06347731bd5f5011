use thiserror::Error;

use crate::session::Refusal;

use super::{Capability, Destination, DestinationError};

/// Why a broker refused or could not do what it was asked.
///
/// The server answers the frame concerned with an ERROR that carries this text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The destination's name is not valid.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// No prefix that this broker knows begins the destination.
    #[error("nothing handles the destination {destination}; this broker knows {known}")]
    UnknownDestination {
        /// The destination as it was given.
        destination: String,
        /// The prefixes that the broker serves, in words.
        known: String,
    },
    /// The broker cannot do this at all: see [`Broker::capabilities`](super::Broker::capabilities).
    #[error("this broker does not support {capability} (asked for on {destination})")]
    Unsupported {
        /// What is not supported.
        capability: Capability,
        /// Where it was asked for.
        destination: String,
    },
    /// A SEND to a pattern: only one destination can be sent to.
    #[error("{destination} is a pattern, which can be subscribed to but not sent to")]
    SentToPattern {
        /// The pattern.
        destination: String,
    },
    /// The engine behind the broker has no name as long as this destination's.
    #[error(
        "the name of {destination} takes {bytes} bytes at {engine}, at most {limit} are allowed"
    )]
    NameTooLong {
        /// The destination.
        destination: String,
        /// What its name takes there.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
        /// The engine's name.
        engine: &'static str,
    },
    /// The destination holds as many bytes as it may.
    #[error("{destination} is full: it holds {bytes} of at most {limit} bytes")]
    Full {
        /// The destination.
        destination: String,
        /// Bytes held.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The destination holds as many messages as it may.
    #[error("{destination} is full: it holds {limit} messages, which is as many as it may")]
    TooManyMessages {
        /// The destination.
        destination: String,
        /// Messages allowed.
        limit: usize,
    },
    /// A header of a SEND has a value that the broker cannot go by.
    #[error("{header}:{value:?} is not understood: {expected} is expected")]
    InvalidHeader {
        /// The header.
        header: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// All destinations together hold as many messages as they may.
    #[error("all queues together are full: they hold {bytes} of at most {limit} bytes")]
    AllFull {
        /// Bytes held.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The message is larger than the engine takes.
    #[error("a message to {destination} is larger than the engine takes: {limit} bytes")]
    TooLarge {
        /// The destination.
        destination: String,
        /// What the engine takes, in bytes, headers included.
        limit: usize,
    },
    /// History was asked for where none is kept.
    #[error("{destination} keeps no history")]
    NoHistory {
        /// The destination.
        destination: String,
    },
    /// History was asked for since something that is no token of this broker.
    #[error(
        "since:{token:?} is neither a token of a message of {destination} nor a time (RFC 3339)"
    )]
    InvalidToken {
        /// What was given.
        token: String,
        /// The destination.
        destination: String,
    },
    /// The engine behind the broker cannot be reached at present.
    #[error("{engine} cannot be reached at present")]
    Unavailable {
        /// The engine's name.
        engine: &'static str,
    },
    /// The engine behind the broker was asked, and refused.
    #[error("{engine} refuses {destination}: {reason}")]
    Refused {
        /// The destination.
        destination: String,
        /// What the engine says.
        reason: String,
        /// The engine's name.
        engine: &'static str,
    },
    /// The broker was shut down before it took responsibility.
    #[error("the broker was closed")]
    Closed,
}

impl BrokerError {
    /// Something that the broker cannot do is asked for.
    pub(super) fn unsupported(capability: Capability, destination: &Destination) -> Self {
        Self::Unsupported { capability, destination: destination.to_string() }
    }

    /// The short text for an ERROR frame's `message` header; the error's own text is its body.
    pub fn summary(&self) -> &'static str {
        match self {
            Self::Destination(_) | Self::SentToPattern { .. } | Self::NameTooLong { .. } => {
                "invalid destination"
            }
            Self::UnknownDestination { .. } => "unknown destination",
            Self::Unsupported { .. } => "not supported",
            Self::NoHistory { .. } => "no history",
            Self::InvalidToken { .. } => "invalid token",
            Self::TooLarge { .. } => "message too large",
            Self::Full { .. } | Self::TooManyMessages { .. } => "destination full",
            Self::InvalidHeader { .. } => "invalid header",
            Self::AllFull { .. } => "queues full",
            Self::Refused { .. } => "refused by the engine",
            Self::Unavailable { .. } | Self::Closed => "broker unavailable",
        }
    }
}

/// The ERROR that answers the frame concerned.
impl From<BrokerError> for Refusal {
    fn from(error: BrokerError) -> Self {
        let refusal = Self::new(error.summary(), error.to_string());
        match error {
            BrokerError::Unavailable { .. } | BrokerError::Refused { .. } | BrokerError::Closed => {
                refusal.by_our_fault()
            }
            _ => refusal,
        }
    }
}

/// As [`BrokerError::Destination`].
impl From<DestinationError> for Refusal {
    fn from(error: DestinationError) -> Self {
        BrokerError::from(error).into()
    }
}
