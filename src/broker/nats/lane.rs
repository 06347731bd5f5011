use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;

use super::super::Message;
use super::super::engine::{Item, OutboxLimits};
use super::stream;

/// The way of messages to one stream, in order: what waits for it, and what it has not confirmed.
///
/// While a stream has no leader it takes none, and may then take the second of two that are on their
/// way to it at once. So what it did not take is sent again with all that was behind it, the first
/// one alone, and the rest once the stream has that. What it had taken all the same it knows by its
/// message id. Where one was overtaken nevertheless, it is not sent again: it would come out of order.
#[derive(Debug)]
pub(super) struct Lane {
    /// The stream, as it is made.
    pub(super) wanted: Config,
    stage: Stage,
    waiting: VecDeque<Item<Message>>,
    sent: BTreeMap<u64, Sent>,
    troubled: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The stream is looked for, or made.
    Opening,
    /// It is there; whether it takes messages is seen by the first one.
    Trying,
    Open,
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    item: Item<Message>,
    /// Whether the stream has one that was sent to the same destination later.
    overtaken: bool,
}

/// The most that a stream has not confirmed: what is more waits, so that JetStream can keep up.
pub(super) const UNCONFIRMED: usize = 4_096;

/// How long a stream that takes messages may take to confirm one.
const PATIENCE: Duration = Duration::from_secs(5);

impl Lane {
    pub(super) fn new(wanted: Config) -> Self {
        let (waiting, sent) = (VecDeque::new(), BTreeMap::new());
        Self { wanted, stage: Stage::Opening, waiting, sent, troubled: None }
    }

    pub(super) fn push(&mut self, item: Item<Message>) {
        self.waiting.push_back(item);
    }

    /// The next to be sent, if the stream is to have another one. It counts as sent from now on.
    pub(super) fn next(&mut self, now: Instant) -> Option<Item<Message>> {
        let most = match self.stage {
            Stage::Opening => 0,
            Stage::Trying => 1,
            Stage::Open => UNCONFIRMED,
        };
        if self.sent.len() >= most {
            return None;
        }
        let item = self.waiting.pop_front()?;
        self.sent.insert(item.number, Sent { at: now, item: item.clone(), overtaken: false });
        Some(item)
    }

    /// How many the stream has not confirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.is_sent(number) || self.place(number).is_some()
    }

    pub(super) fn is_sent(&self, number: u64) -> bool {
        self.sent.contains_key(&number)
    }

    /// Where something waits.
    fn place(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |item| item.number).ok()
    }

    /// Whether anything waits.
    pub(super) fn is_wanted(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The stream was found, or made.
    pub(super) fn opened(&mut self) {
        self.stage = Stage::Trying;
    }

    /// The stream has taken, or refused, what has this number, which is done.
    pub(super) fn confirmed(&mut self, number: u64) -> Option<Item<Message>> {
        if self.is_sent(number) && self.stage == Stage::Trying {
            (self.stage, self.troubled) = (Stage::Open, None);
        }
        self.take(number)
    }

    /// What has this number is done.
    pub(super) fn take(&mut self, number: u64) -> Option<Item<Message>> {
        match self.sent.remove(&number) {
            Some(sent) => Some(sent.item),
            None => self.waiting.remove(self.place(number)?),
        }
    }

    /// The stream has this one. Those that it has overtaken and that wait to be sent again are
    /// returned: they are given up.
    pub(super) fn overtake(&mut self, last: &Item<Message>) -> Vec<u64> {
        let destination = last.what.destination();
        let to_same = |item: &Item<Message>| item.what.destination() == destination;
        // Nearly always there is none.
        for (_, sent) in self.sent.range_mut(..last.number).filter(|(_, sent)| to_same(&sent.item))
        {
            sent.overtaken = true;
        }
        if self.waiting.front().is_none_or(|first| first.number > last.number) {
            return Vec::new();
        }
        let is_overtaken = |item: &Item<Message>| item.number < last.number && to_same(item);
        let overtaken = self.waiting.iter().filter(|item| is_overtaken(item));
        let overtaken = overtaken.map(|item| item.number).collect();
        self.waiting.retain(|item| !is_overtaken(item));
        overtaken
    }

    /// The stream does not take messages: what it has not confirmed is to be sent again, once it was
    /// found again. What was overtaken is returned: it is given up.
    pub(super) fn failed(&mut self, now: Instant) -> Vec<u64> {
        self.stage = Stage::Opening;
        self.is_in_trouble(now);
        let mut overtaken = Vec::new();
        while let Some((number, sent)) = self.sent.pop_last() {
            if sent.overtaken {
                overtaken.push(number);
            } else {
                self.waiting.push_front(sent.item);
            }
        }
        overtaken
    }

    pub(super) fn is_in_trouble(&mut self, now: Instant) {
        self.troubled.get_or_insert(now);
    }

    /// For how long the stream has taken nothing, though something was to be taken.
    pub(super) fn trouble(&self, now: Instant) -> Duration {
        self.troubled.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Whether the stream does not answer.
    pub(super) fn is_unanswered(&self, now: Instant) -> bool {
        let patience = if self.stage == Stage::Trying { stream::PATIENCE } else { PATIENCE };
        let oldest = self.sent.values().next();
        oldest.is_some_and(|oldest| now.saturating_duration_since(oldest.at) > patience)
    }

    /// What has waited for too long: it is given up.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<u64> {
        let longest = OutboxLimits::default().time;
        let is_old = |item: &&Item<Message>| now.saturating_duration_since(item.since) >= longest;
        let count = self.waiting.iter().take_while(is_old).count();
        self.waiting.drain(..count).map(|item| item.number).collect()
    }

    /// What was sent, is not confirmed, and was overtaken.
    pub(super) fn overtaken(&self) -> impl Iterator<Item = u64> {
        self.sent.iter().filter(|(_, sent)| sent.overtaken).map(|(number, _)| *number)
    }

    /// All that is on its way.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item<Message>> {
        self.sent.values().map(|sent| &sent.item).chain(&self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [u64; 0] = [];

    fn item(number: u64, to: &str, since: Instant) -> Item<Message> {
        let what = Message::builder(to.parse().unwrap()).body(number.to_string());
        Item { number, again: false, since, what }
    }

    /// One with the messages 1 to 5, of which 3 goes elsewhere.
    fn lane(now: Instant) -> Lane {
        let mut lane = Lane::new(Config::default());
        for number in 1..=5 {
            lane.push(item(number, if number == 3 { "/queue/b" } else { "/queue/a" }, now));
        }
        lane
    }

    fn sent(lane: &mut Lane, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| lane.next(now)).map(|item| item.number).collect()
    }

    /// The stream has confirmed this one.
    fn kept(lane: &mut Lane, number: u64) -> Vec<u64> {
        let item = lane.confirmed(number).unwrap();
        lane.overtake(&item)
    }

    #[test]
    fn the_first_one_goes_alone() {
        let now = Instant::now();
        let mut lane = lane(now);
        assert_eq!(sent(&mut lane, now), NONE);
        lane.opened();
        assert_eq!(sent(&mut lane, now), [1]);
        assert_eq!(kept(&mut lane, 1), NONE);
        assert_eq!(sent(&mut lane, now), [2, 3, 4, 5]);
        assert_eq!((lane.unconfirmed(), lane.is_wanted()), (4, false));
    }

    #[test]
    fn what_was_not_taken_is_sent_again_with_all_behind_it() {
        let now = Instant::now();
        let mut lane = lane(now);
        lane.opened();
        assert_eq!(sent(&mut lane, now), [1]);
        assert_eq!(kept(&mut lane, 1), NONE);
        assert_eq!(sent(&mut lane, now), [2, 3, 4, 5]);
        assert_eq!(lane.failed(now), NONE);
        lane.push(item(6, "/queue/a", now));
        assert_eq!(lane.trouble(now + PATIENCE), PATIENCE);
        assert_eq!(sent(&mut lane, now), NONE);
        // Its confirmation was on its way.
        assert_eq!(kept(&mut lane, 2), NONE);
        lane.opened();
        assert_eq!(sent(&mut lane, now), [3]);
        assert_eq!(lane.failed(now), NONE);
        lane.opened();
        assert_eq!(sent(&mut lane, now), [3]);
        assert_eq!(kept(&mut lane, 3), NONE);
        assert_eq!(sent(&mut lane, now), [4, 5, 6]);
        assert_eq!(lane.trouble(now + PATIENCE), Duration::ZERO);
    }

    #[test]
    fn what_was_overtaken_is_not_sent_again() {
        let now = Instant::now();
        let mut lane = lane(now);
        lane.opened();
        assert_eq!(sent(&mut lane, now), [1]);
        assert_eq!(kept(&mut lane, 1), NONE);
        assert_eq!(sent(&mut lane, now), [2, 3, 4, 5]);
        // It may be confirmed still.
        assert_eq!(kept(&mut lane, 4), NONE);
        assert_eq!(lane.overtaken().collect::<Vec<_>>(), [2]);
        assert_eq!(lane.failed(now), [2]);
        // What goes elsewhere was overtaken by nothing.
        assert_eq!(kept(&mut lane, 5), NONE);
        lane.opened();
        assert_eq!(sent(&mut lane, now), [3]);
    }

    #[test]
    fn what_waits_is_overtaken_as_well() {
        let now = Instant::now();
        let mut lane = lane(now);
        lane.opened();
        assert_eq!(sent(&mut lane, now), [1]);
        assert_eq!(kept(&mut lane, 1), NONE);
        assert_eq!(sent(&mut lane, now), [2, 3, 4, 5]);
        assert_eq!(lane.failed(now), NONE);
        assert_eq!(kept(&mut lane, 5), [2, 4]);
        assert!(lane.has(3) && !lane.has(4));
    }

    #[test]
    fn what_waits_for_too_long_is_given_up() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut lane = lane(now);
        lane.push(item(6, "/queue/a", now + second));
        lane.opened();
        assert_eq!(sent(&mut lane, now), [1]);
        assert!(!lane.is_unanswered(now + 2 * second) && lane.is_unanswered(now + 3 * second));
        assert_eq!(lane.failed(now + 3 * second), NONE);
        assert_eq!(lane.expire(now + 9 * second), NONE);
        assert_eq!(lane.expire(now + 10 * second), [1, 2, 3, 4, 5]);
        assert!(lane.is_wanted());
    }
}
