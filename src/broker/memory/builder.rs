use std::sync::Arc;

use super::super::prefixes::Prefixes;
use super::super::{BrokerOptions, DestinationPolicy, DestinationRule, DestinationRules};
use super::queues::Queues;
use super::{MemoryBroker, Router};

/// Prefixes, policies and bounds of a [`MemoryBroker`].
///
/// ```
/// use stompbox::broker::MemoryBroker;
///
/// let broker = MemoryBroker::builder()
///     .topic("/broadcast")
///     .rule("/queue/orders/**,deliveries=5,dead-letter=/queue/failed".parse()?)
///     .build();
/// # let _ = broker;
/// # Ok::<(), stompbox::broker::InvalidRule>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryBrokerBuilder {
    pub(super) prefixes: Prefixes,
    pub(super) rules: DestinationRules,
    pub(super) total_bytes: usize,
    pub(super) history_bytes: usize,
}

impl MemoryBrokerBuilder {
    /// The most bytes that all queues hold together: a client that names new queues without end is
    /// bounded as well.
    pub const DEFAULT_TOTAL_BYTES: usize = 256 << 20;

    /// The most bytes that all topics keep together for subscribers who come late.
    pub const DEFAULT_HISTORY_BYTES: usize = BrokerOptions::DEFAULT_HISTORY_BYTES;

    pub(super) fn new() -> Self {
        Self {
            prefixes: Prefixes::default(),
            rules: DestinationRules::default(),
            total_bytes: Self::DEFAULT_TOTAL_BYTES,
            history_bytes: Self::DEFAULT_HISTORY_BYTES,
        }
    }

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

    /// With the prefixes and rules that every broker is given.
    pub(in super::super) fn with_options(options: BrokerOptions) -> Self {
        let BrokerOptions { prefixes, rules, history_bytes } = options;
        Self { prefixes, rules, history_bytes, ..Self::new() }
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

    /// Sets how many bytes of messages all queues hold together at the most.
    #[must_use]
    pub fn total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Sets how many bytes all topics keep together at the most for subscribers who come late. What
    /// would expire soonest is dropped first, whichever topic it is of.
    #[must_use]
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.history_bytes = bytes;
        self
    }

    /// Makes the broker.
    pub fn build(self) -> MemoryBroker {
        let rules = Arc::new(self.rules.clone());
        MemoryBroker {
            queues: Queues::new(Arc::clone(&rules), self.total_bytes),
            router: Router::with_history(rules, self.history_bytes),
            settings: self,
        }
    }
}
