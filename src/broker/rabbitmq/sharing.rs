use std::time::{Duration, Instant};

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

/// Whether two consumers at RabbitMQ share a queue. Of one that somebody else has made that is not
/// known, and cannot be asked for: it may have a single active consumer, or be a stream, which each
/// gets whole.
#[derive(Debug)]
pub(super) struct Sharing {
    state: State,
    /// When the consumer at RabbitMQ was last begun anew for this.
    begun: Option<Instant>,
    /// Where to go on in a stream.
    next: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Shared,
    Alone,
}

/// How long a consumer at RabbitMQ that is alone stays, at the least, if another one would not be
/// handed more than it.
const STAYS: Duration = Duration::from_millis(100);

/// The argument by which a consumer says where in a stream it begins, and the header of each message
/// that says where it stands.
const OFFSET: &str = "x-stream-offset";

impl Sharing {
    pub(super) fn new(is_known: bool) -> Self {
        let state = if is_known { State::Shared } else { State::Unknown };
        Self { state, begun: None, next: None }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.state == State::Shared
    }

    pub(super) fn is_alone(&self) -> bool {
        self.state == State::Alone
    }

    pub(super) fn is_stream(&self) -> bool {
        self.next.is_some()
    }

    /// A second consumer beside one that is handed no more has been handed something.
    pub(super) fn shares(&mut self) {
        self.state = State::Shared;
    }

    /// A second consumer has been handed nothing, while there are messages. It may be asked for again.
    pub(super) fn does_not_share(&mut self) {
        self.state = State::Alone;
    }

    /// A message has come.
    pub(super) fn came(&mut self, properties: &BasicProperties) {
        let headers = properties.headers().as_ref();
        let offset = headers.and_then(|headers| headers.inner().get(OFFSET));
        if let (false, Some(AMQPValue::LongLongInt(offset))) = (self.is_shared(), offset) {
            self.state = State::Alone;
            self.next = Some(offset.saturating_add(1));
        }
    }

    /// The arguments of another consumer, which goes on after the last one.
    pub(super) fn arguments(&self) -> FieldTable {
        let mut arguments = FieldTable::default();
        if let Some(next) = self.next {
            arguments.insert(OFFSET.into(), AMQPValue::LongLongInt(next));
        }
        arguments
    }

    /// The consumer is begun anew.
    pub(super) fn begins_anew(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    /// How long it stays still.
    pub(super) fn stays(&self, now: Instant) -> Option<Duration> {
        let stayed = now.saturating_duration_since(self.begun?);
        STAYS.checked_sub(stayed).filter(|it| !it.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_by_its_messages_and_gone_on_with() {
        let mut sharing = Sharing::new(false);
        sharing.came(&BasicProperties::default());
        assert!(!sharing.is_shared() && !sharing.is_alone() && !sharing.is_stream());
        assert!(sharing.arguments().inner().is_empty());
        let mut headers = FieldTable::default();
        headers.insert(OFFSET.into(), AMQPValue::LongLongInt(6));
        sharing.came(&BasicProperties::default().with_headers(headers));
        assert!(sharing.is_alone() && sharing.is_stream());
        assert_eq!(sharing.arguments().inner().get(OFFSET), Some(&AMQPValue::LongLongInt(7)));
    }

    #[test]
    fn a_consumer_that_was_begun_anew_stays_for_a_while() {
        let (mut sharing, now) = (Sharing::new(false), Instant::now());
        assert_eq!(sharing.stays(now), None);
        sharing.begins_anew(now);
        assert_eq!(sharing.stays(now), Some(STAYS));
        assert_eq!(sharing.stays(now + STAYS), None);
    }
}
