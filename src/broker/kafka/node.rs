use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset};
use tokio::sync::{Notify, mpsc};

use super::super::{
    BrokerError, Capability, Destination, DestinationRules, HistoryRequest, Router,
};
use super::ENGINE;
use super::address::Address;
use super::asking::Asking;
use super::mapping::{self, Mapping};
use super::partitioner;
use super::place::Place;
use super::producing::Producing;
use super::progress::{Need, Progress};
use super::queue_topics::QueueTopics;
use super::queues::Queues;

/// How late the clocks of other programs may be, in milliseconds.
const LATE: i64 = 60_000;

/// What the broker and its tasks share.
pub(super) struct Node {
    /// How Kafka is reached. It holds a password, and is never shown.
    pub(super) config: ClientConfig,
    pub(super) mapping: Mapping,
    pub(super) rules: Arc<DestinationRules>,
    pub(super) router: Router,
    pub(super) progress: Arc<Progress>,
    pub(super) producing: Producing,
    pub(super) asking: Asking,
    pub(super) queues: Arc<Queues>,
    pub(super) queue_topics: QueueTopics,
    /// A number that no other run of a node has.
    number: u64,
    /// Those who have asked for history, by their numbers.
    pub(super) asked: mpsc::UnboundedSender<u64>,
    /// There may be more partitions.
    pub(super) unknown: Arc<Notify>,
    /// Kafka may not have what is to be read next.
    pub(super) missing: Notify,
    /// The topics that the login may not see.
    denied: Mutex<HashSet<String>>,
    /// How many partitions a topic gets that is made here.
    pub(super) partitions: i32,
    /// How many records of each partition are looked through at the start.
    tail: i64,
    /// When this node began, as Kafka is asked for what was there before. Other clocks may be late.
    started: Offset,
}

impl Node {
    /// With who has asked for history.
    pub(super) fn new(
        config: ClientConfig,
        address: &Address,
        mapping: Mapping,
        rules: DestinationRules,
        history_bytes: usize,
    ) -> KafkaResult<(Self, mpsc::UnboundedReceiver<u64>)> {
        let rules = Arc::new(rules);
        let (progress, unknown) = (Arc::<Progress>::default(), Arc::<Notify>::default());
        let producing = Producing::new(&config, Arc::clone(&progress), Arc::clone(&unknown))?;
        let (asked, asks) = mpsc::unbounded_channel();
        let node = Self {
            asking: Asking::new(&config)?,
            config,
            mapping,
            router: Router::window(Arc::clone(&rules), history_bytes),
            rules,
            progress,
            producing,
            asked,
            queues: Arc::default(),
            queue_topics: QueueTopics::default(),
            number: RandomState::new().hash_one(0),
            unknown,
            missing: Notify::new(),
            denied: Mutex::default(),
            partitions: address.partitions,
            tail: address.tail,
            started: Offset::Offset(now_milliseconds() - LATE),
        };
        Ok((node, asks))
    }

    /// Whether the messages of a destination are kept: not of one whose messages are in several
    /// partitions, since they have no order.
    pub(super) fn keeps_history(&self, destination: &Destination) -> bool {
        !self.rules.policy(destination).retention.is_none()
            && !self.mapping.address(destination).whole_topic
    }

    /// The partition in which a node publishes to a destination.
    pub(super) fn partition(&self, address: &mapping::Address<'_>) -> i32 {
        partitioner::partition(address.key.as_bytes(), self.progress.partitions(address.topic))
    }

    /// The key of what somebody sends to a queue: so it is all in one partition, and keeps its order.
    pub(super) fn queue_key(&self, publisher: Option<u64>) -> String {
        publisher.map_or_else(
            || format!("{:016x}", self.number),
            |publisher| format!("{:016x}-{publisher:x}", self.number),
        )
    }

    /// Refuses what Kafka does not let this node see.
    pub(super) fn check_seen(&self, destination: &Destination) -> Result<(), BrokerError> {
        let address = self.mapping.address(destination);
        if !self.denied.lock().contains(address.topic) {
            return Ok(());
        }
        let reason = RDKafkaErrorCode::TopicAuthorizationFailed.to_string();
        let destination = destination.to_string();
        Err(BrokerError::Refused { destination, reason, engine: ENGINE })
    }

    pub(super) fn check_history(
        &self,
        destination: &Destination,
        request: &HistoryRequest,
    ) -> Result<(), BrokerError> {
        if destination.is_pattern() {
            return Err(BrokerError::unsupported(Capability::History, destination));
        }
        if !self.keeps_history(destination) {
            return Err(BrokerError::NoHistory { destination: destination.to_string() });
        }
        match request {
            HistoryRequest::After(token) if token.parse::<Place>().is_err() => {
                let (token, destination) = (token.to_string(), destination.to_string());
                Err(BrokerError::InvalidToken { token, destination })
            }
            _ => Ok(()),
        }
    }

    /// Sees which partitions there are that this node does not read, and notes them. They are read from
    /// the tail on that is kept of what was there before. Returns whether there are any. Blocks.
    pub(super) fn look_for_partitions(&self, at_start: bool) -> KafkaResult<bool> {
        let mut new = Vec::new();
        for topic in self.mapping.topics() {
            let known = self.progress.partitions(topic);
            let partitions = match self.asking.partitions(topic) {
                Err(error) if topic != self.mapping.topic() && is_denied(&error) => {
                    self.denied.lock().insert(topic.to_owned());
                    continue;
                }
                partitions => partitions?,
            };
            self.denied.lock().remove(topic);
            for partition in known..partitions {
                let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                new.push(Need { topic: topic.to_owned(), partition, offset: 0 });
            }
        }
        if new.is_empty() {
            return Ok(false);
        }
        // What was there before this node is history, the rest is news.
        let begins = self.asking.offsets(&new, Offset::Beginning)?;
        let ends = self.asking.offsets(&new, Offset::End)?;
        let before =
            if at_start { ends.clone() } else { self.asking.offsets(&new, self.started)? };
        let tail = if self.rules.keep_history() { self.tail } else { 0 };
        for place in &new {
            let (begin, end) = (offset_of(&begins, place), offset_of(&ends, place));
            let end = end.min(offset_of(&before, place));
            let start = begin.max(end - tail);
            if start == end && end > 0 {
                // Of what is not read it is not known when it was written.
                self.router.lost_until(Instant::now());
            }
            self.progress.add(&place.topic, start, end);
        }
        Ok(true)
    }

    /// Finds the partitions that cannot be read on where they were read to, and goes on at what Kafka
    /// has next. Blocks.
    pub(super) fn look_for_losses(&self) -> KafkaResult<Vec<(String, i32)>> {
        let all = self.progress.all();
        let begins = self.asking.offsets(&all, Offset::Beginning)?;
        let ends = self.asking.offsets(&all, Offset::End)?;
        let mut missed = Vec::new();
        for place in all {
            let (begin, end) = (offset_of(&begins, &place), offset_of(&ends, &place));
            if place.offset < begin || place.offset > end {
                let next = if place.offset < begin { begin } else { end };
                self.progress.jump(&place.topic, place.partition, next);
                self.router.lost_until(Instant::now());
                missed.push((place.topic, place.partition));
            }
        }
        Ok(missed)
    }
}

fn is_denied(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
}

fn now_milliseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn offset_of(offsets: &[Need], place: &Need) -> i64 {
    let same = |it: &&Need| it.topic == place.topic && it.partition == place.partition;
    offsets.iter().find(same).map_or(0, |it| it.offset)
}
