use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message as _};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::super::{BrokerError, Completer, Destination, Message, Outcome};
use super::ending::Ending;
use super::node::Node;
use super::progress::Progress;
use super::waiting::Waiting;
use super::{ENGINE, message};

/// Publishes, in the order of the calls.
///
/// librdkafka keeps what is on its way, and sends it again after a loss of the connection, in order and
/// without a duplicate (the idempotent producer of Kafka).
pub(super) struct Producing {
    config: ClientConfig,
    confirmations: Confirmations,
    producer: RwLock<Ending<ThreadedProducer<Confirmations>>>,
}

/// What becomes of records.
#[derive(Clone)]
struct Confirmations {
    progress: Arc<Progress>,
    /// There are partitions that this node does not know.
    unknown: Arc<Notify>,
    waiting: Arc<Waiting>,
}

/// How long librdkafka tries to send a record, in milliseconds: much longer than anybody
/// [waits](Waiting) for it, and as long as Kafka's own producer does unless it is told otherwise.
const TRIES: &str = "120000";

/// How often it is seen who has waited too long.
const LOOK: Duration = Duration::from_millis(250);

/// The largest record, in bytes: what a server of Kafka takes unless it is told otherwise.
const LARGEST: usize = 1_000_000;

impl Producing {
    pub(super) fn new(
        config: &ClientConfig,
        progress: Arc<Progress>,
        unknown: Arc<Notify>,
    ) -> KafkaResult<Self> {
        let mut config = config.clone();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", TRIES)
            .set("message.max.bytes", LARGEST.to_string())
            .set("queue.buffering.max.kbytes", (64 << 10).to_string())
            .set("queue.buffering.max.messages", "1000000")
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("linger.ms", "1");
        let confirmations = Confirmations { progress, unknown, waiting: Arc::default() };
        let producer = make(&config, &confirmations)?;
        Ok(Self { config, confirmations, producer: RwLock::new(producer) })
    }

    /// Refuses a message that is too large whatever its key is.
    pub(super) fn check_size(message: &Message) -> Result<(), BrokerError> {
        if message.body().len() > LARGEST {
            let destination = message.destination().to_string();
            return Err(BrokerError::TooLarge { destination, limit: LARGEST });
        }
        Ok(())
    }

    /// Publishes a record. Without a key it is in the first partition, so that the order is kept.
    pub(super) fn send(&self, message: &Message, topic: &str, key: Option<&str>) -> Outcome {
        let (completer, outcome) = Outcome::pending();
        self.publish(message, topic, key, completer);
        outcome
    }

    /// As [`send`](Self::send), for an outcome that is there already.
    pub(super) fn publish(
        &self,
        message: &Message,
        topic: &str,
        key: Option<&str>,
        completer: Completer,
    ) {
        let waiting = &self.confirmations.waiting;
        let number = waiting.add(message.destination().clone(), completer, Instant::now());
        let mut record = BaseRecord::<str, [u8], _>::with_opaque_to(topic, number)
            .payload(message.body())
            .headers(message::headers(message));
        record = match key {
            Some(key) => record.key(key),
            None => record.partition(0),
        };
        let sent = self.producer.read().send(record);
        if let Err((error, _)) = sent {
            waiting.answer(number, |destination| Err(refusal(destination, &error)));
        }
    }

    /// How many records are on their way that somebody waits for.
    pub(super) fn on_their_way(&self) -> usize {
        self.confirmations.waiting.count()
    }

    /// Takes another producer if this one has failed for good: Kafka has lost what it knew of it.
    pub(super) fn renew_if_failed(&self) {
        if self.producer.read().client().fatal_error().is_some()
            && let Ok(producer) = make(&self.config, &self.confirmations)
        {
            *self.producer.write() = producer;
        }
    }
}

/// Tells those who wait too long, until it is aborted.
pub(super) async fn expire(node: Arc<Node>) {
    loop {
        sleep(LOOK).await;
        node.producing.confirmations.waiting.expire(Instant::now());
    }
}

fn make(
    config: &ClientConfig,
    confirmations: &Confirmations,
) -> KafkaResult<Ending<ThreadedProducer<Confirmations>>> {
    let producer = ThreadedProducer::from_config_and_context(config, confirmations.clone())?;
    Ok(Ending::new(producer))
}

impl ClientContext for Confirmations {}

impl ProducerContext for Confirmations {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        if let Ok(record) = result {
            let (partition, offset) = (record.partition(), record.offset());
            if !self.progress.confirm(record.topic(), partition, offset) {
                self.unknown.notify_one();
            }
        }
        self.waiting.answer(number, |destination| match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(refusal(destination, error)),
        });
    }
}

/// What Kafka, or librdkafka, says against a message.
fn refusal(destination: &Destination, error: &KafkaError) -> BrokerError {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, InvalidRecord, InvalidTopic, MessageSizeTooLarge,
        PolicyViolation, TopicAuthorizationFailed, UnknownPartition, UnknownTopic,
        UnknownTopicOrPartition,
    };
    let destination = destination.to_string();
    match error.rdkafka_error_code() {
        Some(MessageSizeTooLarge) => BrokerError::TooLarge { destination, limit: LARGEST },
        Some(
            code @ (ClusterAuthorizationFailed
            | InvalidRecord
            | InvalidTopic
            | PolicyViolation
            | TopicAuthorizationFailed
            | UnknownPartition
            | UnknownTopic
            | UnknownTopicOrPartition),
        ) => BrokerError::Refused { destination, reason: code.to_string(), engine: ENGINE },
        _ => BrokerError::Unavailable { engine: ENGINE },
    }
}
