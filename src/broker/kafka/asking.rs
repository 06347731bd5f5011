use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use super::ending::Ending;
use super::progress::Need;

/// Asks Kafka for what is where, over a connection of its own: on that of a reader an answer waits
/// behind the records. All of it blocks, for some seconds at most.
pub(super) struct Asking {
    client: Ending<BaseConsumer>,
    config: ClientConfig,
}

/// How long Kafka may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

impl Asking {
    pub(super) fn new(config: &ClientConfig) -> KafkaResult<Self> {
        Ok(Self { client: Ending::new(config.create()?), config: config.clone() })
    }

    /// How many partitions a topic has: none if there is no such topic. That the login may not see it
    /// is an error.
    pub(super) fn partitions(&self, topic: &str) -> KafkaResult<usize> {
        // What has happened to the client meanwhile is of no use, and must not pile up.
        while self.client.poll(Duration::ZERO).is_some() {}
        let metadata = self.client.fetch_metadata(Some(topic), ANSWER)?;
        let found = metadata.topics().iter().find(|it| it.name() == topic);
        let error = found.and_then(MetadataTopic::error).map(RDKafkaErrorCode::from);
        match error {
            Some(denied @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Err(KafkaError::MetadataFetch(denied))
            }
            Some(_) => Ok(0),
            None => Ok(found.map_or(0, |it| it.partitions().len())),
        }
    }

    /// Where partitions begin or end: the offset of each place is replaced.
    pub(super) fn offsets(&self, places: &[Need], which: Offset) -> KafkaResult<Vec<Need>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::with_capacity(places.len());
        for Need { topic, partition, .. } in places {
            list.add_partition_offset(topic, *partition, which)?;
        }
        let answers = self.client.offsets_for_times(list, ANSWER)?;
        let mut offsets = Vec::with_capacity(places.len());
        for answer in answers.elements() {
            answer.error()?;
            let (topic, partition) = (answer.topic().to_owned(), answer.partition());
            let offset = match answer.offset() {
                Offset::Offset(offset) => offset,
                // There is none so late.
                _ => i64::MAX,
            };
            offsets.push(Need { topic, partition, offset });
        }
        Ok(offsets)
    }

    /// Makes a topic, unless it is there.
    pub(super) async fn create(&self, topic: &str, partitions: i32) -> KafkaResult<()> {
        let admin: AdminClient<DefaultClientContext> = self.config.create()?;
        let admin = Ending::new(admin);
        // As many copies as Kafka makes of a topic if it is not told.
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        let made = admin.create_topics([&new], &options).await?;
        match made.into_iter().next() {
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, code))) => Err(KafkaError::AdminOp(code)),
        }
    }
}

/// Asks Kafka something where that may block.
pub(super) async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> KafkaResult<T> + Send + 'static,
) -> KafkaResult<T> {
    spawn_blocking(ask).await.unwrap_or(Err(KafkaError::Canceled))
}
