use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::engine::Item;
use super::super::{BrokerError, Destination, Message};
use super::lane::Lane;
use super::link::judge;
use super::node::{ENGINE, Node};
use super::stream::refused;
use super::streams::Streams;
use super::temporary::Confirmation;

/// What is to be published to streams and is not confirmed: it waits for those that are not open, or
/// take nothing for the moment, in order, and what is to go elsewhere does not wait for it.
pub(super) struct Holding {
    node: Arc<Node>,
    streams: Arc<Streams>,
    /// By the name of the stream: there are a few.
    lanes: HashMap<String, Lane>,
    opening: JoinSet<Opened>,
}

/// What became of an attempt to open a stream.
struct Opened {
    stream: String,
    result: Result<(), BrokerError>,
}

/// How long to wait before another attempt to open a stream.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a stream may take nothing by way of a server that answers. After that it may be the server
/// that is cut off from it.
const STUCK: Duration = Duration::from_secs(10);

impl Holding {
    pub(super) fn new(node: Arc<Node>, streams: Arc<Streams>) -> Self {
        Self { node, streams, lanes: HashMap::new(), opening: JoinSet::new() }
    }

    /// Takes a message to its stream: [`next`](Self::next) says when it is to be sent.
    pub(super) fn push(&mut self, wanted: &Config, item: Item<Message>) {
        if let Some(lane) = self.lanes.get_mut(&wanted.name) {
            lane.push(item);
            return;
        }
        let mut lane = Lane::new(wanted.clone());
        self.open(wanted.clone(), item.what.destination().clone(), Duration::ZERO);
        lane.push(item);
        self.lanes.insert(wanted.name.clone(), lane);
    }

    /// The next message that is to be sent to its stream now.
    pub(super) fn next(&mut self) -> Option<Item<Message>> {
        let now = Instant::now();
        self.lanes.values_mut().find_map(|lane| lane.next(now))
    }

    /// How many were sent and are not confirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        self.lanes.values().map(Lane::unconfirmed).sum()
    }

    /// On behalf of a destination.
    fn open(&mut self, wanted: Config, destination: Destination, pause: Duration) {
        let streams = Arc::clone(&self.streams);
        self.opening.spawn(async move {
            sleep(pause).await;
            let result = streams.open(&wanted, &destination).await.map(|_| ());
            Opened { stream: wanted.name, result }
        });
    }

    /// Waits until a stream is open: what waits for it can be sent.
    pub(super) async fn opened(&mut self) -> Option<()> {
        while let Some(joined) = self.opening.join_next().await {
            let Ok(Opened { stream, result }) = joined else { continue };
            let Some(lane) = self.lanes.get_mut(&stream) else { continue };
            match result {
                Ok(()) => {
                    lane.opened();
                    return Some(());
                }
                Err(BrokerError::Unavailable { .. }) if lane.is_wanted() => {
                    lane.is_in_trouble(Instant::now());
                    self.reopen(&stream);
                }
                Err(error) => {
                    let held = self.lanes.remove(&stream);
                    for item in held.iter().flat_map(Lane::items) {
                        self.node.outbox.answer(item.number, Err(error.clone()));
                    }
                }
            }
        }
        None
    }

    /// Looks for a stream that takes nothing.
    fn reopen(&mut self, stream: &str) {
        self.streams.forget(stream);
        let Some(lane) = self.lanes.get(stream) else { return };
        let destination = lane.items().next().map(|item| item.what.destination().clone());
        match destination {
            Some(destination) => self.open(lane.wanted.clone(), destination, PAUSE),
            // The next message opens it.
            None => drop(self.lanes.remove(stream)),
        }
    }

    /// What JetStream says to a message that was sent to its stream.
    pub(super) fn confirmed(&mut self, number: u64, confirmation: Confirmation) {
        let Some((stream, lane)) = self.lanes.iter_mut().find(|(_, lane)| lane.has(number)) else {
            return;
        };
        match confirmation {
            Confirmation::Kept => {
                let Some(item) = lane.confirmed(number) else { return };
                let overtaken = lane.overtake(&item);
                self.node.outbox.answer(number, Ok(()));
                self.give_up(overtaken);
            }
            Confirmation::Refused(reason) => {
                let Some(item) = lane.confirmed(number) else { return };
                let answer = Err(refused(item.what.destination(), reason));
                self.node.outbox.answer(number, answer);
            }
            // That it did not take what is to be sent again anyway is known.
            Confirmation::NotNow if lane.is_sent(number) => {
                let stream = stream.clone();
                self.failed(&stream);
            }
            Confirmation::NotNow => {}
        }
    }

    /// A stream takes nothing for the moment.
    fn failed(&mut self, stream: &str) {
        let Some(lane) = self.lanes.get_mut(stream) else { return };
        let overtaken = lane.failed(Instant::now());
        self.give_up(overtaken);
        self.reopen(stream);
    }

    /// A message is answered already.
    pub(super) fn take(&mut self, number: u64) {
        self.lanes.values_mut().find_map(|lane| lane.take(number));
    }

    /// Refuses what JetStream will not confirm, since it was not permitted.
    pub(super) fn refuse_denied(&mut self, denied: &[String]) {
        if denied.is_empty() {
            return;
        }
        let mut refused = Vec::new();
        for item in self.lanes.values().flat_map(Lane::items) {
            let destination = item.what.destination();
            let subject = || vec![self.node.subject_to_publish(destination)];
            if let Err(error) = judge(denied, "Publish", destination, subject) {
                refused.push((item.number, error));
            }
        }
        for (number, error) in refused {
            self.take(number);
            self.node.outbox.answer(number, Err(error));
        }
    }

    /// Sees whether streams answer, and gives up what has waited for too long.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        let silent = self.lanes.iter().filter(|(_, lane)| lane.is_unanswered(now));
        let silent: Vec<_> = silent.map(|(stream, _)| stream.clone()).collect();
        for stream in silent {
            self.failed(&stream);
        }
        let expired = self.lanes.values_mut().flat_map(|lane| lane.expire(now)).collect();
        self.give_up(expired);
    }

    /// Whether a stream takes nothing for so long that another server might do better.
    pub(super) fn is_stuck(&self) -> bool {
        let now = Instant::now();
        self.lanes.values().any(|lane| lane.trouble(now) > STUCK)
    }

    /// The connection is lost. What was sent is sent again over the next one, in order; so what was
    /// overtaken is not.
    pub(super) fn lost(&self) {
        self.give_up(self.lanes.values().flat_map(Lane::overtaken).collect());
    }

    fn give_up(&self, numbers: Vec<u64>) {
        for number in numbers {
            self.node.outbox.answer(number, Err(BrokerError::Unavailable { engine: ENGINE }));
        }
    }
}
