use std::time::Instant;

use crate::session::{Delivery, SubscriptionKey};

use super::BrokerError;

/// Where deliveries to one connection leave. The server implements it over its sockets; it is all
/// that a broker or a router knows of them.
pub trait Outlet: Send + Sync {
    /// Delivers messages to one subscription of the connection, in their order.
    ///
    /// Does not block: what the socket does not take at once waits in the connection's own bounded
    /// queue. A connection that cannot keep up is the outlet's to deal with, never the caller's.
    ///
    /// After it has answered [`Taken::Full`] it is asked again, with no deliveries: it may have been
    /// resumed before that answer was heard.
    fn deliver(&self, to: SubscriptionKey, deliveries: &[Delivery], now: Instant) -> Taken;

    /// Ends a subscription that the broker had confirmed and can serve no longer: its engine has
    /// taken it back. The client is told by an ERROR, which ends its connection (STOMP 1.2,
    /// "ERROR"). One that has ended meanwhile is left alone.
    ///
    /// Does not block, and calls nothing of the broker; the subscriber is taken back as any other
    /// is. Default: nothing, for an outlet whose broker has no engine.
    fn refuse(&self, subscription: SubscriptionKey, error: &BrokerError) {
        let _ = (subscription, error);
    }
}

/// What an [`Outlet`] did with deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The socket has all of their bytes.
    Written,
    /// They wait, in part or whole, until the socket takes more. Where they are messages of a queue,
    /// or [retained](Delivery::is_retained) ones, the outlet sees to it that
    /// [`Broker::resume`](super::Broker::resume) is called once they are written.
    Queued,
    /// As [`Queued`](Self::Queued), and publishers are to be held until
    /// [`Broker::resume`](super::Broker::resume) is called for this subscription, which the outlet
    /// sees to after each such answer
    /// ([`SlowConsumerAction::HoldPublisher`](super::SlowConsumerAction::HoldPublisher)).
    Full,
    /// The subscription has ended, or the connection has: nothing was delivered.
    Gone,
}
