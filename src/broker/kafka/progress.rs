use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::{
    BrokerError, Completer, Destination, HistoryRequest, Outcome, Router, Subscriber, SubscriberId,
    Turn,
};
use super::ENGINE;

/// How far this node has read each partition, and who joins when it has read further.
///
/// What is published comes back to the node by its reader, a moment later. A subscriber is to get
/// what is published from its call on, and nothing that was confirmed to this node before. So it
/// joins the router when the reader has come to what was confirmed. One that asks for history joins
/// when the reader has come to what stands in Kafka: then all that any node knew of is in the history.
#[derive(Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    topics: HashMap<String, Vec<Partition>>,
    joining: HashMap<u64, Joining>,
    numbers: HashMap<(Destination, SubscriberId), u64>,
    last: u64,
    /// Those for whom the node has read far enough.
    ready: Vec<u64>,
}

/// How far a partition was read.
#[derive(Debug, Default)]
struct Partition {
    /// The offset behind the last record that was routed.
    read: i64,
    /// What stands before this was there when the node came.
    end_at_start: i64,
    /// The offset behind the last record that is confirmed to this node.
    confirmed: i64,
    /// Who waits until so much is read.
    waiting: BTreeMap<i64, Vec<u64>>,
}

/// A subscriber that has not joined the router yet.
struct Joining {
    destination: Destination,
    subscriber: Subscriber,
    completer: Completer,
    since: Instant,
    /// What is to be read before.
    needs: Vec<Need>,
    /// How often older messages were looked for.
    replays: u32,
}

/// An offset up to which a partition is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// What a subscriber waits for before it joins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until<'a> {
    /// What is confirmed to this node of the partition of a key.
    Confirmed { topic: &'a str, partition: i32 },
    /// What had been there when the node came, of all topics.
    Start,
}

/// How long somebody waits to join.
const PATIENCE: Duration = Duration::from_secs(10);

impl Progress {
    /// Adds a partition behind those of its topic: where it is read from, and what is there.
    pub(super) fn add(&self, topic: &str, start: i64, end: i64) {
        let state = &mut *self.state.lock();
        let partition =
            Partition { read: start, end_at_start: end, confirmed: end, ..Partition::default() };
        state.topics.entry(topic.to_owned()).or_default().push(partition);
    }

    /// How many partitions of a topic are read.
    pub(super) fn partitions(&self, topic: &str) -> usize {
        self.state.lock().topics.get(topic).map_or(0, Vec::len)
    }

    /// How many partitions are read.
    pub(super) fn count(&self) -> usize {
        self.state.lock().topics.values().map(Vec::len).sum()
    }

    /// How far each partition was read.
    pub(super) fn all(&self) -> Vec<Need> {
        let state = self.state.lock();
        let of_topic = |(topic, partitions): (&String, &Vec<Partition>)| {
            let topic = topic.clone();
            let places = (0..).zip(partitions).map(move |(partition, it)| Need {
                topic: topic.clone(),
                partition,
                offset: it.read,
            });
            places.collect::<Vec<_>>()
        };
        state.topics.iter().flat_map(of_topic).collect()
    }

    /// How far a partition was read.
    pub(super) fn read_to(&self, topic: &str, partition: i32) -> Option<i64> {
        self.state.lock().partition(topic, partition).map(|partition| partition.read)
    }

    /// Whether a record was there when the node came. Those that wait for what is before it are ready.
    pub(super) fn is_from_before(&self, topic: &str, partition: i32, offset: i64) -> bool {
        let state = &mut *self.state.lock();
        state.reach(topic, partition, offset);
        let partition = state.partition(topic, partition);
        partition.is_some_and(|partition| offset < partition.end_at_start)
    }

    /// All records before this offset were routed.
    pub(super) fn reach(&self, topic: &str, partition: i32, offset: i64) {
        self.state.lock().reach(topic, partition, offset);
    }

    /// A partition is read on from elsewhere.
    pub(super) fn jump(&self, topic: &str, partition: i32, offset: i64) {
        let state = &mut *self.state.lock();
        if let Some(place) = state.partition(topic, partition) {
            place.read = offset;
            place.confirmed = place.confirmed.min(offset);
            let all = std::mem::take(&mut place.waiting);
            state.ready.extend(all.into_values().flatten());
        }
    }

    /// Kafka has confirmed a record of this node. Returns whether its partition is known.
    pub(super) fn confirm(&self, topic: &str, partition: i32, offset: i64) -> bool {
        let state = &mut *self.state.lock();
        let Some(partition) = state.partition(topic, partition) else { return false };
        partition.confirmed = partition.confirmed.max(offset + 1);
        true
    }

    /// A subscriber comes that asks for no history. It is given back if it may join the router now;
    /// or else the outcome is complete when it has.
    pub(super) fn join(
        &self,
        until: Until<'_>,
        destination: &Destination,
        subscriber: Subscriber,
        now: Instant,
    ) -> Result<Subscriber, Outcome> {
        let state = &mut *self.state.lock();
        let needs = state.needs(until);
        if needs.is_empty() {
            return Ok(subscriber);
        }
        let (number, outcome) = state.hold(destination, subscriber, now);
        state.wait(number, needs);
        Err(outcome)
    }

    /// A subscriber comes that asks for history: [`wait`](Self::wait) is to be called with its number,
    /// when it is known what stands in Kafka.
    pub(super) fn hold(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        now: Instant,
    ) -> (u64, Outcome) {
        self.state.lock().hold(destination, subscriber, now)
    }

    /// A subscriber joins when so much is read.
    pub(super) fn wait(&self, number: u64, needs: Vec<Need>) {
        let state = &mut *self.state.lock();
        state.wait(number, needs);
        if !state.ready.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Removes a subscriber that has not joined yet. Returns whether there was one.
    pub(super) fn leave(&self, destination: &Destination, subscriber: SubscriberId) -> bool {
        let state = &mut *self.state.lock();
        let number = state.numbers.remove(&(destination.clone(), subscriber));
        let joining = number.and_then(|number| state.joining.remove(&number));
        let was_there = joining.is_some();
        if let Some(joining) = joining {
            joining.completer.complete(Ok(()));
        }
        was_there
    }

    /// Waits until somebody is ready who was not when the reader looked.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Those for whom enough was read since this was asked.
    pub(super) fn take_ready(&self) -> Vec<u64> {
        std::mem::take(&mut self.state.lock().ready)
    }

    /// Whether somebody waits until more is read.
    pub(super) fn is_awaited(&self) -> bool {
        !self.state.lock().joining.is_empty()
    }

    /// What one that has not joined yet asks for, as it is to be asked now.
    pub(super) fn asked(
        &self,
        number: u64,
        now: Instant,
    ) -> Option<(Destination, Option<HistoryRequest>)> {
        let state = self.state.lock();
        let joining = state.joining.get(&number)?;
        Some((joining.destination.clone(), joining.history(now)))
    }

    /// Notes that older messages are looked for. Returns how often that was done before.
    pub(super) fn replay(&self, number: u64) -> Option<u32> {
        let state = &mut *self.state.lock();
        let joining = state.joining.get_mut(&number)?;
        joining.replays += 1;
        Some(joining.replays - 1)
    }

    /// Adds to the router who is still there.
    pub(super) fn finish(&self, number: u64, router: &Router, turn: &mut Turn) {
        // Under the lock, so that it does not leave in between.
        let state = &mut *self.state.lock();
        if let Some(joining) = state.take(number) {
            let history = joining.history(turn.now());
            router.subscribe(&joining.destination, joining.subscriber.with_history(history), turn);
            joining.completer.complete(Ok(()));
        }
    }

    /// Refuses those who have waited too long.
    pub(super) fn expire(&self, now: Instant) {
        let state = &mut *self.state.lock();
        let late = |joining: &Joining| now.saturating_duration_since(joining.since) >= PATIENCE;
        let late = state.joining.iter().filter(|(_, joining)| late(joining));
        for number in late.map(|(number, _)| *number).collect::<Vec<_>>() {
            if let Some(joining) = state.take(number) {
                joining.completer.complete(Err(BrokerError::Unavailable { engine: ENGINE }));
            }
        }
    }
}

impl Joining {
    /// What it asks for. A span of time ends when it came, and not now.
    fn history(&self, now: Instant) -> Option<HistoryRequest> {
        match self.subscriber.history.clone()? {
            HistoryRequest::Within(span) => {
                let waited = now.saturating_duration_since(self.since);
                Some(HistoryRequest::Within(span.saturating_add(waited)))
            }
            other => Some(other),
        }
    }
}

impl State {
    fn partition(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        self.topics.get_mut(topic)?.get_mut(usize::try_from(partition).ok()?)
    }

    fn reach(&mut self, topic: &str, partition: i32, offset: i64) {
        let Some(place) = self.partition(topic, partition) else { return };
        if place.read >= offset {
            return;
        }
        place.read = offset;
        if place.waiting.is_empty() {
            return;
        }
        let later = place.waiting.split_off(&(offset + 1));
        let reached = std::mem::replace(&mut place.waiting, later);
        for number in reached.into_values().flatten() {
            self.look_at(number);
        }
    }

    /// What is to be read before somebody joins.
    fn needs(&mut self, until: Until<'_>) -> Vec<Need> {
        let need =
            |topic: &str, partition, offset| Need { topic: topic.to_owned(), partition, offset };
        match until {
            Until::Confirmed { topic, partition } => match self.partition(topic, partition) {
                Some(place) if place.read < place.confirmed => {
                    vec![need(topic, partition, place.confirmed)]
                }
                _ => Vec::new(),
            },
            Until::Start => {
                let mut needs = Vec::new();
                for (topic, partitions) in &self.topics {
                    for (partition, place) in (0..).zip(partitions) {
                        if place.read < place.end_at_start {
                            needs.push(need(topic, partition, place.end_at_start));
                        }
                    }
                }
                needs
            }
        }
    }

    fn hold(
        &mut self,
        destination: &Destination,
        subscriber: Subscriber,
        now: Instant,
    ) -> (u64, Outcome) {
        let (completer, outcome) = Outcome::pending();
        self.last += 1;
        let replaced = self.numbers.insert((destination.clone(), subscriber.id), self.last);
        if let Some(replaced) = replaced.and_then(|number| self.joining.remove(&number)) {
            replaced.completer.complete(Ok(()));
        }
        let destination = destination.clone();
        let joining = Joining {
            destination,
            subscriber,
            completer,
            since: now,
            needs: Vec::new(),
            replays: 0,
        };
        self.joining.insert(self.last, joining);
        (self.last, outcome)
    }

    fn wait(&mut self, number: u64, needs: Vec<Need>) {
        if let Some(joining) = self.joining.get_mut(&number) {
            joining.needs = needs;
            self.look_at(number);
        }
    }

    /// Waits for the next of what is to be read, or is ready.
    fn look_at(&mut self, number: u64) {
        let Some(joining) = self.joining.get_mut(&number) else { return };
        while let Some(need) = joining.needs.pop() {
            let index = usize::try_from(need.partition).unwrap_or(usize::MAX);
            let place = self.topics.get_mut(&need.topic).and_then(|all| all.get_mut(index));
            if let Some(place) = place
                && place.read < need.offset
            {
                place.waiting.entry(need.offset).or_default().push(number);
                return;
            }
        }
        self.ready.push(number);
    }

    fn take(&mut self, number: u64) -> Option<Joining> {
        let joining = self.joining.remove(&number)?;
        self.numbers.remove(&(joining.destination.clone(), joining.subscriber.id));
        Some(joining)
    }
}

#[cfg(test)]
mod tests;
