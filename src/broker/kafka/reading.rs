use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::session::Delivery;

use super::super::{Destination, Outcome, Turn};
use super::ending::Ending;
use super::message;
use super::node::Node;
use super::place::Place;
use super::replay::{Replay, Replayed};

/// Reads all partitions of the topics, and routes what is there.
///
/// What subscribers cannot take at once waits in librdkafka, which then asks Kafka for no more.
pub(super) struct Reader {
    node: Arc<Node>,
    /// The partitions in which records were missed, and the destinations there whose subscribers were
    /// told so.
    missed: HashMap<(String, i32), HashSet<Destination>>,
    /// The partitions of which something was read that was there before.
    begun: HashSet<(String, i32)>,
    replays: mpsc::UnboundedSender<Replay>,
}

/// What the reader is told.
pub(super) enum News {
    /// There are more partitions.
    Partitions,
    /// Partitions were read on from elsewhere, since Kafka has not what was to be read next.
    Missed(Vec<(String, i32)>),
    Replayed(Replayed),
}

/// The group that reads by assignment are called by. They commit nothing there.
pub(super) const GROUP: &str = "stompbox-readers";

/// How many records are taken along before any of them is delivered.
const TURN: usize = 256;

/// How many destinations of a partition are told of a gap. When there were more, all of them have had
/// their time to hear of it.
const TOLD: usize = 100_000;

/// How often a replay is tried whose front has moved meanwhile.
const REPLAYS: u32 = 3;

/// How often it is seen how far librdkafka has come, while somebody waits for that. It does not tell of
/// records that are none, such as those at the end of a transaction.
const LOOK: Duration = Duration::from_millis(20);

const IDLE: Duration = Duration::from_secs(1);

impl Reader {
    pub(super) fn new(node: Arc<Node>, replays: mpsc::UnboundedSender<Replay>) -> Self {
        let (missed, begun) = (HashMap::new(), HashSet::new());
        Self { node, missed, begun, replays }
    }

    /// What reads without a group.
    pub(super) fn consumer(node: &Node) -> KafkaResult<Ending<StreamConsumer>> {
        let mut config = node.config.clone();
        config
            .set("group.id", GROUP)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            // A partition that is read again waits for those that are being waited for.
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", (16 << 10).to_string())
            .set("fetch.error.backoff.ms", "100");
        Ok(Ending::new(config.create()?))
    }

    /// Reads until it is aborted.
    pub(super) async fn run(
        mut self,
        consumer: Ending<StreamConsumer>,
        mut news: mpsc::UnboundedReceiver<News>,
    ) {
        self.assign(&consumer);
        let node = Arc::clone(&self.node);
        let mut records = consumer.stream();
        let mut look_at = Instant::now();
        loop {
            if node.progress.is_awaited() {
                look_at = look_at.min(Instant::now() + LOOK);
            }
            tokio::select! {
                Some(record) = records.next() => {
                    let more = std::iter::from_fn(|| records.next().now_or_never().flatten());
                    let held = self.take_all(std::iter::once(record).chain(more).take(TURN));
                    if let Some(outcome) = held {
                        // Those who listen here are behind. What waits for them is bounded, so the
                        // rest waits with librdkafka; an error is that nobody is left to wait for.
                        drop(outcome.await);
                    }
                }
                Some(news) = news.recv() => self.hear(news, &consumer),
                () = node.progress.changed() => {}
                () = sleep_until(look_at.into()) => {
                    self.look(&consumer);
                    look_at = Instant::now() + IDLE;
                }
            }
            self.join(&mut Turn::new(Instant::now()));
        }
    }

    /// Reads each partition on from where it was read to.
    fn assign(&self, consumer: &StreamConsumer) {
        let all = self.node.progress.all();
        let mut list = TopicPartitionList::with_capacity(all.len());
        for place in all {
            let offset = Offset::Offset(place.offset);
            // A topic's name has no NUL, and an offset is one.
            drop(list.add_partition_offset(&place.topic, place.partition, offset));
        }
        // It does not ask Kafka.
        drop(consumer.assign(&list));
    }

    /// Routes records in one turn. Returns what the next ones are to wait for.
    fn take_all<'r>(
        &mut self,
        records: impl Iterator<Item = KafkaResult<BorrowedMessage<'r>>>,
    ) -> Option<Outcome> {
        let mut turn = Turn::new(Instant::now());
        let mut held = None;
        for record in records {
            match record {
                Ok(record) => held = self.take(&record, &mut turn).or(held),
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
                )) => self.node.missing.notify_one(),
                // It goes on by itself when Kafka is there again.
                Err(_) => {}
            }
        }
        held
    }

    fn take(&mut self, record: &BorrowedMessage<'_>, turn: &mut Turn) -> Option<Outcome> {
        let node = Arc::clone(&self.node);
        let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
        let from_before = node.progress.is_from_before(topic, partition, offset);
        // Those who wait for what is before this one.
        self.join(turn);
        let destinations = node.mapping.destinations(topic, record.key());
        let held = if from_before {
            self.keep(destinations, record);
            None
        } else {
            let routed = destinations.iter().map(|it| self.route(it, record, turn));
            routed.fold(None, |held, outcome| outcome.or(held))
        };
        node.progress.reach(topic, partition, offset + 1);
        held
    }

    /// Keeps what was there when the node came, as if it had come when it was written.
    fn keep(&mut self, destinations: Vec<Destination>, record: &BorrowedMessage<'_>) {
        let at = message::written(record);
        let partition = (record.topic().to_owned(), record.partition());
        if self.begun.insert(partition) && record.offset() > 0 {
            self.node.router.lost_until(at);
        }
        for destination in destinations {
            if self.node.keeps_history(&destination) {
                let delivery = delivery(&self.node, &destination, record);
                drop(self.node.router.route(&destination, delivery, &mut Turn::new(at)));
            }
        }
    }

    fn route(
        &mut self,
        destination: &Destination,
        record: &BorrowedMessage<'_>,
        turn: &mut Turn,
    ) -> Option<Outcome> {
        let gap = !self.missed.is_empty() && self.has_gap(destination, record);
        if !self.node.router.is_of_use(destination) {
            return None;
        }
        let delivery = delivery(&self.node, destination, record).with_gap(gap);
        let mut outcome = self.node.router.route(destination, delivery, turn);
        outcome.take_ready().is_none().then_some(outcome)
    }

    /// Whether the next message of a destination says that others are missing. Asked once.
    fn has_gap(&mut self, destination: &Destination, record: &BorrowedMessage<'_>) -> bool {
        let partition = (record.topic().to_owned(), record.partition());
        let Some(told) = self.missed.get_mut(&partition) else { return false };
        let gap = told.insert(destination.clone());
        if told.len() > TOLD {
            self.missed.remove(&partition);
        }
        gap
    }

    fn hear(&mut self, news: News, consumer: &StreamConsumer) {
        match news {
            News::Partitions => self.assign(consumer),
            News::Missed(partitions) => {
                for partition in partitions {
                    self.missed.insert(partition, HashSet::new());
                }
                self.assign(consumer);
            }
            News::Replayed(replayed) => self.fill(replayed),
        }
    }

    /// Sees how far librdkafka has come, and who has waited too long.
    fn look(&self, consumer: &StreamConsumer) {
        let progress = &self.node.progress;
        if progress.is_awaited()
            && let Ok(positions) = consumer.position()
        {
            for place in positions.elements() {
                // All that it has handed over was routed.
                if let Offset::Offset(offset) = place.offset() {
                    progress.reach(place.topic(), place.partition(), offset);
                }
            }
        }
        progress.expire(Instant::now());
    }

    /// Adds to the router those for whom enough was read.
    fn join(&mut self, turn: &mut Turn) {
        for number in self.node.progress.take_ready() {
            if !self.replay(number, turn.now()) {
                self.node.progress.finish(number, &self.node.router, turn);
            }
        }
    }

    /// Asks for older messages, if somebody asks for what this node lacks.
    fn replay(&mut self, number: u64, now: Instant) -> bool {
        let node = &self.node;
        let Some((destination, Some(request))) = node.progress.asked(number, now) else {
            return false;
        };
        let Some(lack) = node.router.lacks(&destination, &request, now) else { return false };
        let address = node.mapping.address(&destination);
        let topic = address.topic.to_owned();
        let partition = node.partition(&address);
        let read = |partition| node.progress.read_to(&topic, partition);
        let Some((partition, from, to)) = Replay::of(&request, &lack, partition, read, now) else {
            return false;
        };
        if node.progress.replay(number).is_none_or(|tried| tried >= REPLAYS) {
            return false;
        }
        let replay = Replay { number, destination, topic, partition, from, to, lack };
        self.replays.send(replay).is_ok()
    }

    fn fill(&mut self, replayed: Replayed) {
        let Replayed { number, destination, lack, older, lost } = replayed;
        let (router, mut turn) = (&self.node.router, Turn::new(Instant::now()));
        if router.prepend_at(&destination, &lack, &older, lost, turn.now())
            || !self.replay(number, turn.now())
        {
            self.node.progress.finish(number, &self.node.router, &mut turn);
        }
    }
}

/// A record as it is delivered.
fn delivery(node: &Node, destination: &Destination, record: &BorrowedMessage<'_>) -> Delivery {
    let message = message::message(destination.clone(), record);
    let delivery = Delivery::new(message.into_shared());
    let place = Place { partition: record.partition(), offset: record.offset() };
    match place.token().filter(|_| node.keeps_history(destination)) {
        Some(token) => delivery.with_token(token),
        None => delivery,
    }
}
