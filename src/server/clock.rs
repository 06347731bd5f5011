use std::time::Instant;

/// The instant by tokio's clock, which tests can stop and move.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
