use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::session::{Delivery, SubscriptionKey};

use super::{HistoryRequest, Outlet, Taken};

/// Which subscription of which connection of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriberId {
    /// The connection's number on this node. A server never gives one twice.
    pub connection: u64,
    /// The subscription on that connection.
    pub subscription: SubscriptionKey,
}

/// A subscription as a broker sees it: who it is, and where its deliveries leave.
#[derive(Clone)]
#[non_exhaustive]
pub struct Subscriber {
    /// Who it is.
    pub id: SubscriberId,
    /// Where its deliveries leave.
    pub outlet: Arc<dyn Outlet>,
    /// Whether what it is delivered from a queue stays its responsibility until it settles it
    /// (`ack:client` and `ack:client-individual`). In mode `auto` a delivery settles itself.
    pub settles: bool,
    /// The most unsettled messages that it wants to hold; delivery pauses there.
    pub prefetch: usize,
    /// What it wants of the messages that were kept before it came.
    pub history: Option<HistoryRequest>,
    /// Whether what is published while its client is away is to wait for it (`durable:true`). A queue
    /// that outlives the node does that; where nothing does, the broker refuses the subscription.
    pub durable: bool,
}

impl Subscriber {
    /// How many unsettled messages a subscription holds at the most, unless it asks for less.
    pub const DEFAULT_PREFETCH: usize = 100;

    /// A subscriber in mode `auto`, with the default prefetch, that wants no history.
    pub fn new(id: SubscriberId, outlet: Arc<dyn Outlet>) -> Self {
        let prefetch = Self::DEFAULT_PREFETCH;
        Self { id, outlet, settles: false, prefetch, history: None, durable: false }
    }

    /// Sets [`settles`](Self::settles).
    #[must_use]
    pub fn with_settles(mut self, settles: bool) -> Self {
        self.settles = settles;
        self
    }

    /// Sets [`prefetch`](Self::prefetch), where one is given.
    #[must_use]
    pub fn with_prefetch(mut self, prefetch: Option<usize>) -> Self {
        self.prefetch = prefetch.unwrap_or(self.prefetch);
        self
    }

    /// Sets [`history`](Self::history).
    #[must_use]
    pub fn with_history(mut self, history: Option<HistoryRequest>) -> Self {
        self.history = history;
        self
    }

    /// Sets [`durable`](Self::durable).
    #[must_use]
    pub fn with_durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Delivers to its outlet. One that panics is as good as gone: it must take down neither whoever
    /// publishes nor the deliveries to others.
    pub(super) fn deliver(&self, deliveries: &[Delivery], now: Instant) -> Taken {
        let deliver = || self.outlet.deliver(self.id.subscription, deliveries, now);
        catch_unwind(AssertUnwindSafe(deliver)).unwrap_or(Taken::Gone)
    }

    /// Ends its subscription: [`Outlet::refuse`]. One that panics is gone, which is what was asked
    /// for.
    #[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
    pub(super) fn refuse(&self, error: &super::BrokerError) {
        let refuse = || self.outlet.refuse(self.id.subscription, error);
        drop(catch_unwind(AssertUnwindSafe(refuse)));
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("id", &self.id)
            .field("settles", &self.settles)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}
