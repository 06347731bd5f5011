use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType, Stream};
use tokio::time::timeout;

use super::super::{BrokerError, Destination};
use super::node::{ENGINE, Node};
use super::subject::name;

/// How long JetStream may take to make a stream or a consumer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a message that was handed out is out: after that JetStream hands it out again, unless it
/// was told that it is [in progress](IN_PROGRESS).
const ACK_WAIT: Duration = Duration::from_secs(20);

/// How often it is told.
pub(super) const IN_PROGRESS: Duration = Duration::from_secs(5);

/// The stream that holds the messages of all queues until they are acknowledged: found, or made.
pub(super) async fn open(
    node: &Node,
    client: &async_nats::Client,
    queue: &Destination,
) -> Result<Stream, BrokerError> {
    let config = Config {
        name: node.stream.clone(),
        subjects: node.queue_subjects.clone(),
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        ..Config::default()
    };
    let context = jetstream::new(client.clone());
    match timeout(PATIENCE, context.get_or_create_stream(config)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(refused(queue, error.to_string())),
        Err(_) => Err(BrokerError::Unavailable { engine: ENGINE }),
    }
}

/// What hands out the messages of a queue to all nodes: found, or made. Returns its name.
pub(super) async fn consumer(
    node: &Node,
    stream: &Stream,
    queue: &Destination,
) -> Result<String, BrokerError> {
    let name = name(queue.as_str());
    let config = pull::Config {
        durable_name: Some(name.clone()),
        filter_subject: node.subjects.of(queue),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: -1,
        ..pull::Config::default()
    };
    match timeout(PATIENCE, stream.create_consumer(config)).await {
        Ok(Ok(_)) => Ok(name),
        Ok(Err(error)) => Err(refused(queue, error.to_string())),
        Err(_) => Err(BrokerError::Unavailable { engine: ENGINE }),
    }
}

pub(super) fn refused(destination: &Destination, reason: String) -> BrokerError {
    BrokerError::Refused { destination: destination.to_string(), reason, engine: ENGINE }
}
