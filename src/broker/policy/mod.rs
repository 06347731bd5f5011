//! What a broker does at a destination beyond taking messages from publishers to subscribers.

mod amount;
mod queue;
mod retention;
mod rule;

pub use queue::{QueueOverflow, QueuePolicy, RejectedPolicy};
pub use retention::Retention;
pub use rule::{DestinationRule, DestinationRules, InvalidRule};

use std::sync::Arc;

use crate::session::SlowConsumer;

/// What a broker does at a destination: what it keeps, what it does about slow consumers, and how a
/// queue treats its messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DestinationPolicy {
    /// What a topic keeps for subscribers who come late. Default: nothing.
    pub retention: Retention,
    /// What becomes of deliveries from a topic to a client that reads too slowly: all subscriptions
    /// share it.
    pub slow_consumer: Arc<SlowConsumer>,
    /// How a queue treats its messages.
    pub queue: QueuePolicy,
}
