//! What brokers over an external engine have in common: which destinations a node listens to there,
//! what is on its way there, and how long to wait before another attempt to connect.

mod backoff;
// Each engine uses a part of it.
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
#[cfg_attr(not(all(feature = "nats", feature = "redis")), allow(dead_code))]
mod consumers;
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod outbox;
mod rules;
mod slow_consumers;
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq"))]
mod transactions;
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod upstreams;

pub(super) use backoff::Backoff;
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
pub(super) use consumers::{Consumers, Settled};
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis"))]
pub(super) use outbox::{Item, Outbox, OutboxLimits};
pub(super) use rules::check_rules;
pub(super) use slow_consumers::slow_consumer;
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq"))]
pub(super) use transactions::settle_after;
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis"))]
pub(super) use upstreams::{Change, Upstreams};
