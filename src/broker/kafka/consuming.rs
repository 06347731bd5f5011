use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use super::ending::Ending;
use super::ledger::{Ledger, Note};
use super::message;
use super::node::Node;
use super::place::Place;
use super::progress::Need;
use super::queues::{self, Queue, Queues};

/// What a node does in the group that consumes from the queues: one member of it, for all queues that
/// have consumers here.
pub(super) struct Consuming {
    node: Arc<Node>,
    consumer: Arc<Member>,
    /// The topics that are consumed from.
    topics: BTreeSet<String>,
}

type Member = Ending<StreamConsumer<Membership>>;

/// Hears of the partitions that are given to this node and taken from it.
struct Membership(Arc<Queues>);

/// How long what is settled may wait to be committed.
const COMMIT: Duration = Duration::from_millis(100);

/// How often it is looked at everything while nothing happens.
const IDLE: Duration = Duration::from_secs(1);

/// How many records are taken along before any of them is delivered.
const TURN: usize = 64;

/// How often a member tells that it is there, and hears what has become of the group.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// How long it may take to note that this node begins with a partition.
const NOTED: Duration = Duration::from_secs(3);

/// How long Kafka may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

impl Consuming {
    pub(super) fn new(node: Arc<Node>) -> KafkaResult<Self> {
        let mut config = node.config.clone();
        config
            .set("group.id", format!("{}-queues", node.mapping.topic()))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("topic.metadata.refresh.interval.ms", "2000")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", HEARTBEAT.as_millis().to_string())
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", (16 << 10).to_string());
        let membership = Membership(Arc::clone(&node.queues));
        let consumer: StreamConsumer<_> =
            StreamConsumer::from_config_and_context(&config, membership)?;
        let consumer = Arc::new(Ending::new(consumer));
        Ok(Self { node, consumer, topics: BTreeSet::new() })
    }

    /// Consumes until it is aborted.
    pub(super) async fn run(mut self) {
        let (consumer, queues) = (Arc::clone(&self.consumer), Arc::clone(&self.node.queues));
        let mut records = consumer.stream();
        let (mut commit_at, mut look_at) = (None::<Instant>, None::<Instant>);
        loop {
            let now = Instant::now();
            let until = [commit_at, look_at].into_iter().flatten().min();
            let idle = until.map_or(IDLE, |at| at.saturating_duration_since(now));
            tokio::select! {
                Some(record) = records.next() => {
                    let mut next = Some(record);
                    let mut left = TURN;
                    while let Some(record) = next {
                        match record {
                            Ok(record) => self.take(&record).await,
                            Err(KafkaError::MessageConsumption(
                                code @ RDKafkaErrorCode::GroupAuthorizationFailed,
                            )) => queues.refuse_all(&code.to_string()),
                            // It goes on by itself when Kafka is there again.
                            Err(_) => {}
                        }
                        left -= 1;
                        next = if left > 0 { records.next().now_or_never().flatten() } else { None };
                    }
                }
                () = queues.changed() => {}
                () = tokio::time::sleep(idle) => {}
            }
            let now = Instant::now();
            for queue in queues.take_touched() {
                self.attend(&queue, now);
                commit_at = commit_at.or(Some(now + COMMIT));
            }
            if commit_at.is_some_and(|at| at <= now) {
                commit_at = None;
                if let Some(list) = queues.to_commit() {
                    // What is not committed now is so with the next.
                    drop(consumer.commit(&list, CommitMode::Async));
                }
            }
            if queues.take_others() || look_at.is_some_and(|at| at <= now) {
                look_at = self.follow(now);
            }
        }
    }

    /// Sees to it that the node consumes from the topics of its queues. Returns when to look again.
    fn follow(&mut self, now: Instant) -> Option<Instant> {
        let (mut wanted, again) = self.node.queues.wanted(now);
        // The group would look for one that is not made yet only much later.
        wanted.retain(|topic| self.node.queue_topics.is_there(topic));
        if wanted != self.topics {
            let topics: Vec<_> = wanted.iter().map(String::as_str).collect();
            let subscribed = if topics.is_empty() {
                self.consumer.unsubscribe();
                Ok(())
            } else {
                self.consumer.subscribe(&topics)
            };
            if subscribed.is_err() {
                return Some(now + IDLE);
            }
            self.topics = wanted;
        }
        again
    }

    async fn take(&self, record: &BorrowedMessage<'_>) {
        let topic = record.topic();
        let place = Place { partition: record.partition(), offset: record.offset() };
        let queues = &self.node.queues;
        if !queues.is_held(topic, place.partition) {
            let Some(queue) = queues.of_topic(topic) else { return };
            let ledger = self.open(topic, place).await;
            queues.hold(&queue, place.partition, ledger);
        }
        let Some((queue, attempts)) = queues.arrived(topic, place) else { return };
        let message = message::message(queue.destination.clone(), record);
        queue.consumers.arrived(place, message.into_shared(), attempts);
        queues.touch(&queue.destination);
    }

    /// Begins with a partition: finds out what may have been delivered by whoever had it before, and
    /// notes that from now on this node may deliver what is there.
    async fn open(&self, topic: &str, place: Place) -> Ledger {
        let (node, consumer) = (Arc::clone(&self.node), Arc::clone(&self.consumer));
        let topic = topic.to_owned();
        let open = move || open(&node, &consumer, &topic, place);
        // If nobody knows, all may have been delivered.
        let opened = spawn_blocking(open).await.ok().and_then(Result::ok);
        let (doubtful, noted) = opened.unwrap_or((i64::MAX, false));
        let mut ledger = Ledger::new(place.offset, doubtful);
        if !noted {
            ledger.commit_again();
        }
        ledger
    }

    /// Does what there is to do for a queue.
    fn attend(&self, queue: &Arc<Queue>, now: Instant) {
        queue.consumers.dispatch(now);
        let is_full = self.node.queues.note_settled(queue);
        let wants_more = if is_full { Some(false) } else { queue.wants_more() };
        if let Some(more) = wants_more
            && queue.paused.load(Ordering::Relaxed) == more
        {
            self.pause(queue, !more);
        }
    }

    fn pause(&self, queue: &Queue, pause: bool) {
        let Ok(assignment) = self.consumer.assignment() else { return };
        let mut list = TopicPartitionList::new();
        for place in assignment.elements_for_topic(&queue.topic) {
            list.add_partition(place.topic(), place.partition());
        }
        let done = if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        if done.is_ok() {
            queue.paused.store(pause, Ordering::Relaxed);
        }
    }
}

/// Up to where the messages of a partition may have been delivered, and whether it is noted that this
/// node begins: not while partitions are being given to others. Blocks.
fn open(node: &Node, member: &Member, topic: &str, place: Place) -> KafkaResult<(i64, bool)> {
    let Place { partition, offset } = place;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, partition);
    let committed = member.committed_offsets(asked, ANSWER)?;
    let mut doubtful = 0;
    for committed in committed.elements() {
        if let Offset::Offset(_) = committed.offset() {
            if !Note::is_clean(committed.metadata()) {
                // Whoever had it may not have heard yet that it has it no more.
                sleep(HEARTBEAT * 2);
            }
            let here = Need { topic: topic.to_owned(), partition, offset };
            let end = node.asking.offsets(&[here], Offset::End)?;
            let end = end.first().map_or(i64::MAX, |end| end.offset);
            doubtful = Note::doubtful(committed.metadata(), end);
        }
    }
    let mut list = TopicPartitionList::new();
    queues::add(&mut list, topic, partition, offset, Note::Open);
    // Without it, what is delivered twice after a crash of this node is not marked. It is refused for a
    // moment while partitions are being given to members.
    let deadline = Instant::now() + NOTED;
    loop {
        let noted = member.commit(&list, CommitMode::Sync).is_ok();
        if noted || Instant::now() > deadline {
            return Ok((doubtful, noted));
        }
        sleep(HEARTBEAT / 10);
    }
}

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let list = self.0.give_back(partitions);
            if list.count() > 0 {
                // What is not committed comes again, to whoever has the partition then.
                drop(consumer.commit(&list, CommitMode::Async));
            }
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            // Those that were paused when they were given back are paused still.
            drop(consumer.resume(partitions));
            self.0.assigned(partitions);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, partitions: &TopicPartitionList) {
        if result.is_err() {
            self.0.commit_again(partitions);
        }
    }
}
