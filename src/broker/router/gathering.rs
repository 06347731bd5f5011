use std::time::{Duration, Instant};

/// For how many subscribers a flush is deferred, at the least: for fewer, a write to each costs less
/// than another task.
const SUBSCRIBERS: usize = if cfg!(stompbox_loom) { 2 } else { 8 };

/// How long ago the last flush may have ended for the next one to be deferred. After a longer pause
/// nobody else is likely to publish at this very moment.
const PAUSE: Duration = Duration::from_micros(100);

/// How long that flush may have taken for each subscriber. Nobody reads a clock when a flush ends, so
/// its end is reckoned from its beginning: a write to a socket takes 3 to 5 microseconds, and several
/// times that where the machine has other things to do. After a flush that outlasts this nothing is
/// gathered: of 10 publishers to 200 subscribers a server with one thread put 8 messages into a write
/// with this, and 3 to 4 where any flush was reckoned to take a millisecond; one with two threads
/// some 5 either way (`benches/load`, scenario `publishers`).
const WRITE: Duration = Duration::from_micros(20);

/// Whether to defer a flush by a turn of the scheduler, so that it takes along what others publish:
/// one write to each subscriber for all of it.
///
/// With one publisher there is nothing to wait for.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Who came last to flush, if that is known.
    last: Option<u64>,
    /// Whether several have come since the last flush began.
    several: bool,
    last_flush: Option<Instant>,
}

impl Gathering {
    /// Somebody came to flush.
    pub(super) fn came(&mut self, publisher: Option<u64>) {
        let last = std::mem::replace(&mut self.last, publisher);
        self.several |= last.is_some() && last != publisher;
    }

    /// A flush begins. Returns whether it should be deferred.
    pub(super) fn begin(&mut self, subscribers: usize, now: Instant) -> bool {
        let last = self.last_flush.replace(now);
        let window = window(subscribers);
        let recent = last.is_some_and(|last| now.saturating_duration_since(last) < window);
        let several = std::mem::take(&mut self.several);
        several && recent && subscribers >= SUBSCRIBERS
    }
}

/// How long ago the last flush, to so many, may have begun for the next one to be deferred.
fn window(subscribers: usize) -> Duration {
    PAUSE + WRITE.saturating_mul(u32::try_from(subscribers).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `begin` says after these came, one flush for each of them, a microsecond apart.
    fn last_of(publishers: &[Option<u64>], subscribers: usize) -> bool {
        let mut gathering = Gathering::default();
        let mut now = Instant::now();
        let mut deferred = false;
        for publisher in publishers {
            now += Duration::from_micros(1);
            gathering.came(*publisher);
            deferred = gathering.begin(subscribers, now);
        }
        deferred
    }

    #[test]
    fn only_several_publishers_are_gathered() {
        assert!(!last_of(&[Some(1)], SUBSCRIBERS));
        assert!(!last_of(&[Some(1), Some(1), Some(1)], SUBSCRIBERS));
        assert!(last_of(&[Some(1), Some(2)], SUBSCRIBERS));
        assert!(last_of(&[Some(1), Some(2), Some(1)], SUBSCRIBERS));
        assert!(!last_of(&[Some(1), Some(2), Some(2)], SUBSCRIBERS));
        assert!(!last_of(&[None, None], SUBSCRIBERS));
    }

    #[test]
    fn only_for_many_subscribers() {
        assert!(!last_of(&[Some(1), Some(2)], SUBSCRIBERS - 1));
    }

    #[test]
    fn who_comes_during_a_flush_counts() {
        let (mut gathering, now) = (Gathering::default(), Instant::now());
        gathering.came(Some(1));
        assert!(!gathering.begin(SUBSCRIBERS, now));
        gathering.came(Some(2));
        gathering.came(Some(2));
        assert!(gathering.begin(SUBSCRIBERS, now));
    }

    #[test]
    fn after_a_pause_nobody_is_waited_for() {
        for subscribers in [SUBSCRIBERS, 200] {
            let deferred = |pause: Duration| {
                let (mut gathering, now) = (Gathering::default(), Instant::now());
                gathering.came(Some(1));
                gathering.begin(subscribers, now);
                gathering.came(Some(2));
                gathering.begin(subscribers, now + pause)
            };
            // The flush itself is no pause.
            assert!(deferred(WRITE * u32::try_from(subscribers).unwrap()));
            assert!(!deferred(window(subscribers)));
        }
    }
}
