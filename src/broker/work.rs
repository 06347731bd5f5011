use std::time::Instant;

use super::memory::Dispatch;
use super::router::Flush;

/// The rest of a long flush of a topic, or of what is ready in a queue, for the
/// [`Host`](super::Host) to run.
///
/// Until it is run, messages of its destination wait; dropped without being run to its end, it
/// leaves the rest to whoever publishes there next.
#[derive(Debug)]
pub struct Work(Rest);

#[derive(Debug)]
enum Rest {
    Flush(Flush),
    Dispatch(Dispatch),
}

impl Work {
    /// Delivers for a while; returns what is left, to be run again after others had their turn.
    #[must_use = "what is left must be run as well"]
    pub fn run(self, now: Instant) -> Option<Work> {
        match self.0 {
            Rest::Flush(flush) => flush.run_for_a_turn(now).map(Work::from),
            Rest::Dispatch(dispatch) => dispatch.run_for_a_turn(now).map(Work::from),
        }
    }
}

impl From<Flush> for Work {
    fn from(flush: Flush) -> Self {
        Self(Rest::Flush(flush))
    }
}

impl From<Dispatch> for Work {
    fn from(dispatch: Dispatch) -> Self {
        Self(Rest::Dispatch(dispatch))
    }
}
