use std::sync::Arc;

use super::super::{DestinationPolicy, SlowConsumer, SlowConsumerAction};

/// What becomes of who reads too slowly, where publishers may be on other nodes: those cannot be
/// held, so that the one who reads is closed instead.
pub(in super::super) fn slow_consumer(policy: &DestinationPolicy) -> Arc<SlowConsumer> {
    let policy = &policy.slow_consumer;
    match policy.action {
        SlowConsumerAction::HoldPublisher => Arc::new(SlowConsumer {
            action: SlowConsumerAction::Close,
            ..SlowConsumer::clone(policy)
        }),
        _ => Arc::clone(policy),
    }
}
