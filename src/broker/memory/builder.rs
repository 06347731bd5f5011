use std::sync::Arc;

use super::super::{BrokerOptions, DestinationPolicy, DestinationRule};
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
    pub(super) options: BrokerOptions,
    total_bytes: usize,
}

impl MemoryBrokerBuilder {
    /// The most bytes that all queues hold together, what each queue takes itself included: a client
    /// that names new queues without end is bounded as well.
    pub const DEFAULT_TOTAL_BYTES: usize = 256 << 20;

    /// The most bytes that all topics keep together for subscribers who come late.
    pub const DEFAULT_HISTORY_BYTES: usize = BrokerOptions::DEFAULT_HISTORY_BYTES;

    pub(super) fn new() -> Self {
        Self::with_options(BrokerOptions::default())
    }

    /// Adds a prefix of topics, with or without a `/` at its end. `/topic` is one already.
    #[must_use]
    pub fn topic(mut self, prefix: impl AsRef<str>) -> Self {
        self.options = self.options.topic(prefix);
        self
    }

    /// Adds a prefix of queues, with or without a `/` at its end. `/queue` is one already.
    #[must_use]
    pub fn queue(mut self, prefix: impl AsRef<str>) -> Self {
        self.options = self.options.queue(prefix);
        self
    }

    /// Sets the prefix of the queues for replies: see [`Broker::temporary_queues`]. Default:
    /// `/temp-queue`.
    ///
    /// [`Broker::temporary_queues`]: super::super::Broker::temporary_queues
    #[must_use]
    pub fn temporary_queues(mut self, prefix: impl AsRef<str>) -> Self {
        self.options.prefixes.set_temporary(prefix.as_ref());
        self
    }

    /// With the prefixes and rules that every broker is given.
    pub(in super::super) fn with_options(options: BrokerOptions) -> Self {
        Self { options, total_bytes: Self::DEFAULT_TOTAL_BYTES }
    }

    /// Adds a rule: what is done at the destinations that it names. Of two that match a destination,
    /// the one added first counts.
    #[must_use]
    pub fn rule(mut self, rule: DestinationRule) -> Self {
        self.options = self.options.rule(rule);
        self
    }

    /// Sets what is done at all destinations that no rule names.
    #[must_use]
    pub fn otherwise(mut self, policy: DestinationPolicy) -> Self {
        self.options = self.options.otherwise(policy);
        self
    }

    /// Sets how many bytes all queues hold together at the most, beside their messages what each queue
    /// takes itself.
    #[must_use]
    pub fn total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Sets how many bytes all topics keep together at the most for subscribers who come late. What
    /// would expire soonest is dropped first, whichever topic it is of.
    #[must_use]
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.options = self.options.history_bytes(bytes);
        self
    }

    /// Makes the broker.
    pub fn build(self) -> MemoryBroker {
        let BrokerOptions { prefixes, rules, history_bytes } = self.options.clone();
        let rules = Arc::new(rules);
        let router = Arc::new(Router::with_history(Arc::clone(&rules), history_bytes));
        MemoryBroker {
            queues: Queues::new(rules, prefixes, Arc::clone(&router), self.total_bytes),
            router,
            options: self.options,
        }
    }
}
