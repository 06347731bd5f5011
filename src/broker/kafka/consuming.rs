use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientContext, Message as _, TopicPartitionList};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::ending::Ending;
use super::node::Node;
use super::place::Place;
use super::queue::Queue;
use super::queues::Queues;
use super::{coordinator, message};

/// What a node does in the group that consumes from the queues: one member of it, for all queues that
/// have consumers here.
pub(super) struct Consuming {
    node: Arc<Node>,
    consumer: Arc<Member>,
    /// The topics that are consumed from.
    topics: BTreeSet<String>,
    /// Those who ask what may have been delivered of partitions that this node begins with.
    asking: JoinSet<()>,
    /// Who sees whether Kafka has what was committed.
    committing: JoinSet<()>,
}

pub(super) type Member = Ending<StreamConsumer<Membership>>;

/// Hears of the partitions that are given to this node and taken from it.
pub(super) struct Membership(Arc<Queues>);

/// How long what is settled may wait to be committed.
const COMMIT: Duration = Duration::from_millis(100);

/// How often it is looked at everything while nothing happens.
const IDLE: Duration = Duration::from_secs(1);

/// How many records are taken along before any of them is delivered.
const TURN: usize = 64;

/// How often a member tells that it is there, and hears what has become of the group.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(500);

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
        let consumer = Arc::new(Ending::with_goodbye(consumer));
        let (asking, committing) = (JoinSet::new(), JoinSet::new());
        Ok(Self { node, consumer, topics: BTreeSet::new(), asking, committing })
    }

    /// Consumes until it is aborted.
    pub(super) async fn run(mut self) {
        let (consumer, queues) = (Arc::clone(&self.consumer), Arc::clone(&self.node.queues));
        let mut records = consumer.stream();
        let (mut commit_at, mut look_at) = (None::<Instant>, None::<Instant>);
        loop {
            let now = Instant::now();
            let may_commit = self.committing.is_empty();
            let until = [commit_at.filter(|_| may_commit), look_at].into_iter().flatten().min();
            let idle = until.map_or(IDLE, |at| at.saturating_duration_since(now));
            tokio::select! {
                Some(record) = records.next() => {
                    let more = std::iter::from_fn(|| records.next().now_or_never().flatten());
                    self.take_all(std::iter::once(record).chain(more).take(TURN));
                }
                Some(_) = self.committing.join_next() => {}
                () = queues.changed() => {}
                () = sleep(idle) => {}
            }
            let now = Instant::now();
            for queue in queues.take_touched() {
                self.attend(&queue, now);
                commit_at = commit_at.or(Some(now + COMMIT));
            }
            if queues.take_answered() {
                commit_at = Some(now);
            }
            if self.committing.is_empty() && commit_at.is_some_and(|at| at <= now) {
                commit_at = None;
                self.commit();
            }
            self.ask();
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

    fn take_all<'r>(&self, records: impl Iterator<Item = KafkaResult<BorrowedMessage<'r>>>) {
        for record in records {
            match record {
                Ok(record) => self.take(&record),
                Err(KafkaError::MessageConsumption(
                    code @ RDKafkaErrorCode::GroupAuthorizationFailed,
                )) => self.node.queues.refuse_all(&code.to_string()),
                // It goes on by itself when Kafka is there again.
                Err(_) => {}
            }
        }
    }

    fn take(&self, record: &BorrowedMessage<'_>) {
        let queues = &self.node.queues;
        let Some(queue) = queues.receiving(record.topic()) else { return };
        let place = Place { partition: record.partition(), offset: record.offset() };
        let message = message::message(queue.destination.clone(), record);
        queues.arrived(&queue, place, message.into_shared());
    }

    /// Does what there is to do for a queue.
    fn attend(&self, queue: &Arc<Queue>, now: Instant) {
        queue.consumers.dispatch(now);
        let (pause, partitions) = self.node.queues.note_settled(queue);
        if partitions.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in &partitions {
            list.add_partition(&queue.topic, *partition);
        }
        let done = if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        if done.is_ok() {
            self.node.queues.paused(queue, &partitions, pause);
        }
    }

    /// Commits what is to be. Until it is seen whether Kafka has that, no more is committed.
    fn commit(&mut self) {
        let Some(list) = self.node.queues.to_commit() else { return };
        // That it fails is seen, too.
        drop(self.consumer.commit(&list, CommitMode::Async));
        let (node, member) = (Arc::clone(&self.node), Arc::clone(&self.consumer));
        self.committing.spawn(coordinator::verify(node, member, list));
    }

    /// Asks what is to be known before what has come of new partitions is delivered.
    fn ask(&mut self) {
        let questions = self.node.queues.take_questions();
        if !questions.is_empty() {
            let (node, member) = (Arc::clone(&self.node), Arc::clone(&self.consumer));
            self.asking.spawn(coordinator::ask(node, member, questions));
        }
        while self.asking.try_join_next().is_some() {}
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
}
