use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::{BrokerError, Completer, Destination};
use super::ENGINE;

/// Who waits until Kafka has what they sent, by the numbers of their records.
///
/// They are told after a while that Kafka cannot be reached. librdkafka goes on for longer, since it
/// begins a new series of its own numbers whenever it gives a record up: of what it had sent along with
/// that, Kafka would not know any more that it has it already.
#[derive(Default)]
pub(super) struct Waiting {
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// The number of the first one.
    first: usize,
    /// `None` are those who were told. The first one is somebody.
    all: VecDeque<Option<Sent>>,
    count: usize,
}

struct Sent {
    destination: Destination,
    completer: Completer,
    since: Instant,
}

/// How long somebody waits.
const PATIENCE: Duration = Duration::from_secs(10);

impl Waiting {
    /// Somebody waits from now on. Returns the number.
    pub(super) fn add(
        &self,
        destination: Destination,
        completer: Completer,
        now: Instant,
    ) -> usize {
        let line = &mut *self.line.lock();
        line.all.push_back(Some(Sent { destination, completer, since: now }));
        line.count += 1;
        line.first.wrapping_add(line.all.len() - 1)
    }

    /// Tells who waits for a record what has become of it.
    pub(super) fn answer(
        &self,
        number: usize,
        answer: impl FnOnce(&Destination) -> Result<(), BrokerError>,
    ) {
        // Nobody is told under the lock.
        let sent = self.line.lock().take(number);
        if let Some(sent) = sent {
            sent.completer.complete(answer(&sent.destination));
        }
    }

    /// Tells those who have waited too long that Kafka cannot be reached.
    pub(super) fn expire(&self, now: Instant) {
        loop {
            let late = self.line.lock().take_late(now);
            let Some(late) = late else { return };
            late.completer.complete(Err(BrokerError::Unavailable { engine: ENGINE }));
        }
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.line.lock().count
    }
}

impl Line {
    fn take(&mut self, number: usize) -> Option<Sent> {
        let sent = self.all.get_mut(number.wrapping_sub(self.first))?.take()?;
        self.count -= 1;
        while let Some(None) = self.all.front() {
            self.all.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        Some(sent)
    }

    fn take_late(&mut self, now: Instant) -> Option<Sent> {
        let first = self.all.front()?.as_ref()?;
        let late = now.saturating_duration_since(first.since) >= PATIENCE;
        if late { self.take(self.first) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Outcome;
    use super::*;

    fn add(waiting: &Waiting, now: Instant) -> (usize, Outcome) {
        let (completer, outcome) = Outcome::pending();
        (waiting.add("/topic/a".parse().unwrap(), completer, now), outcome)
    }

    #[test]
    fn each_is_told_of_its_own_whatever_the_order() {
        let (waiting, now) = (Waiting::default(), Instant::now());
        let mut all: Vec<_> = (0..4).map(|_| add(&waiting, now)).collect();
        for place in [2, 0, 3, 1] {
            let (number, outcome) = &mut all[place];
            assert_eq!(outcome.take_ready(), None);
            waiting.answer(*number, |_| Ok(()));
            waiting.answer(*number, |_| panic!("it was told"));
            assert_eq!(outcome.take_ready(), Some(Ok(())));
        }
        assert_eq!(waiting.count(), 0);
        let (number, mut later) = add(&waiting, now);
        assert!(all.iter().all(|(before, _)| *before != number));
        waiting.answer(number, |_| Ok(()));
        assert_eq!(later.take_ready(), Some(Ok(())));
    }

    #[test]
    fn who_has_waited_too_long_is_told_so_and_nothing_else() {
        let (waiting, now) = (Waiting::default(), Instant::now());
        let (first, mut early) = add(&waiting, now);
        let (second, mut done) = add(&waiting, now);
        let (third, mut late) = add(&waiting, now + PATIENCE / 2);
        waiting.answer(second, |_| Ok(()));
        waiting.expire(now + PATIENCE);
        assert_eq!(early.take_ready(), Some(Err(BrokerError::Unavailable { engine: ENGINE })));
        assert_eq!((done.take_ready(), late.take_ready()), (Some(Ok(())), None));
        assert_eq!(waiting.count(), 1);
        waiting.answer(first, |_| panic!("it was told"));
        waiting.answer(third, |_| Ok(()));
        assert_eq!(late.take_ready(), Some(Ok(())));
    }
}
