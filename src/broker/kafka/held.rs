use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rdkafka::{Offset, TopicPartitionList};

use crate::frame::SharedMessage;

use super::super::engine::Settled;
use super::keeping::{Kept, Patience};
use super::ledger::{Ledger, Note};
use super::opening::{Opened, Opening, Question};
use super::place::Place;
use super::queue::Queue;

/// The partitions of a queue that Kafka has given to this node.
pub(super) struct Held {
    pub(super) queue: Arc<Queue>,
    partitions: BTreeMap<i32, Partition>,
}

struct Partition {
    /// Whether no more is taken from Kafka.
    paused: bool,
    records: Records,
    /// With Kafka, if it does not keep what is committed.
    patience: Patience,
}

/// What has come of a partition.
enum Records {
    Nothing,
    Opening(Opening),
    Open(Ledger),
}

impl Held {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, partitions: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// A partition was given to this node. It is not paused.
    pub(super) fn assigned(&mut self, partition: i32) {
        let (records, patience) = (Records::Nothing, Patience::default());
        let new = Partition { paused: false, records, patience };
        self.partitions.entry(partition).or_insert(new).paused = false;
    }

    /// The partitions that are to be paused, or resumed.
    pub(super) fn to_pause(&self, pause: bool) -> Vec<i32> {
        let others = self.partitions.iter().filter(|(_, it)| it.paused != pause);
        others.map(|(partition, _)| *partition).collect()
    }

    /// They were.
    pub(super) fn paused(&mut self, partitions: &[i32], pause: bool) {
        for partition in partitions {
            if let Some(it) = self.partitions.get_mut(partition) {
                it.paused = pause;
            }
        }
    }

    /// A record has come. If it is the first one of its partition, Kafka is to be asked of that, by
    /// this number; returns whether it is.
    pub(super) fn arrived(&mut self, place: Place, message: SharedMessage, number: u64) -> bool {
        let Place { partition, offset } = place;
        let Some(partition) = self.partitions.get_mut(&partition) else { return false };
        match &mut partition.records {
            Records::Nothing => {
                let mut opening = Opening::new(number);
                opening.arrived(offset, message);
                partition.records = Records::Opening(opening);
                return true;
            }
            Records::Opening(opening) => opening.arrived(offset, message),
            Records::Open(ledger) => {
                if let Some(attempts) = ledger.arrived(offset) {
                    self.queue.consumers.arrived(place, message, attempts);
                }
            }
        }
        false
    }

    /// Whether somebody waits for the answer to this.
    pub(super) fn asks(&self, question: &Question) -> bool {
        let partition = self.partitions.get(&question.place.partition);
        let records = partition.map(|it| &it.records);
        matches!(records, Some(Records::Opening(opening)) if opening.asks(question.number))
    }

    /// What stands before an offset may have been delivered by others.
    pub(super) fn answer(&mut self, question: &Question, doubtful: i64) {
        if let Some(Records::Opening(opening)) = self.records(question.place.partition)
            && opening.asks(question.number)
        {
            opening.answer(doubtful);
        }
    }

    /// Notes what was settled.
    pub(super) fn note_settled(&mut self) {
        for settled in self.queue.consumers.take_settled() {
            let (Settled::Done(place) | Settled::Requeue(place)) = settled;
            if let Some(Records::Open(ledger)) = self.records(place.partition) {
                ledger.settle(place.offset);
            }
        }
    }

    /// Whether Kafka is to be asked for more, or no more.
    pub(super) fn wants_more(&self) -> Option<bool> {
        let mut waiting = 0;
        for partition in self.partitions.values() {
            match &partition.records {
                Records::Open(ledger) if ledger.is_full() => return Some(false),
                Records::Opening(opening) => waiting += opening.waiting(),
                _ => {}
            }
        }
        self.queue.wants_more(waiting)
    }

    /// Adds what is to be committed to a list.
    pub(super) fn add_commits(&mut self, list: &mut TopicPartitionList) {
        for (partition, it) in &mut self.partitions {
            let offset = match &mut it.records {
                Records::Nothing => None,
                Records::Opening(opening) => opening.take_note(),
                Records::Open(ledger) => ledger.take_changed(),
            };
            if let Some(offset) = offset {
                add(list, &self.queue.topic, *partition, offset, Note::Open);
            }
        }
    }

    /// What has become of what was committed of a partition: what waited for that may be delivered, or
    /// it is committed again. Returns whether that is so for too long.
    pub(super) fn committed(&mut self, partition: i32, kept: Kept, now: Instant) -> bool {
        let Some(it) = self.partitions.get_mut(&partition) else { return false };
        match kept {
            Kept::No => {
                it.records.commit_again();
                return it.patience.is_over(now);
            }
            Kept::Unknown => it.records.commit_again(),
            Kept::Yes => {
                for (offset, attempts, message) in it.records.open() {
                    self.queue.consumers.arrived(Place { partition, offset }, message, attempts);
                }
            }
        }
        it.patience.begin_anew();
        false
    }

    /// A partition is given back: what came of it is for others. Adds what is to be committed.
    pub(super) fn give_back(&mut self, partition: i32, list: &mut TopicPartitionList) {
        self.note_settled();
        let delivered = self.queue.consumers.forget(|place| place.partition == partition);
        let delivered = delivered.iter().map(|place| place.offset);
        let Some(it) = self.partitions.remove(&partition) else { return };
        let noted = match it.records {
            Records::Nothing => None,
            Records::Opening(opening) => opening.give_back(),
            Records::Open(ledger) => Some((ledger.settled_to(), ledger.seen(delivered))),
        };
        if let Some((offset, note)) = noted {
            add(list, &self.queue.topic, partition, offset, note);
        }
    }

    fn records(&mut self, partition: i32) -> Option<&mut Records> {
        self.partitions.get_mut(&partition).map(|it| &mut it.records)
    }
}

impl Records {
    /// If they wait until that is noted which is noted now: what has come.
    fn open(&mut self) -> Vec<Opened> {
        let Self::Opening(opening) = self else { return Vec::new() };
        let Some((ledger, came)) = opening.open() else { return Vec::new() };
        *self = Self::Open(ledger);
        came
    }

    fn commit_again(&mut self) {
        match self {
            Self::Nothing => {}
            Self::Opening(opening) => opening.note_again(),
            Self::Open(ledger) => ledger.commit_again(),
        }
    }
}

/// Adds a place to what is committed.
fn add(list: &mut TopicPartitionList, topic: &str, partition: i32, offset: i64, note: Note) {
    let mut place = list.add_partition(topic, partition);
    // An offset of a record is a valid one.
    drop(place.set_offset(Offset::Offset(offset)));
    place.set_metadata(note.write());
}
