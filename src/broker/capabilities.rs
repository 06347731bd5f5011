use std::fmt;

/// Something that a broker may or may not be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Destinations whose messages go to one of their consumers.
    Queues,
    /// Messages that are gone only when their consumer acknowledged them.
    Settle,
    /// Messages kept for subscribers who come late.
    History,
    /// Messages that survive a restart of the node.
    Durable,
    /// SENDs, ACKs and NACKs that take effect together.
    Transactions,
    /// Subscriptions to patterns of destinations.
    Patterns,
    /// Queues for the replies to one connection
    /// ([`Broker::temporary_queues`](super::Broker::temporary_queues)).
    TemporaryQueues,
}

/// How far a COMMIT holds (STOMP 1.2, "BEGIN").
///
/// The stronger one is the greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum TransactionGuarantee {
    /// No transactions at all.
    #[default]
    None,
    /// A crash in the middle can duplicate a part, and loses nothing.
    AtLeastOnce,
    /// All of it or nothing.
    Atomic,
}

/// What a broker can do. What it cannot is refused by an ERROR, never ignored.
///
/// ```
/// use stompbox::broker::{Broker, Capability, MemoryBroker, TransactionGuarantee};
///
/// let capabilities = MemoryBroker::new().capabilities();
/// assert!(capabilities.supports(Capability::Queues));
/// assert_eq!(capabilities.transactions, TransactionGuarantee::Atomic);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools)] // Independent answers to independent questions.
pub struct Capabilities {
    /// See [`Capability::Queues`].
    pub queues: bool,
    /// See [`Capability::Settle`].
    pub settle: bool,
    /// See [`Capability::History`].
    pub history: bool,
    /// See [`Capability::Durable`].
    pub durable: bool,
    /// See [`Capability::Patterns`].
    pub patterns: bool,
    /// See [`Capability::TemporaryQueues`].
    pub temporary_queues: bool,
    /// See [`Capability::Transactions`].
    pub transactions: TransactionGuarantee,
}

impl Capabilities {
    /// Whether the broker can do this.
    pub fn supports(&self, capability: Capability) -> bool {
        match capability {
            Capability::Queues => self.queues,
            Capability::Settle => self.settle,
            Capability::History => self.history,
            Capability::Durable => self.durable,
            Capability::Transactions => self.transactions != TransactionGuarantee::None,
            Capability::Patterns => self.patterns,
            Capability::TemporaryQueues => self.temporary_queues,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queues => "queues",
            Self::Settle => "acknowledgement",
            Self::History => "history",
            Self::Durable => "durable messages",
            Self::Transactions => "transactions",
            Self::Patterns => "patterns in SUBSCRIBE",
            Self::TemporaryQueues => "queues for replies",
        })
    }
}
