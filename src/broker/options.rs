use super::prefixes::Prefixes;
use super::{DestinationPolicy, DestinationRule, DestinationRules};

/// What every broker is told, whichever engine it is over: see [`connect`](super::connect).
///
/// ```
/// use stompbox::broker::BrokerOptions;
///
/// let options = BrokerOptions::default().topic("/broadcast").rule("/topic/**,history=100".parse()?);
/// # let _ = options;
/// # Ok::<(), stompbox::broker::InvalidRule>(())
/// ```
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    pub(super) prefixes: Prefixes,
    pub(super) rules: DestinationRules,
    pub(super) history_bytes: usize,
}

impl BrokerOptions {
    /// The most bytes that all topics keep together on this node for subscribers who come late.
    pub const DEFAULT_HISTORY_BYTES: usize = 64 << 20;

    /// Adds a prefix of topics, with or without a `/` at its end. `/topic` is one already.
    #[must_use]
    pub fn topic(mut self, prefix: impl AsRef<str>) -> Self {
        self.prefixes.add_topics(prefix.as_ref());
        self
    }

    /// Adds a prefix of queues, with or without a `/` at its end. `/queue` is one already.
    #[must_use]
    pub fn queue(mut self, prefix: impl AsRef<str>) -> Self {
        self.prefixes.add_queues(prefix.as_ref());
        self
    }

    /// Adds a rule: what is done at the destinations that it names. Of two that match a destination,
    /// the one added first counts.
    #[must_use]
    pub fn rule(mut self, rule: DestinationRule) -> Self {
        self.rules.add(rule);
        self
    }

    /// Sets what is done at all destinations that no rule names.
    #[must_use]
    pub fn otherwise(mut self, policy: DestinationPolicy) -> Self {
        self.rules.set_otherwise(policy);
        self
    }

    /// Sets how many bytes all topics keep together at the most on this node for subscribers who
    /// come late.
    #[must_use]
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.history_bytes = bytes;
        self
    }
}

impl Default for BrokerOptions {
    /// Topics below `/topic`, queues below `/queue`, and no rules.
    fn default() -> Self {
        Self {
            prefixes: Prefixes::default(),
            rules: DestinationRules::default(),
            history_bytes: Self::DEFAULT_HISTORY_BYTES,
        }
    }
}
