use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::{BrokerError, Completer, Outcome};

/// What is on its way to an engine: in the order in which it was asked for, kept until the engine has
/// confirmed it, and sent again, still in order, after the connection was lost.
///
/// It is bounded in bytes, and in time while the engine cannot be reached: what was asked for longer
/// ago than [`OutboxLimits::time`] and waits to be sent, for the first time or again, is answered
/// [`BrokerError::Unavailable`]; so is what comes when it is full. What was sent before and is given
/// up then may have reached the engine all the same. What is to be [kept](Self::keep) is not given up
/// by time.
#[derive(Debug)]
pub(in super::super) struct Outbox<T> {
    state: Mutex<State<T>>,
    filled: Notify,
    limits: OutboxLimits,
    engine: &'static str,
}

/// How much an [`Outbox`] holds, and for how long.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct OutboxLimits {
    /// The most bytes on their way.
    pub(in super::super) bytes: usize,
    /// How long something waits for an engine that cannot be reached.
    pub(in super::super) time: Duration,
}

/// Something to be sent.
#[derive(Debug, Clone)]
pub(in super::super) struct Item<T> {
    /// Its number: each is larger than those before it.
    pub(in super::super) number: u64,
    /// Whether it may have reached the engine before, over a connection that was lost.
    #[cfg_attr(not(any(feature = "rabbitmq", feature = "redis")), allow(dead_code))]
    pub(in super::super) again: bool,
    /// Since when it is on its way.
    #[cfg_attr(not(feature = "nats"), allow(dead_code))]
    pub(in super::super) since: Instant,
    pub(in super::super) what: T,
}

#[derive(Debug)]
struct State<T> {
    last: u64,
    waiting: VecDeque<Entry<T>>,
    sent: VecDeque<Entry<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    number: u64,
    what: T,
    bytes: usize,
    since: Instant,
    again: bool,
    /// Whether it stays when it has waited too long.
    kept: bool,
    /// `None` once its outcome is complete.
    completer: Option<Completer>,
}

/// What is given up, `None` if it is kept, and who waits for it.
type Expired<T> = (Option<T>, Option<Completer>);

impl Default for OutboxLimits {
    /// 64 MiB, 10 s.
    fn default() -> Self {
        Self { bytes: 64 << 20, time: Duration::from_secs(10) }
    }
}

impl<T: Clone> Outbox<T> {
    pub(in super::super) fn new(engine: &'static str, limits: OutboxLimits) -> Self {
        let state = State { last: 0, waiting: VecDeque::new(), sent: VecDeque::new(), bytes: 0 };
        Self { state: Mutex::new(state), filled: Notify::new(), limits, engine }
    }

    /// Appends something of so many bytes. The outcome is complete when the engine has confirmed it.
    pub(in super::super) fn push(&self, what: T, bytes: usize, now: Instant) -> Outcome {
        self.append(what, bytes, now, false)
    }

    /// As [`push`](Self::push), for what can do without an answer of the engine: if it has waited too
    /// long its outcome is complete, without an error, and it is sent all the same once the engine can
    /// be reached. Only its bytes bound it then.
    #[cfg(any(feature = "redis", test))]
    pub(in super::super) fn keep(&self, what: T, bytes: usize, now: Instant) -> Outcome {
        self.append(what, bytes, now, true)
    }

    fn append(&self, what: T, bytes: usize, since: Instant, kept: bool) -> Outcome {
        let state = &mut *self.state.lock();
        if state.bytes.saturating_add(bytes) > self.limits.bytes {
            return BrokerError::Unavailable { engine: self.engine }.into();
        }
        let (completer, outcome) = Outcome::pending();
        state.last += 1;
        state.bytes += bytes;
        let number = state.last;
        let completer = Some(completer);
        let entry = Entry { number, what, bytes, since, again: false, kept, completer };
        state.waiting.push_back(entry);
        self.filled.notify_one();
        outcome
    }

    /// Waits for the next to be sent. It counts as sent from now on.
    pub(in super::super) async fn next(&self) -> Item<T> {
        loop {
            let filled = self.filled.notified();
            if let Some(item) = self.try_next() {
                return item;
            }
            filled.await;
        }
    }

    /// The next to be sent, if there is one.
    pub(in super::super) fn try_next(&self) -> Option<Item<T>> {
        let state = &mut *self.state.lock();
        let entry = state.waiting.pop_front()?;
        let Entry { number, again, since, .. } = entry;
        let item = Item { number, again, since, what: entry.what.clone() };
        state.sent.push_back(entry);
        Some(item)
    }

    /// The engine has taken, or refused, what has this number.
    pub(in super::super) fn answer(&self, number: u64, answer: Result<(), BrokerError>) {
        let answered = {
            let state = &mut *self.state.lock();
            let place = state.sent.binary_search_by_key(&number, |entry| entry.number);
            let entry = place.ok().and_then(|place| state.sent.remove(place));
            state.bytes -= entry.as_ref().map_or(0, |entry| entry.bytes);
            entry
        };
        if let Some(completer) = answered.and_then(|entry| entry.completer) {
            completer.complete(answer);
        }
    }

    /// The connection is lost: what was sent and not answered is to be sent again, before the rest.
    pub(in super::super) fn lost(&self) {
        let state = &mut *self.state.lock();
        while let Some(mut entry) = state.sent.pop_back() {
            entry.again = true;
            state.waiting.push_front(entry);
        }
        self.filled.notify_one();
    }

    /// Gives up what has waited too long for an engine that cannot be reached, and completes the
    /// outcomes of what is kept. Returns when this is to be asked again.
    #[cfg(any(feature = "nats", feature = "rabbitmq", test))]
    pub(in super::super) fn expire(&self, now: Instant) -> Option<Instant> {
        self.expire_each(now, |_| ())
    }

    /// As `expire`; `given_up` is told of each before whoever waits for it is.
    pub(in super::super) fn expire_each(
        &self,
        now: Instant,
        given_up: impl Fn(&T),
    ) -> Option<Instant> {
        let (expired, next) = self.take_expired(now);
        for (what, completer) in expired.into_iter().rev() {
            let answer = what.map_or(Ok(()), |what| {
                given_up(&what);
                Err(BrokerError::Unavailable { engine: self.engine })
            });
            if let Some(completer) = completer {
                completer.complete(answer);
            }
        }
        next
    }

    /// What is given up, the last one first, each with who waits for it; and who waits for what is
    /// kept.
    fn take_expired(&self, now: Instant) -> (Vec<Expired<T>>, Option<Instant>) {
        let state = &mut *self.state.lock();
        let time = self.limits.time;
        let old = |entry: &&Entry<T>| now.saturating_duration_since(entry.since) >= time;
        let count = state.waiting.iter().take_while(old).count();
        let old: Vec<_> = state.waiting.drain(..count).collect();
        let next = state.waiting.front().and_then(|entry| entry.since.checked_add(time));
        let mut expired = Vec::new();
        for mut entry in old.into_iter().rev() {
            if entry.kept {
                expired.push((None, entry.completer.take()));
                state.waiting.push_front(entry);
            } else {
                state.bytes -= entry.bytes;
                expired.push((Some(entry.what), entry.completer));
            }
        }
        (expired, next)
    }

    /// Gives up what was sent and has waited for an answer for so long, from an engine that can be
    /// reached. It may come to the engine still.
    #[cfg(any(feature = "rabbitmq", test))]
    pub(in super::super) fn give_up_unanswered(&self, now: Instant, longest: Duration) {
        let given_up: Vec<_> = {
            let state = &mut *self.state.lock();
            let old = |entry: &&Entry<T>| now.saturating_duration_since(entry.since) >= longest;
            let count = state.sent.iter().take_while(old).count();
            let given_up: Vec<_> = state.sent.drain(..count).collect();
            state.bytes -= given_up.iter().map(|entry| entry.bytes).sum::<usize>();
            given_up
        };
        for completer in given_up.into_iter().filter_map(|entry| entry.completer) {
            completer.complete(Err(BrokerError::Unavailable { engine: self.engine }));
        }
    }

    /// How many bytes are on their way.
    pub(in super::super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox<&'static str> {
        let limits = OutboxLimits { bytes: 10, time: Duration::from_secs(5) };
        Outbox::new("an engine", limits)
    }

    const AWAY: BrokerError = BrokerError::Unavailable { engine: "an engine" };

    #[test]
    fn what_was_not_answered_is_sent_again_in_order() {
        let (outbox, now) = (outbox(), Instant::now());
        let mut outcomes = ["a", "b", "c"].map(|what| outbox.push(what, 1, now));
        let sent: Vec<_> = std::iter::from_fn(|| outbox.try_next()).collect();
        assert_eq!(sent.iter().map(|item| item.what).collect::<Vec<_>>(), ["a", "b", "c"]);
        outbox.answer(sent[1].number, Ok(()));
        assert_eq!(outcomes[1].take_ready(), Some(Ok(())));
        drop(outbox.push("d", 1, now));
        outbox.lost();
        let again: Vec<_> = std::iter::from_fn(|| outbox.try_next()).collect();
        let again: Vec<_> = again.iter().map(|item| (item.what, item.again)).collect();
        assert_eq!(again, [("a", true), ("c", true), ("d", false)]);
        assert_eq!(outcomes[0].take_ready(), None);
        assert_eq!(outbox.bytes(), 3);
    }

    #[test]
    fn it_is_bounded_in_bytes() {
        let (outbox, now) = (outbox(), Instant::now());
        let mut first = outbox.push("a", 10, now);
        assert_eq!(outbox.push("b", 1, now).take_ready(), Some(Err(AWAY)));
        let number = outbox.try_next().unwrap().number;
        outbox.answer(number, Ok(()));
        assert_eq!(first.take_ready(), Some(Ok(())));
        assert_eq!(outbox.push("b", 1, now).take_ready(), None);
    }

    #[test]
    fn what_waits_too_long_is_answered() {
        let (outbox, now) = (outbox(), Instant::now());
        let second = Duration::from_secs(1);
        let mut early = outbox.push("a", 1, now);
        let mut late = outbox.push("b", 1, now + second);
        let given_up = std::cell::Cell::new("");
        assert_eq!(outbox.expire(now + 4 * second), Some(now + 5 * second));
        assert_eq!(early.take_ready(), None);
        assert_eq!(outbox.expire(now + 5 * second), Some(now + 6 * second));
        assert_eq!(early.take_ready(), Some(Err(AWAY)));
        assert_eq!(outbox.expire_each(now + 6 * second, |what| given_up.set(what)), None);
        assert_eq!(given_up.get(), "b");
        assert_eq!(late.take_ready(), Some(Err(AWAY)));
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn what_is_kept_is_answered_and_sent_nevertheless() {
        let (outbox, now) = (outbox(), Instant::now());
        let second = Duration::from_secs(1);
        let mut outcomes = [
            outbox.keep("ack", 1, now),
            outbox.push("send", 1, now),
            outbox.keep("nack", 1, now),
            outbox.push("late", 1, now + second),
        ];
        assert_eq!(outbox.try_next().map(|item| item.what), Some("ack"));
        outbox.lost();
        let never = |what: &&str| assert_eq!(*what, "send", "it is not given up");
        assert_eq!(outbox.expire_each(now + 5 * second, never), Some(now + 6 * second));
        let answers = outcomes.each_mut().map(Outcome::take_ready);
        assert_eq!(answers, [Some(Ok(())), Some(Err(AWAY)), Some(Ok(())), None]);
        assert_eq!(outbox.bytes(), 3);
        drop(outbox.push("last", 1, now + 6 * second));
        assert_eq!(outbox.expire(now + 6 * second), Some(now + 11 * second), "for the last one");
        assert_eq!(outcomes[3].take_ready(), Some(Err(AWAY)));
        let sent: Vec<_> = std::iter::from_fn(|| outbox.try_next()).collect();
        let order: Vec<_> = sent.iter().map(|item| (item.what, item.again)).collect();
        assert_eq!(order, [("ack", true), ("nack", false), ("last", false)]);
        for item in sent {
            outbox.answer(item.number, Ok(()));
        }
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn what_is_not_answered_is_given_up() {
        let (outbox, now) = (outbox(), Instant::now());
        let (second, longest) = (Duration::from_secs(1), Duration::from_secs(30));
        let mut outcomes = [
            outbox.push("a", 1, now),
            outbox.push("b", 2, now + second),
            outbox.push("waits", 4, now),
        ];
        let sent = [outbox.try_next().unwrap(), outbox.try_next().unwrap()];
        outbox.give_up_unanswered(now + longest, longest);
        let answers = outcomes.each_mut().map(Outcome::take_ready);
        assert_eq!(answers, [Some(Err(AWAY)), None, None]);
        assert_eq!(outbox.bytes(), 6);
        for item in sent {
            outbox.answer(item.number, Ok(()));
        }
        assert_eq!(outcomes[1].take_ready(), Some(Ok(())));
        assert_eq!(outbox.bytes(), 4);
    }

    #[test]
    fn what_is_given_up_makes_room() {
        let (outbox, now) = (outbox(), Instant::now());
        let longest = Duration::from_secs(30);
        let mut never = outbox.push("a", 10, now);
        let sent = outbox.try_next().unwrap();
        assert_eq!(outbox.push("b", 10, now).take_ready(), Some(Err(AWAY)));
        outbox.give_up_unanswered(now + longest, longest);
        assert_eq!(never.take_ready(), Some(Err(AWAY)));
        let mut taken = outbox.push("b", 10, now + longest);
        // The engine confirms it after all.
        outbox.answer(sent.number, Ok(()));
        assert_eq!((taken.take_ready(), outbox.bytes()), (None, 10));
        assert_eq!(outbox.try_next().map(|item| item.what), Some("b"));
    }

    #[test]
    fn what_is_kept_is_bounded_too() {
        let (outbox, now) = (outbox(), Instant::now());
        drop(outbox.push("a", 10, now));
        assert_eq!(outbox.keep("b", 1, now).take_ready(), Some(Err(AWAY)));
    }

    #[tokio::test]
    async fn the_task_is_woken() {
        let outbox = std::sync::Arc::new(outbox());
        let waiting = {
            let outbox = std::sync::Arc::clone(&outbox);
            tokio::spawn(async move { outbox.next().await.what })
        };
        tokio::task::yield_now().await;
        drop(outbox.push("a", 1, Instant::now()));
        assert_eq!(waiting.await.unwrap(), "a");
    }
}
