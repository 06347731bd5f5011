use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, Republish, RetentionPolicy, StorageType, Stream};
use tokio::time::timeout;

use super::super::{BrokerError, Destination, Retention};
use super::node::{ENGINE, Node};
use super::subject::{Subjects, name};
use super::temporary::Failure;

/// How long JetStream may take for one request.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long a message that was handed out is out: after that JetStream hands it out again, unless it
/// was told that it is [in progress](IN_PROGRESS).
const ACK_WAIT: Duration = Duration::from_secs(20);

/// How often it is told.
pub(super) const IN_PROGRESS: Duration = Duration::from_secs(5);

/// The shortest time that a stream keeps messages, since for as long it knows what is published again.
/// What a rule keeps for less is dropped by the nodes.
const SHORTEST_AGE: Duration = Duration::from_secs(60);

/// The longest: what a number of nanoseconds can say.
const LONGEST_AGE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The longest name of a consumer, in bytes.
const LONGEST_NAME: usize = 255;

/// The stream that holds the messages of all queues until they are acknowledged.
pub(super) fn of_queues(subjects: &Subjects, prefixes: &[String]) -> Config {
    Config {
        name: subjects.stream("stompbox-queues"),
        subjects: prefixes.iter().map(|prefix| subjects.below(prefix)).collect(),
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        ..Config::default()
    }
}

/// The stream that keeps what is published to topics below a prefix, where a rule says so, and then
/// publishes it on the topics' own subjects. So each message comes to all who listen in the order of
/// the stream, and with its place there.
pub(super) fn of_topics(subjects: &Subjects, prefix: &str, most: Retention) -> Config {
    let name = match prefix {
        "/topic" => subjects.stream("stompbox-topics"),
        other => subjects.stream(&format!("stompbox-topics{}", name(other))),
    };
    let kept = subjects.kept().below(prefix);
    let republish = Republish {
        source: kept.clone(),
        destination: subjects.below(prefix),
        headers_only: false,
    };
    Config {
        name,
        subjects: vec![kept],
        max_messages_per_subject: i64::try_from(most.messages).unwrap_or(-1),
        max_age: most.age.clamp(SHORTEST_AGE, LONGEST_AGE),
        republish: Some(republish),
        storage: StorageType::File,
        ..Config::default()
    }
}

/// What a stream that exists is to be, so that it keeps as much as is wanted; `None` if it does. All
/// but how much it keeps is up to whoever has made it.
pub(super) fn raised(found: &Config, wanted: &Config) -> Option<Config> {
    let unlimited = |bound: i64| if bound <= 0 { i64::MAX } else { bound };
    let age = |config: &Config| match config.max_age {
        Duration::ZERO => Duration::MAX,
        age => age,
    };
    let messages = |config: &Config| unlimited(config.max_messages_per_subject);
    let more = messages(wanted) > messages(found) || age(wanted) > age(found);
    more.then(|| {
        let most = if messages(wanted) > messages(found) { wanted } else { found };
        let oldest = if age(wanted) > age(found) { wanted } else { found };
        Config {
            max_messages_per_subject: most.max_messages_per_subject,
            max_age: oldest.max_age,
            ..found.clone()
        }
    })
}

/// What hands out the messages of a queue to all nodes: a durable consumer.
pub(super) struct Source {
    pub(super) name: String,
    /// When it was made, which tells it from another one of its name.
    pub(super) made: SystemTime,
    /// The place of the last message in its stream when that was opened.
    pub(super) end_of_stream: u64,
}

/// Finds what hands out the messages of a queue, or makes it.
pub(super) async fn source(
    node: &Node,
    stream: &Stream,
    queue: &Destination,
) -> Result<Source, BrokerError> {
    let name = name(queue.as_str());
    let config = pull::Config {
        durable_name: Some(name.clone()),
        filter_subject: node.subjects.of(queue),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: -1,
        ..pull::Config::default()
    };
    let consumer = answer(queue, stream.create_consumer(config)).await?;
    let made = consumer.cached_info().created.into();
    Ok(Source { name, made, end_of_stream: stream.cached_info().state.last_sequence })
}

/// Refuses a queue for which there can be no [source](Source), which has to have its name.
pub(super) fn check_name(queue: &Destination) -> Result<(), BrokerError> {
    // A character takes three at the most.
    if queue.as_str().len() <= LONGEST_NAME / 3 {
        return Ok(());
    }
    match name(queue.as_str()).len() {
        bytes if bytes > LONGEST_NAME => Err(BrokerError::NameTooLong {
            destination: queue.to_string(),
            bytes,
            limit: LONGEST_NAME,
            engine: ENGINE,
        }),
        _ => Ok(()),
    }
}

/// Waits for what JetStream says to a request about a destination.
pub(super) async fn answer<T, E: Failure>(
    destination: &Destination,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, BrokerError> {
    match timeout(PATIENCE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if !error.is_temporary() => Err(refused(destination, error.to_string())),
        _ => Err(BrokerError::Unavailable { engine: ENGINE }),
    }
}

pub(super) fn refused(destination: &Destination, reason: String) -> BrokerError {
    BrokerError::Refused { destination: destination.to_string(), reason, engine: ENGINE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(messages: usize, seconds: u64) -> Config {
        let age = Duration::from_secs(seconds);
        let most = Retention { messages, age, ..Retention::messages(1) };
        of_topics(&Subjects::default(), "/topic", most)
    }

    #[test]
    fn a_queue_that_could_not_be_consumed_from_is_refused() {
        let check = |segment: String| check_name(&format!("/queue/{segment}").parse().unwrap());
        // Each slash takes three.
        assert_eq!(check("x".repeat(255 - "=2Fqueue=2F".len())), Ok(()));
        for segment in ["x".repeat(255 - "=2Fqueue=2F".len() + 1), "ü".repeat(50)] {
            let refused = check(segment);
            assert!(matches!(refused, Err(BrokerError::NameTooLong { limit: 255, .. })));
        }
    }

    #[test]
    fn what_topics_keep_comes_back_on_their_own_subjects() {
        let subjects = Subjects::new("chat").unwrap();
        let config = of_topics(&subjects, "/broad/cast", Retention::messages(5));
        assert_eq!(config.name, "stompbox-topics=2Fbroad=2Fcast-chat");
        assert_eq!(config.subjects, ["chat.stompbox-topics.broad.cast.>"]);
        let republish = config.republish.unwrap();
        assert_eq!(republish.source, config.subjects[0]);
        assert_eq!(republish.destination, "chat.broad.cast.>");
        assert_eq!(topics(5, 600).name, "stompbox-topics");
    }

    #[test]
    fn bounds_are_those_of_the_rules_as_far_as_there_are_such() {
        let config = topics(5, 600);
        assert_eq!(config.max_messages_per_subject, 5);
        assert_eq!(config.max_age, Duration::from_secs(600));
        assert_eq!(topics(usize::MAX, 1).max_messages_per_subject, -1);
        assert_eq!(topics(5, 1).max_age, SHORTEST_AGE);
        assert_eq!(topics(5, u64::MAX).max_age, LONGEST_AGE);
    }

    #[test]
    fn bounds_are_raised_and_nothing_else_is_touched() {
        let found = Config { num_replicas: 3, ..topics(5, 600) };
        assert_eq!(raised(&found, &topics(5, 600)), None);
        assert_eq!(raised(&found, &topics(4, 60)), None);
        let more = raised(&found, &topics(6, 60)).unwrap();
        assert_eq!((more.max_messages_per_subject, more.max_age.as_secs()), (6, 600));
        assert_eq!(more.num_replicas, 3);
        let older = raised(&found, &topics(usize::MAX, 900)).unwrap();
        assert_eq!((older.max_messages_per_subject, older.max_age.as_secs()), (-1, 900));
        let endless = Config { max_messages_per_subject: -1, max_age: Duration::ZERO, ..found };
        assert_eq!(raised(&endless, &topics(6, 900)), None);
    }
}
