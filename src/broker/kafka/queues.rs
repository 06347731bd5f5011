use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Notify;

use super::super::engine::{Consumers, Settled};
use super::super::{BrokerError, Destination, Settle, Subscriber, SubscriberId};
use super::ENGINE;
use super::ledger::{Ledger, Note};
use super::place::Place;

/// The queues that have consumers on this node, and what of them was handed to it.
///
/// Kafka gives each partition to one member of a group, which is the node. So what is rejected, or left
/// by a consumer, stays here and is delivered again from here; it is given back by giving back the
/// partition.
#[derive(Default)]
pub(super) struct Queues {
    all: Mutex<HashMap<Destination, Arc<Queue>>>,
    /// Where there may be something to do.
    touched: Mutex<HashSet<Destination>>,
    changed: Notify,
    /// Whether queues may have come or gone.
    others: AtomicBool,
    held: Mutex<HashMap<String, Held>>,
}

/// A queue, which is a topic.
pub(super) struct Queue {
    pub(super) destination: Destination,
    pub(super) topic: String,
    pub(super) consumers: Consumers<Place>,
    /// Whether no more is taken from Kafka.
    pub(super) paused: AtomicBool,
    /// Since when it has no consumers.
    left: Mutex<Option<Instant>>,
}

/// The partitions of a queue that this node has records of.
struct Held {
    queue: Arc<Queue>,
    ledgers: BTreeMap<i32, Ledger>,
}

/// How long the partitions of a queue are kept after its last consumer: who comes back at once finds
/// everything where it was.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// How many messages are read ahead at the least.
const AHEAD: usize = 16;

impl Queues {
    /// Adds a consumer of a queue, or replaces the one with its id.
    pub(super) fn join(&self, queue: &Destination, topic: &str, subscriber: Subscriber) {
        let mut all = self.all.lock();
        let new = || Arc::new(Queue::new(queue.clone(), topic.to_owned()));
        let consumers = &all.entry(queue.clone()).or_insert_with(new).consumers;
        // Under the lock, so that nobody forgets the queue in between.
        consumers.leave(subscriber.id);
        consumers.join(subscriber);
        drop(all);
        self.look_for_others(queue);
    }

    /// Removes a consumer. What it has not settled is for the others.
    pub(super) fn leave(&self, queue: &Destination, subscriber: SubscriberId) {
        if let Some(local) = self.queue(queue) {
            local.consumers.leave(subscriber);
            self.look_for_others(queue);
        }
    }

    /// Settles what came from a queue. From a topic there is nothing to settle.
    pub(super) fn settle(&self, settle: &Settle, now: Instant) {
        if let Some(queue) = self.queue(&settle.destination) {
            queue.consumers.settle(settle);
            queue.consumers.dispatch(now);
            self.touch(&settle.destination);
        }
    }

    /// A consumer's outlet has written what it had. Returns whether there is such a queue.
    pub(super) fn resume(&self, queue: &Destination, who: SubscriberId, now: Instant) -> bool {
        let Some(local) = self.queue(queue) else { return false };
        local.consumers.resume(who);
        local.consumers.dispatch(now);
        self.touch(queue);
        true
    }

    pub(super) fn queue(&self, queue: &Destination) -> Option<Arc<Queue>> {
        self.all.lock().get(queue).cloned()
    }

    /// Notes that there may be something to do for a queue.
    pub(super) fn touch(&self, queue: &Destination) {
        self.touched.lock().insert(queue.clone());
        self.changed.notify_one();
    }

    /// Notes that a queue may have come or gone.
    pub(super) fn look_for_others(&self, queue: &Destination) {
        self.others.store(true, Ordering::Release);
        self.touch(queue);
    }

    /// Whether queues may have come or gone since this was asked.
    pub(super) fn take_others(&self) -> bool {
        self.others.swap(false, Ordering::AcqRel)
    }

    /// Waits until there is something to do.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The queues for which there may be something to do.
    pub(super) fn take_touched(&self) -> Vec<Arc<Queue>> {
        let touched = std::mem::take(&mut *self.touched.lock());
        let all = self.all.lock();
        touched.iter().filter_map(|queue| all.get(queue).cloned()).collect()
    }

    /// The topics that this node consumes from. Queues without consumers are left after a while, and
    /// forgotten when their partitions are given back. The instant is when to ask again.
    pub(super) fn wanted(&self, now: Instant) -> (BTreeSet<String>, Option<Instant>) {
        let held = self.held.lock();
        let (mut topics, mut again) = (BTreeSet::new(), None);
        self.all.lock().retain(|_, queue| {
            if let Some(leave) = queue.leaves_at(now) {
                if leave <= now {
                    return held.contains_key(&queue.topic);
                }
                again = again.into_iter().chain([leave]).min();
            }
            topics.insert(queue.topic.clone());
            true
        });
        (topics, again)
    }

    /// Kafka lets this node consume from no queue at all: their consumers are told so.
    pub(super) fn refuse_all(&self, reason: &str) {
        let all: Vec<_> = self.all.lock().values().cloned().collect();
        for queue in all {
            let (destination, reason) = (queue.destination.to_string(), reason.to_owned());
            let error = BrokerError::Refused { destination, reason, engine: ENGINE };
            queue.consumers.refuse(&error);
        }
    }

    /// The queue that a topic is.
    pub(super) fn of_topic(&self, topic: &str) -> Option<Arc<Queue>> {
        self.all.lock().values().find(|queue| queue.topic == topic).cloned()
    }

    /// Whether records of a partition came already.
    pub(super) fn is_held(&self, topic: &str, partition: i32) -> bool {
        let held = self.held.lock();
        held.get(topic).is_some_and(|held| held.ledgers.contains_key(&partition))
    }

    /// Records of a partition come to a queue from now on.
    pub(super) fn hold(&self, queue: &Arc<Queue>, partition: i32, ledger: Ledger) {
        let mut held = self.held.lock();
        let new = || Held { queue: Arc::clone(queue), ledgers: BTreeMap::new() };
        held.entry(queue.topic.clone()).or_insert_with(new).ledgers.insert(partition, ledger);
    }

    /// A record has come. Returns its queue, and how often it may have been delivered before.
    pub(super) fn arrived(&self, topic: &str, place: Place) -> Option<(Arc<Queue>, u32)> {
        let mut held = self.held.lock();
        let held = held.get_mut(topic)?;
        let attempts = held.ledgers.get_mut(&place.partition)?.arrived(place.offset)?;
        Some((Arc::clone(&held.queue), attempts))
    }

    /// Notes what was settled of a queue. Returns whether one of its partitions is full.
    pub(super) fn note_settled(&self, queue: &Queue) -> bool {
        let mut held = self.held.lock();
        let Some(held) = held.get_mut(&queue.topic) else { return false };
        for settled in queue.consumers.take_settled() {
            let (Settled::Done(place) | Settled::Requeue(place)) = settled;
            if let Some(ledger) = held.ledgers.get_mut(&place.partition) {
                ledger.settle(place.offset);
            }
        }
        held.ledgers.values().any(Ledger::is_full)
    }

    /// What is to be committed.
    pub(super) fn to_commit(&self) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (topic, held) in &mut *self.held.lock() {
            for (partition, ledger) in &mut held.ledgers {
                if let Some(offset) = ledger.take_changed() {
                    add(&mut list, topic, *partition, offset, Note::Open);
                }
            }
        }
        (list.count() > 0).then_some(list)
    }

    /// Kafka has not taken what was committed.
    pub(super) fn commit_again(&self, partitions: &TopicPartitionList) {
        let mut held = self.held.lock();
        for place in partitions.elements() {
            let held = held.get_mut(place.topic());
            let Some(held) = held else { continue };
            if let Some(ledger) = held.ledgers.get_mut(&place.partition()) {
                ledger.commit_again();
                self.touch(&held.queue.destination);
            }
        }
    }

    /// Partitions are given back: what came of them is for others. Returns what is to be committed.
    pub(super) fn give_back(&self, partitions: &TopicPartitionList) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for place in partitions.elements() {
            let (topic, partition) = (place.topic(), place.partition());
            let queue = self.held.lock().get(topic).map(|held| Arc::clone(&held.queue));
            let Some(queue) = queue else { continue };
            self.note_settled(&queue);
            let delivered = queue.consumers.forget(|place| place.partition == partition);
            if let Some(ledger) = self.take(topic, partition) {
                let note = ledger.seen(delivered.iter().map(|place| place.offset));
                add(&mut list, topic, partition, ledger.settled_to(), note);
            }
            self.look_for_others(&queue.destination);
        }
        list
    }

    fn take(&self, topic: &str, partition: i32) -> Option<Ledger> {
        let mut all = self.held.lock();
        let held = all.get_mut(topic)?;
        let ledger = held.ledgers.remove(&partition);
        if held.ledgers.is_empty() {
            all.remove(topic);
        }
        ledger
    }

    /// Partitions were given to this node. They are not paused.
    pub(super) fn assigned(&self, partitions: &TopicPartitionList) {
        let topics: HashSet<_> =
            partitions.elements().iter().map(|it| it.topic().to_owned()).collect();
        for queue in topics.iter().filter_map(|topic| self.of_topic(topic)) {
            queue.paused.store(false, Ordering::Relaxed);
            self.touch(&queue.destination);
        }
    }
}

impl Queue {
    fn new(destination: Destination, topic: String) -> Self {
        let consumers = Consumers::with_requeue();
        let (paused, left) = (AtomicBool::new(false), Mutex::default());
        Self { destination, topic, consumers, paused, left }
    }

    /// When it is left, if it has no consumers.
    fn leaves_at(&self, now: Instant) -> Option<Instant> {
        let mut left = self.left.lock();
        if !self.consumers.is_empty() {
            *left = None;
            return None;
        }
        Some(*left.get_or_insert(now) + LINGER)
    }

    /// Whether Kafka is to be asked for more, or no more: nothing is said in between.
    pub(super) fn wants_more(&self) -> Option<bool> {
        let (ready, ahead) = (self.consumers.ready(), self.consumers.credit().max(AHEAD));
        if self.consumers.is_empty() || ready >= ahead {
            return Some(false);
        }
        (ready <= ahead / 2).then_some(true)
    }
}

/// Adds a place to what is committed.
pub(super) fn add(
    list: &mut TopicPartitionList,
    topic: &str,
    partition: i32,
    offset: i64,
    note: Note,
) {
    let mut place = list.add_partition(topic, partition);
    // An offset of a record is a valid one.
    drop(place.set_offset(Offset::Offset(offset)));
    place.set_metadata(note.write());
}

#[cfg(test)]
mod tests;
