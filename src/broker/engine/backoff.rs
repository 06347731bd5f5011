use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// How long to wait before the next attempt to reach an engine: twice as long after each failure,
/// and by chance between the half and the whole of that, so that the nodes of a cluster do not all
/// come back in the same moment.
#[derive(Debug)]
pub(in super::super) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    pub(in super::super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// How long to wait now.
    pub(in super::super) fn delay(&mut self) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(Self::LONGEST);
        let half = longest / 2;
        half + half.mul_f64(chance())
    }

    /// The engine was reached.
    pub(in super::super) fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

/// A number from 0 to 1. It need not be a good one: it only has to differ between nodes.
fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_a_bound_and_begins_anew() {
        let mut backoff = Backoff::new();
        let mut expected = Backoff::FIRST;
        for _ in 0..12 {
            let delay = backoff.delay();
            assert!(delay >= expected / 2 && delay <= expected, "{delay:?} of {expected:?}");
            expected = (expected * 2).min(Backoff::LONGEST);
        }
        backoff.reset();
        assert!(backoff.delay() <= Backoff::FIRST);
    }
}
