use std::fmt;

/// How a subscription acknowledges (STOMP 1.2, "SUBSCRIBE ack Header").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AckMode {
    /// `auto`: a message counts as received when it was sent.
    #[default]
    Auto,
    /// `client`: an ACK or NACK covers the message that it names and all before it on the same
    /// subscription.
    Client,
    /// `client-individual`: an ACK or NACK covers the message that it names.
    ClientIndividual,
}

impl AckMode {
    /// The mode that a header value names; `None` for anything that STOMP does not know.
    pub fn parse(value: &str) -> Option<Self> {
        match value {
            "auto" => Some(Self::Auto),
            "client" => Some(Self::Client),
            "client-individual" => Some(Self::ClientIndividual),
            _ => None,
        }
    }

    /// The header value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Client => "client",
            Self::ClientIndividual => "client-individual",
        }
    }

    /// Whether a delivery waits for an ACK or NACK.
    pub const fn settles(self) -> bool {
        !matches!(self, Self::Auto)
    }
}

impl fmt::Display for AckMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of a delivery that its consumer has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// ACK: it was consumed.
    Acknowledged,
    /// NACK: it was not. A queue delivers it again; on a topic it is discarded.
    Rejected,
}
