use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::time::sleep;

use super::super::engine::Backoff;
use super::asking::blocking;
use super::node::Node;

/// How long a topic that was made may take to be there, with a leader for each partition.
pub(super) const MADE: Duration = Duration::from_secs(10);

/// Makes a topic, if it is not there, and waits until it is. The error is that Kafka
/// [forbids](refused) it, or the last one in that time.
pub(super) async fn make(node: &Arc<Node>, topic: &str) -> KafkaResult<()> {
    let deadline = Instant::now() + MADE;
    let (mut backoff, mut made) = (Backoff::new(), false);
    loop {
        let (asks, name) = (Arc::clone(node), topic.to_owned());
        let mut failed = match blocking(move || asks.asking.partitions(&name)).await {
            Ok(1..) => return Ok(()),
            Ok(0) => KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition),
            Err(error) => error,
        };
        if !made && Instant::now() <= deadline {
            match node.asking.create(topic, node.partitions).await {
                Ok(()) => made = true,
                Err(error) => failed = error,
            }
        }
        if Instant::now() > deadline || refused(&failed).is_some() {
            return Err(failed);
        }
        sleep(backoff.delay()).await;
    }
}

/// What Kafka says against a topic. `None` if it may be made a moment later.
pub(super) fn refused(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, InvalidPartitions, InvalidReplicationFactor, InvalidTopic,
        PolicyViolation, TopicAuthorizationFailed,
    };
    match error.rdkafka_error_code()? {
        code @ (ClusterAuthorizationFailed
        | InvalidPartitions
        | InvalidReplicationFactor
        | InvalidTopic
        | PolicyViolation
        | TopicAuthorizationFailed) => Some(code),
        _ => None,
    }
}
