use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::topic_partition_list::TopicPartitionListElem as Committed;
use tokio::sync::Notify;

use crate::frame::SharedMessage;

use super::super::{Destination, Settle, Subscriber, SubscriberId};
use super::held::Held;
use super::keeping::Kept;
use super::opening::Question;
use super::place::Place;
use super::queue::Queue;

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
    /// The topics of which this node was given partitions.
    held: Mutex<HashMap<String, Held>>,
    questions: Mutex<Vec<Question>>,
    /// The number of the next question.
    last: AtomicU64,
    /// Whether questions were answered.
    answered: AtomicBool,
}

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
            queue.refuse(reason);
        }
    }

    /// Kafka lets this node not consume from one: its consumers are told so.
    pub(super) fn refuse(&self, topic: &str, reason: &str) {
        if let Some(queue) = self.of_topic(topic) {
            queue.refuse(reason);
        }
    }

    /// The queue that a topic is.
    pub(super) fn of_topic(&self, topic: &str) -> Option<Arc<Queue>> {
        self.all.lock().values().find(|queue| queue.topic == topic).cloned()
    }

    /// Partitions were given to this node. They are not paused.
    pub(super) fn assigned(&self, partitions: &TopicPartitionList) {
        let mut all = self.held.lock();
        for place in partitions.elements() {
            let topic = place.topic();
            if !all.contains_key(topic) {
                // One that was left meanwhile is given back at once.
                let Some(queue) = self.of_topic(topic) else { continue };
                all.insert(topic.to_owned(), Held::new(queue));
            }
            if let Some(held) = all.get_mut(topic) {
                held.assigned(place.partition());
                self.touch(&held.queue.destination);
            }
        }
    }

    /// The queue whose partitions of a topic are here.
    pub(super) fn receiving(&self, topic: &str) -> Option<Arc<Queue>> {
        self.held.lock().get(topic).map(|held| Arc::clone(&held.queue))
    }

    /// A record has come. Before the first one of a partition is delivered there is a question to be
    /// asked: [`take_questions`](Self::take_questions).
    pub(super) fn arrived(&self, queue: &Queue, place: Place, message: SharedMessage) {
        let mut all = self.held.lock();
        let Some(held) = all.get_mut(&queue.topic) else { return };
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        if held.arrived(place, message, number) {
            let topic = queue.topic.clone();
            self.questions.lock().push(Question { topic, place, number });
        }
        self.touch(&queue.destination);
    }

    /// What Kafka is to be asked.
    pub(super) fn take_questions(&self) -> Vec<Question> {
        std::mem::take(&mut *self.questions.lock())
    }

    /// Whether somebody waits for the answer to this.
    pub(super) fn asks(&self, question: &Question) -> bool {
        self.held.lock().get(&question.topic).is_some_and(|held| held.asks(question))
    }

    /// What stands before an offset may have been delivered by others. That this node begins is to be
    /// committed at once.
    pub(super) fn answer(&self, question: &Question, doubtful: i64) {
        if let Some(held) = self.held.lock().get_mut(&question.topic) {
            held.answer(question, doubtful);
            self.answered.store(true, Ordering::Release);
            self.touch(&held.queue.destination);
        }
    }

    /// Whether there were answers since this was asked.
    pub(super) fn take_answered(&self) -> bool {
        self.answered.swap(false, Ordering::AcqRel)
    }

    /// Notes what was settled of a queue. Returns which of its partitions are to be paused, or else
    /// resumed.
    pub(super) fn note_settled(&self, queue: &Queue) -> (bool, Vec<i32>) {
        let mut all = self.held.lock();
        let Some(held) = all.get_mut(&queue.topic) else { return Default::default() };
        held.note_settled();
        match held.wants_more() {
            Some(more) => (!more, held.to_pause(!more)),
            None => Default::default(),
        }
    }

    /// Partitions of a queue were paused, or resumed.
    pub(super) fn paused(&self, queue: &Queue, partitions: &[i32], pause: bool) {
        if let Some(held) = self.held.lock().get_mut(&queue.topic) {
            held.paused(partitions, pause);
        }
    }

    /// What is to be committed.
    pub(super) fn to_commit(&self) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for held in self.held.lock().values_mut() {
            held.add_commits(&mut list);
        }
        (list.count() > 0).then_some(list)
    }

    /// What has become of what was committed of these.
    pub(super) fn committed(
        &self,
        partitions: &TopicPartitionList,
        kept: impl Fn(&Committed<'_>) -> Kept,
        now: Instant,
    ) {
        let mut stuck = Vec::new();
        let mut all = self.held.lock();
        for place in partitions.elements() {
            let Some(held) = all.get_mut(place.topic()) else { continue };
            if held.committed(place.partition(), kept(&place), now) {
                stuck.push(Arc::clone(&held.queue));
            }
            self.touch(&held.queue.destination);
        }
        drop(all);
        for queue in stuck {
            queue.refuse("it does not keep the offsets that are committed");
        }
    }

    /// Partitions are given back: what came of them is for others. Returns what is to be committed.
    pub(super) fn give_back(&self, partitions: &TopicPartitionList) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        let mut all = self.held.lock();
        for place in partitions.elements() {
            let Some(held) = all.get_mut(place.topic()) else { continue };
            held.give_back(place.partition(), &mut list);
            self.look_for_others(&held.queue.destination);
            if held.is_empty() {
                all.remove(place.topic());
            }
        }
        list
    }
}

#[cfg(test)]
mod tests;
