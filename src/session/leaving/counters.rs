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
}
