/// What is counted here, since the session began or the counters were last taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LeavingCounters {
    /// MESSAGE frames encoded.
    pub messages: u64,
    /// Headers left out because the version cannot represent them.
    pub headers_left_out: u64,
    /// ACKs and NACKs of what was settled before.
    pub settled_before: u64,
    /// How often delivery to a subscription paused, since as much was unsettled as may be.
    pub pauses: u64,
    /// Deliveries dropped to make room for later ones, or because they had waited too long
    /// ([`SlowConsumerAction::DropOldest`](crate::session::SlowConsumerAction::DropOldest)).
    pub dropped_oldest: u64,
    /// Deliveries dropped because there was no room for them
    /// ([`SlowConsumerAction::DropNewest`](crate::session::SlowConsumerAction::DropNewest)).
    pub dropped_newest: u64,
    /// Deliveries dropped for a later one with the same key
    /// ([`SlowConsumerAction::KeepLatest`](crate::session::SlowConsumerAction::KeepLatest)).
    pub superseded: u64,
    /// How often a subscription began to hold its publishers
    /// ([`SlowConsumerAction::HoldPublisher`](crate::session::SlowConsumerAction::HoldPublisher)).
    pub holds: u64,
}
