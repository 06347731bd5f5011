use std::time::{Duration, Instant};

/// The heart-beats that a peer has promised, and when it counts as silent
/// (STOMP 1.2, "Heart-beating"). Either end of a connection listens in this way.
#[derive(Debug)]
pub(super) struct IncomingBeats {
    /// How often the peer has promised a beat, if at all.
    period: Option<Duration>,
    /// How long nothing may come: the period with a margin.
    patience: Option<Duration>,
    last_heard: Instant,
    silent_at: Option<Instant>,
}

impl IncomingBeats {
    /// Nothing is promised yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { period: None, patience: None, last_heard: now, silent_at: None }
    }

    /// The peer has promised a beat every `period`; it counts as silent after `margin` of them, but
    /// never before one has passed.
    pub(super) fn promise(&mut self, period: Option<Duration>, margin: u32) {
        self.period = period;
        self.patience = period.and_then(|period| period.checked_mul(margin.max(1)));
        self.heard(self.last_heard);
    }

    /// Notes a sign of life: any byte is one.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.silent_at = self.patience.and_then(|patience| now.checked_add(patience));
    }

    /// Gives a peer that counts as silent one more period.
    pub(super) fn grant_period(&mut self, now: Instant) {
        self.silent_at = self.period.and_then(|period| now.checked_add(period));
    }

    /// When the peer counts as silent, if nothing comes before.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        self.silent_at
    }

    /// How long nothing came, if that makes the peer count as silent.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        let is_silent = self.silent_at.is_some_and(|silent_at| silent_at <= now);
        is_silent.then(|| now.saturating_duration_since(self.last_heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    #[test]
    fn c4_the_margin_is_counted_from_the_last_sign_of_life() {
        let start = Instant::now();
        let mut beats = IncomingBeats::new(start);
        assert_eq!(beats.silent_at(), None);
        beats.heard(start + PERIOD);
        beats.promise(Some(PERIOD), 2);
        assert_eq!(beats.silent_at(), Some(start + 3 * PERIOD));
        assert_eq!(beats.silence(start + 2 * PERIOD), None);
        assert_eq!(beats.silence(start + 3 * PERIOD), Some(2 * PERIOD));
        beats.grant_period(start + 3 * PERIOD);
        assert_eq!(beats.silence(start + 3 * PERIOD), None);
        assert_eq!(beats.silence(start + 4 * PERIOD), Some(3 * PERIOD));
        beats.heard(start + 4 * PERIOD);
        assert_eq!(beats.silent_at(), Some(start + 6 * PERIOD));
    }

    #[test]
    fn c4_without_a_promise_nobody_is_silent() {
        let start = Instant::now();
        let mut beats = IncomingBeats::new(start);
        beats.promise(None, 2);
        beats.heard(start);
        beats.grant_period(start);
        assert_eq!((beats.silent_at(), beats.silence(start + PERIOD)), (None, None));
    }

    #[test]
    fn c4_no_margin_is_still_one_period() {
        let start = Instant::now();
        let mut beats = IncomingBeats::new(start);
        beats.promise(Some(PERIOD), 0);
        assert_eq!(beats.silent_at(), Some(start + PERIOD));
    }

    #[test]
    fn c4_what_is_too_long_for_the_clock_is_never() {
        let start = Instant::now();
        let mut beats = IncomingBeats::new(start);
        beats.promise(Some(Duration::MAX), 2);
        beats.grant_period(start);
        assert_eq!(beats.silent_at(), None);
    }
}
