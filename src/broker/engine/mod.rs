//! What brokers over an external engine have in common: which destinations a node listens to there,
//! what is on its way there, and how long to wait before another attempt to connect.

mod backoff;
mod consumers;
mod outbox;
mod upstreams;

pub(super) use backoff::Backoff;
pub(super) use consumers::{Consumers, Settled};
pub(super) use outbox::{Item, Outbox, OutboxLimits};
pub(super) use upstreams::{Change, Upstreams};
