use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Notify;

use super::super::engine::{Consumers, Settled};
use super::super::{Destination, Settle, Subscriber, SubscriberId};
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
    held: Mutex<HashMap<Partition, Held>>,
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

/// A partition of a queue that this node has.
struct Held {
    queue: Arc<Queue>,
    ledger: Ledger,
}

pub(super) type Partition = (String, i32);

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
        self.touch(queue);
    }

    /// Removes a consumer. What it has not settled is for the others.
    pub(super) fn leave(&self, queue: &Destination, subscriber: SubscriberId) {
        if let Some(local) = self.queue(queue) {
            local.consumers.leave(subscriber);
            self.touch(queue);
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
        let has_partitions = |queue: &Queue| held.keys().any(|(topic, _)| *topic == queue.topic);
        let (mut topics, mut again) = (BTreeSet::new(), None);
        self.all.lock().retain(|_, queue| {
            if let Some(leave) = queue.leaves_at(now) {
                if leave <= now {
                    return has_partitions(queue);
                }
                again = again.into_iter().chain([leave]).min();
            }
            topics.insert(queue.topic.clone());
            true
        });
        (topics, again)
    }

    /// The queue that a topic is.
    pub(super) fn of_topic(&self, topic: &str) -> Option<Arc<Queue>> {
        self.all.lock().values().find(|queue| queue.topic == topic).cloned()
    }

    /// Whether records of a partition came already.
    pub(super) fn is_held(&self, partition: &Partition) -> bool {
        self.held.lock().contains_key(partition)
    }

    /// Records of a partition come to a queue from now on.
    pub(super) fn hold(&self, partition: Partition, queue: Arc<Queue>, ledger: Ledger) {
        self.held.lock().insert(partition, Held { queue, ledger });
    }

    /// A record has come. Returns its queue, and how often it may have been delivered before.
    pub(super) fn arrived(&self, partition: &Partition, offset: i64) -> Option<(Arc<Queue>, u32)> {
        let mut held = self.held.lock();
        let held = held.get_mut(partition)?;
        let attempts = held.ledger.arrived(offset)?;
        Some((Arc::clone(&held.queue), attempts))
    }

    /// Notes what was settled of a queue. Returns whether one of its partitions is full.
    pub(super) fn note_settled(&self, queue: &Queue) -> bool {
        let mut held = self.held.lock();
        for settled in queue.consumers.take_settled() {
            let (Settled::Done(place) | Settled::Requeue(place)) = settled;
            if let Some(held) = held.get_mut(&(queue.topic.clone(), place.partition)) {
                held.ledger.settle(place.offset);
            }
        }
        held.iter().any(|((topic, _), held)| *topic == queue.topic && held.ledger.is_full())
    }

    /// What is to be committed.
    pub(super) fn to_commit(&self) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), held) in &mut *self.held.lock() {
            if let Some(offset) = held.ledger.take_changed() {
                add(&mut list, topic, *partition, offset, Note::Open);
            }
        }
        (list.count() > 0).then_some(list)
    }

    /// Kafka has not taken what was committed.
    pub(super) fn commit_again(&self, partitions: &TopicPartitionList) {
        let mut held = self.held.lock();
        for place in partitions.elements() {
            let partition = (place.topic().to_owned(), place.partition());
            if let Some(held) = held.get_mut(&partition) {
                held.ledger.commit_again();
            }
        }
    }

    /// Partitions are given back: what came of them is for others. Returns what is to be committed.
    pub(super) fn give_back(&self, partitions: &TopicPartitionList) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for place in partitions.elements() {
            let partition = (place.topic().to_owned(), place.partition());
            let Some(queue) = self.held.lock().get(&partition).map(|held| Arc::clone(&held.queue))
            else {
                continue;
            };
            self.note_settled(&queue);
            let here = |place: Place| place.partition == partition.1;
            let delivered = queue.consumers.forget(here);
            let Some(held) = self.held.lock().remove(&partition) else { continue };
            let note = held.ledger.seen(delivered.iter().map(|place| place.offset));
            add(&mut list, &partition.0, partition.1, held.ledger.settled_to(), note);
            self.touch(&queue.destination);
        }
        list
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
