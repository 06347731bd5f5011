use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message as _};
use tokio::sync::Notify;

use super::super::{BrokerError, Completer, Destination, Message, Outcome};
use super::ending::Ending;
use super::progress::Progress;
use super::{ENGINE, message};

/// Publishes, in the order of the calls.
///
/// librdkafka keeps what is on its way, sends it again after a loss of the connection, in order and
/// without a duplicate (the idempotent producer of Kafka), and gives it up in time.
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
    /// How many records are on their way.
    count: Arc<AtomicUsize>,
}

/// A record on its way, and who waits for it.
struct Sent {
    destination: Destination,
    completer: Completer,
}

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
            .set("message.timeout.ms", "10000")
            .set("message.max.bytes", LARGEST.to_string())
            .set("queue.buffering.max.kbytes", (64 << 10).to_string())
            .set("queue.buffering.max.messages", "1000000")
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("linger.ms", "1");
        let confirmations = Confirmations { progress, unknown, count: Arc::default() };
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
        let sent = Box::new(Sent { destination: message.destination().clone(), completer });
        let mut record = BaseRecord::<str, [u8], _>::with_opaque_to(topic, sent)
            .payload(message.body())
            .headers(message::headers(message));
        record = match key {
            Some(key) => record.key(key),
            None => record.partition(0),
        };
        self.confirmations.count.fetch_add(1, Ordering::Relaxed);
        if let Err((error, record)) = self.producer.read().send(record) {
            self.confirmations.count.fetch_sub(1, Ordering::Relaxed);
            let Sent { destination, completer } = *record.delivery_opaque;
            completer.complete(Err(refusal(&destination, &error)));
        }
    }

    /// How many records are on their way.
    pub(super) fn on_their_way(&self) -> usize {
        self.confirmations.count.load(Ordering::Relaxed)
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

fn make(
    config: &ClientConfig,
    confirmations: &Confirmations,
) -> KafkaResult<Ending<ThreadedProducer<Confirmations>>> {
    let producer = ThreadedProducer::from_config_and_context(config, confirmations.clone())?;
    Ok(Ending::new(producer))
}

impl ClientContext for Confirmations {}

impl ProducerContext for Confirmations {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let answer = match result {
            Ok(record) => {
                let (partition, offset) = (record.partition(), record.offset());
                if !self.progress.confirm(record.topic(), partition, offset) {
                    self.unknown.notify_one();
                }
                Ok(())
            }
            Err((error, _)) => Err(refusal(&sent.destination, error)),
        };
        self.count.fetch_sub(1, Ordering::Relaxed);
        sent.completer.complete(answer);
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
