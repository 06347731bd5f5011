use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::session::Delivery;

use super::super::router::Lack;
use super::super::{Destination, HistoryRequest};
use super::ending::Ending;
use super::node::Node;
use super::place::Place;
use super::progress::Need;
use super::{message, reading};

/// Older messages of a destination that somebody asks for.
pub(super) struct Replay {
    /// Who asks.
    pub(super) number: u64,
    pub(super) destination: Destination,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) from: From,
    /// The node has what stands from here on.
    pub(super) to: i64,
    /// What they are added to.
    pub(super) lack: Lack,
}

/// Where older messages begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Offset(i64),
    /// With what was published since then.
    Since(Instant),
}

/// The older messages of a destination.
pub(super) struct Replayed {
    pub(super) number: u64,
    pub(super) destination: Destination,
    pub(super) lack: Lack,
    pub(super) older: Vec<(Instant, Delivery)>,
    /// What was published up to then may be missing.
    pub(super) lost: Instant,
}

/// How many records one replay looks through at the most.
const RECORDS: i64 = 100_000;

/// How many bytes of records one replay looks through at the most.
const BYTES: usize = 64 << 20;

/// How long one replay takes at the most.
const TIME: Duration = Duration::from_secs(8);

impl Replay {
    /// What is to be replayed for a request, if anything is: `read` says how far the node has read a
    /// partition, and `partition` in which the destination is.
    pub(super) fn of(
        request: &HistoryRequest,
        lack: &Lack,
        partition: i32,
        read: impl Fn(i32) -> Option<i64>,
        now: Instant,
    ) -> Option<(i32, From, i64)> {
        let front = lack.before.as_ref().and_then(Place::of);
        let (partition, from) = match request {
            HistoryRequest::After(token) => {
                let place: Place = token.parse().ok()?;
                (place.partition, From::Offset(place.offset))
            }
            HistoryRequest::Within(time) => {
                let since = From::Since(now.checked_sub(*time)?);
                (front.map_or(partition, |front| front.partition), since)
            }
            HistoryRequest::Last(_) => return None,
        };
        let to = match front {
            // It is where the destination was when there were fewer partitions.
            Some(front) if front.partition != partition => return None,
            Some(front) => front.offset,
            None => read(partition)?,
        };
        match from {
            From::Offset(offset) if offset >= to || to - offset > RECORDS => None,
            _ => Some((partition, from, to)),
        }
    }
}

/// Replays what is asked for, what comes at the same time by one reader of each partition.
pub(super) async fn replay(
    node: Arc<Node>,
    mut asked: mpsc::UnboundedReceiver<Replay>,
    replayed: mpsc::UnboundedSender<reading::News>,
) {
    while let Some(first) = asked.recv().await {
        let mut partitions: HashMap<(String, i32), Vec<Replay>> = HashMap::new();
        let mut next = Some(first);
        while let Some(replay) = next {
            let partition = (replay.topic.clone(), replay.partition);
            partitions.entry(partition).or_default().push(replay);
            next = asked.try_recv().ok();
        }
        for ((topic, partition), replays) in partitions {
            let node = Arc::clone(&node);
            let pass = move || Pass::new(&node, topic, partition, replays).run();
            for answer in tokio::task::spawn_blocking(pass).await.unwrap_or_default() {
                // If the reader is gone, so is everybody who waits.
                drop(replayed.send(reading::News::Replayed(answer)));
            }
        }
    }
}

/// One look through a part of a partition.
struct Pass<'a> {
    node: &'a Node,
    topic: String,
    partition: i32,
    asked: Vec<Asked>,
}

struct Asked {
    replay: Replay,
    from: i64,
    older: VecDeque<(Instant, Delivery)>,
    most: usize,
    lost: Option<Instant>,
}

impl<'a> Pass<'a> {
    fn new(node: &'a Node, topic: String, partition: i32, replays: Vec<Replay>) -> Self {
        let asked = replays.into_iter().map(|replay| Asked {
            from: match replay.from {
                From::Offset(offset) => offset,
                From::Since(_) => i64::MAX,
            },
            most: node.rules.policy(&replay.destination).retention.messages,
            replay,
            older: VecDeque::new(),
            lost: None,
        });
        let asked = asked.collect();
        Self { node, topic, partition, asked }
    }

    fn run(mut self) -> Vec<Replayed> {
        // Who gets less than everything is told of a gap.
        let read = self.find_times().and_then(|()| self.read());
        let complete = read.unwrap_or(false);
        let replayed = self.asked.into_iter().map(|asked| {
            let lost = asked.lost.filter(|_| complete).unwrap_or_else(Instant::now);
            let older = if complete { asked.older.into() } else { Vec::new() };
            let Replay { number, destination, lack, .. } = asked.replay;
            Replayed { number, destination, lack, older, lost }
        });
        replayed.collect()
    }

    /// Finds the offsets of those who ask by time.
    fn find_times(&mut self) -> KafkaResult<()> {
        let (topic, partition) = (self.topic.clone(), self.partition);
        let places = [Need { topic, partition, offset: 0 }];
        let asking = &self.node.asking;
        let offset =
            |which| asking.offsets(&places, which).map(|all| all.first().map(|it| it.offset));
        let begin = offset(Offset::Beginning)?.unwrap_or_default();
        for asked in &mut self.asked {
            if let From::Since(since) = asked.replay.from {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let at = now.saturating_sub(since.elapsed());
                let at_milliseconds = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
                asked.from = offset(Offset::Offset(at_milliseconds))?.unwrap_or(i64::MAX);
                // Before the beginning there may have been more.
                if asked.from > begin || begin == 0 {
                    asked.lost = since.checked_sub(Duration::from_nanos(1));
                }
            }
        }
        // What is too far away, or not in between, is not read.
        self.asked.retain_mut(|asked| {
            let to = asked.replay.to;
            if asked.from < to && to - asked.from > RECORDS {
                asked.from = i64::MAX;
                asked.lost = None;
            }
            true
        });
        Ok(())
    }

    /// Reads what is asked for. Returns whether that is all of it.
    fn read(&mut self) -> KafkaResult<bool> {
        let wanted = || self.asked.iter().filter(|asked| asked.from < asked.replay.to);
        let from = wanted().map(|asked| asked.from).min();
        let to = wanted().map(|asked| asked.replay.to).max();
        let (Some(from), Some(to)) = (from, to) else { return Ok(true) };
        let mut config = self.node.config.clone();
        config.set("group.id", reading::GROUP).set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest");
        let consumer: Ending<BaseConsumer> = Ending::new(config.create()?);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, self.partition, Offset::Offset(from))?;
        consumer.assign(&list)?;
        let deadline = Instant::now() + TIME;
        let mut bytes = 0;
        while Instant::now() < deadline && bytes < BYTES {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) if record.offset() >= to => return Ok(true),
                Some(Ok(record)) => {
                    bytes += record.payload_len() + record.key_len();
                    self.take(&record);
                    if record.offset() + 1 >= to {
                        return Ok(true);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(true),
                // It may be away for a moment.
                None | Some(Err(_)) => {}
            }
        }
        Ok(false)
    }

    fn take(&mut self, record: &BorrowedMessage<'_>) {
        let destinations = self.node.mapping.destinations(&self.topic, record.key());
        let at = message::written(record);
        for asked in &mut self.asked {
            let offset = record.offset();
            if offset < asked.from || offset >= asked.replay.to {
                continue;
            }
            asked.lost.get_or_insert(at);
            let destination = &asked.replay.destination;
            if destinations.contains(destination) {
                let message = message::message(destination.clone(), record);
                let mut delivery = Delivery::new(message.into_shared());
                if let Some(token) = (Place { partition: self.partition, offset }).token() {
                    delivery = delivery.with_token(token);
                }
                if asked.older.len() == asked.most {
                    asked.older.pop_front();
                    asked.lost = asked.older.front().map(|(at, _)| *at);
                }
                asked.older.push_back((at, delivery));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(before: Option<Place>) -> Lack {
        let log = before.and_then(Place::token);
        Lack::new(7, log)
    }

    fn after(token: &str) -> HistoryRequest {
        HistoryRequest::After(token.into())
    }

    #[test]
    fn what_is_between_the_token_and_the_front_is_replayed() {
        let (front, now) = (Place { partition: 2, offset: 50 }, Instant::now());
        let read = |partition| (partition == 2).then_some(70);
        let rows = [
            ("2.10", Some(front), Some((2, From::Offset(10), 50))),
            ("2.10", None, Some((2, From::Offset(10), 70))),
            // Of another partition, or not published yet.
            ("1.10", Some(front), None),
            ("1.10", None, None),
            ("2.50", Some(front), None),
            ("2.70", None, None),
            ("nothing", None, None),
        ];
        for (token, before, expected) in rows {
            assert_eq!(Replay::of(&after(token), &lack(before), 2, read, now), expected, "{token}");
        }
        let far = |_| Some(RECORDS + 11);
        assert_eq!(Replay::of(&after("2.10"), &lack(None), 2, far, now), None);
        let second = Duration::from_secs(1);
        let (within, last) = (HistoryRequest::Within(second), HistoryRequest::Last(5));
        let expected = Some((2, From::Since(now), 70));
        assert_eq!(Replay::of(&within, &lack(None), 2, read, now + second), expected);
        assert_eq!(Replay::of(&last, &lack(None), 2, read, now), None);
    }
}
