use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageError, LastRawMessageErrorKind, Stream};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::super::{BrokerError, Destination};
use super::node::ENGINE;
use super::stream::{PATIENCE, answer};

/// Reads what a stream keeps on a subject, perhaps one with wildcards, from a place to what was its end
/// when it began, or a little further.
pub(super) struct Reader {
    stream: Stream,
    destination: Destination,
    consumer: Consumer<pull::Config>,
    /// How many messages there were when it began.
    pub(super) pending: u64,
    /// How many of them it has not read.
    left: u64,
}

/// A message that a stream keeps.
pub(super) struct Kept {
    /// Its place in the stream.
    pub(super) sequence: u64,
    /// When it came there, by this node's clock.
    pub(super) at: Instant,
    pub(super) message: async_nats::Message,
}

/// How many messages are read at once: each may be as large as NATS allows.
const AT_ONCE: usize = 64;

/// When JetStream forgets a reader that was not [ended](Reader::end).
const FORGOTTEN: Duration = Duration::from_secs(10);

/// JetStream does not say what it was asked for.
const UNAVAILABLE: BrokerError = BrokerError::Unavailable { engine: ENGINE };

impl Reader {
    /// For a destination, from the message at `first` on or the next one behind it.
    pub(super) async fn new(
        stream: &Stream,
        destination: &Destination,
        subject: &str,
        first: u64,
    ) -> Result<Self, BrokerError> {
        let config = pull::Config {
            filter_subject: subject.to_owned(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: first.max(1) },
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = answer(destination, stream.create_consumer(config)).await?;
        let pending = consumer.cached_info().num_pending;
        let (stream, destination) = (stream.clone(), destination.clone());
        Ok(Self { stream, destination, consumer, pending, left: pending })
    }

    /// The next messages; none at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Kept>, BrokerError> {
        let mut read = Vec::new();
        if self.left == 0 {
            return Ok(read);
        }
        let fetch = self.consumer.fetch().max_messages(AT_ONCE).messages();
        let mut messages = answer(&self.destination, fetch).await?;
        // Where fewer come than there were, some have become too old meanwhile, or the connection is
        // lost.
        while let Some(next) = timeout(PATIENCE, messages.next()).await.map_err(|_| UNAVAILABLE)? {
            let next = next.map_err(|_| UNAVAILABLE)?;
            read.extend(Kept::of(next));
        }
        self.left = self.left.saturating_sub(read.len() as u64);
        if read.is_empty() { Err(UNAVAILABLE) } else { Ok(read) }
    }

    /// JetStream may forget it.
    pub(super) async fn end(self) {
        // It forgets it by itself as well.
        let name = &self.consumer.cached_info().name;
        drop(timeout(PATIENCE, self.stream.delete_consumer(name)).await);
    }
}

impl Kept {
    fn of(message: Message) -> Option<Self> {
        let info = message.info().ok()?;
        let (sequence, at) = (info.stream_sequence, instant(SystemTime::from(info.published)));
        Some(Self { sequence, at, message: message.message })
    }
}

/// The place of the last message that a stream keeps on a subject without wildcards.
pub(super) async fn last_on(
    stream: &Stream,
    destination: &Destination,
    subject: &str,
) -> Result<Option<u64>, BrokerError> {
    place_of(destination, stream.get_last_raw_message_by_subject(subject)).await
}

async fn place_of(
    destination: &Destination,
    request: impl Future<Output = Result<StreamMessage, LastRawMessageError>>,
) -> Result<Option<u64>, BrokerError> {
    let place = async {
        match request.await {
            Ok(message) => Ok(Some(message.sequence)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error),
        }
    };
    answer(destination, place).await
}

/// The place of the first message from a place on that a stream keeps on a subject, perhaps one with
/// wildcards.
pub(super) async fn next_on(
    stream: &Stream,
    destination: &Destination,
    subject: &str,
    from: u64,
) -> Result<Option<u64>, BrokerError> {
    let request = stream.raw_message_builder().sequence(from).next_by_subject(subject);
    place_of(destination, request.send()).await
}

/// The place of the last message that a stream ever had.
pub(super) async fn last_of_all(
    stream: &Stream,
    destination: &Destination,
) -> Result<u64, BrokerError> {
    Ok(answer(destination, stream.get_info()).await?.state.last_sequence)
}

/// What tells a stream from another one of its name: when it was made, in nanoseconds since 1970.
pub(super) fn born(stream: &Stream) -> u64 {
    let since = SystemTime::from(stream.cached_info().created).duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn instant(time: SystemTime) -> Instant {
    let now = Instant::now();
    let ago = SystemTime::now().duration_since(time).unwrap_or_default();
    now.checked_sub(ago).unwrap_or(now)
}
