use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Subscriber;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::session::Delivery;

use super::super::{BrokerError, Destination, Outcome, Turn, pattern};
use super::course::{Course, Reached};
use super::filling::{Keeping, Place};
use super::message;
use super::node::Node;

/// A subscription at NATS: takes what comes by it to those who listen here to its destination, or to
/// its pattern.
///
/// A message that several of a node's subscriptions match comes by each of them. So each serves only
/// its own listeners, and nothing needs to be compared.
///
/// Where history is kept, what comes has its place in the stream with it; what did not come is read
/// from there, by [filling](super::filling).
pub(super) struct Listener {
    task: JoinHandle<()>,
    missing: Arc<Notify>,
}

/// What the task of a listener works with.
pub(super) struct Listening {
    pub(super) node: Arc<Node>,
    pub(super) wanted: Destination,
    pub(super) messages: Subscriber,
    pub(super) course: Arc<Mutex<Course>>,
    /// Where history is kept, if it is.
    pub(super) keeping: Option<Keeping>,
}

/// A message does not follow on the one before: some are missing, or there is another stream.
pub(super) struct Unexpected;

/// How many messages are taken along before any of them is delivered.
const TURN: usize = 64;

/// How far one server of a cluster may be behind another one.
pub(super) const BEHIND: Duration = Duration::from_secs(5);

/// How long to wait for it at a time.
const PAUSE: Duration = Duration::from_millis(50);

impl Listener {
    /// `ready` is told when what was there before is there, and what comes will be delivered. An error
    /// is that JetStream refuses that, and the end.
    pub(super) fn new(
        listening: Listening,
        ready: impl FnOnce(Result<(), BrokerError>) + Send + 'static,
    ) -> Self {
        let missing = Arc::new(Notify::new());
        let task = tokio::spawn(listening.run(Arc::clone(&missing), ready));
        Self { task, missing }
    }

    /// Messages may be missing that are in the stream.
    pub(super) fn look(&self) {
        self.missing.notify_one();
    }

    /// Ends it. After that it delivers nothing.
    pub(super) async fn end(mut self) {
        self.task.abort();
        // It was ended, or has ended: both is what was asked for.
        drop((&mut self.task).await);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listening {
    async fn run(
        mut self,
        missing: Arc<Notify>,
        ready: impl FnOnce(Result<(), BrokerError>) + Send + 'static,
    ) {
        let filled = self.fill().await;
        let refused = filled.is_err();
        ready(filled);
        if refused {
            return;
        }
        loop {
            tokio::select! {
                first = self.messages.next() => match first {
                    Some(first) => self.take_with_others(first).await,
                    None => break,
                },
                // It has begun, so nothing is refused any more.
                () = missing.notified() => drop(self.fill().await),
            }
        }
    }

    /// Takes a message, and those that are there with it, in one turn.
    async fn take_with_others(&mut self, first: async_nats::Message) {
        let mut turn = Turn::new(Instant::now());
        let mut next = Some(first);
        let mut outcome = Outcome::done();
        let mut left = TURN;
        let mut unexpected = None;
        while let Some(message) = next {
            match self.take(&message, &mut turn) {
                Ok(taken) => outcome = taken,
                Err(Unexpected) => {
                    unexpected = Some(message);
                    break;
                }
            }
            left -= 1;
            next = if left > 0 { self.messages.next().now_or_never().flatten() } else { None };
        }
        drop(turn);
        if let Some(message) = unexpected {
            outcome = self.take_unexpected(&message).await;
        }
        wait(outcome).await;
    }

    /// Takes a message that does not follow on the one before, when what the stream keeps was read.
    async fn take_unexpected(&mut self, message: &async_nats::Message) -> Outcome {
        if let Some(keeping) = &self.keeping {
            keeping.streams.forget(&keeping.config.name);
        }
        let began = Instant::now();
        loop {
            drop(self.fill().await);
            // In a cluster the one that is asked may be a moment behind the one that has published it.
            let known = self.known(message);
            let missing = self.place(message).is_some_and(|place| place.previous > known);
            if !missing || began.elapsed() > BEHIND {
                let mut turn = Turn::new(Instant::now());
                return self.take_anyway(message, &mut turn);
            }
            sleep(PAUSE).await;
        }
    }

    /// Takes what waits here already. What is there again is dropped; whether all of the rest follows
    /// on it is returned.
    pub(super) fn take_waiting(&mut self) -> Result<(), Unexpected> {
        let mut turn = Turn::new(Instant::now());
        while let Some(Some(message)) = self.messages.next().now_or_never() {
            let known = self.known(&message);
            if self.place(&message).is_none_or(|place| place.sequence > known) {
                // What it waits for is bounded by what the client keeps.
                drop(self.take(&message, &mut turn)?);
            }
        }
        Ok(())
    }

    /// Takes what waits here already, for a pattern, which begins with it.
    pub(super) fn take_first(&mut self) {
        let mut turn = Turn::new(Instant::now());
        while let Some(Some(message)) = self.messages.next().now_or_never() {
            if let Some(place) = self.place(&message) {
                let subject = self.subject(&message);
                self.course.lock().reach(subject, true, place.previous);
            }
            drop(self.take(&message, &mut turn));
        }
    }

    /// Takes a message, if it follows on the one before.
    fn take(
        &mut self,
        arrived: &async_nats::Message,
        turn: &mut Turn,
    ) -> Result<Outcome, Unexpected> {
        let Some(Ok(destination)) = self.node.subjects.destination(&arrived.subject) else {
            return Ok(Outcome::done());
        };
        let mut reached = None;
        if let Some(place) = self.place(arrived) {
            let (subject, is_pattern) = (self.subject(arrived), self.wanted.is_pattern());
            let course = &mut *self.course.lock();
            let known = course.known(subject, is_pattern);
            if place.previous > known {
                course.doubt(known);
                return Err(Unexpected);
            }
            if place.sequence <= known {
                return Err(Unexpected);
            }
            course.reach(subject, is_pattern, place.sequence);
            reached = course.reached.map(|it| Reached { sequence: place.sequence, ..it });
        }
        Ok(self.deliver(destination, arrived, reached, turn))
    }

    /// Takes a message that does not follow on the one before, though all was read that the stream
    /// keeps: what is missing is gone. One that has come already is dropped.
    fn take_anyway(&mut self, arrived: &async_nats::Message, turn: &mut Turn) -> Outcome {
        if let Some(place) = self.place(arrived)
            && place.previous > self.known(arrived)
        {
            let course = &mut *self.course.lock();
            course.reach(self.subject(arrived), self.wanted.is_pattern(), place.previous);
            course.gap = true;
        }
        self.take(arrived, turn).unwrap_or_else(|Unexpected| Outcome::done())
    }

    fn place(&self, arrived: &async_nats::Message) -> Option<Place> {
        self.keeping.as_ref().and_then(|keeping| keeping.place(arrived))
    }

    /// What a message came on, as it is called in the stream as well.
    fn subject<'a>(&self, arrived: &'a async_nats::Message) -> &'a str {
        self.node.subjects.behind_prefix(&arrived.subject)
    }

    /// How far this has come with the destination of a message.
    fn known(&self, arrived: &async_nats::Message) -> u64 {
        self.course.lock().known(self.subject(arrived), self.wanted.is_pattern())
    }

    /// Delivers what was published, from this place in the stream if it was kept.
    pub(super) fn deliver(
        &self,
        destination: Destination,
        arrived: &async_nats::Message,
        reached: Option<Reached>,
        turn: &mut Turn,
    ) -> Outcome {
        let delivery = self.delivery(destination, arrived, reached);
        delivery.map_or_else(Outcome::done, |delivery| {
            let gap = std::mem::take(&mut self.course.lock().gap);
            self.node.router.route(&self.wanted, delivery.with_gap(gap), turn)
        })
    }

    /// A delivery, if it is wanted here and does not come again.
    pub(super) fn delivery(
        &self,
        destination: Destination,
        arrived: &async_nats::Message,
        reached: Option<Reached>,
    ) -> Option<Delivery> {
        // A pattern may listen to more than it matches.
        if destination.is_pattern() || !pattern::matches(&self.wanted, &destination) {
            return None;
        }
        let headers = arrived.headers.as_ref();
        let (message, origin) = message::message(destination, headers, &arrived.payload);
        // A stream has each once, and passes it on later than what was published elsewhere.
        let is_kept = reached.is_some() || message::is_from_stream(headers);
        if !is_kept && origin.is_some_and(|origin| !self.course.lock().seen.is_new(origin)) {
            return None;
        }
        let delivery = Delivery::new(message.into_shared());
        Some(match reached.and_then(Reached::token) {
            Some(token) => delivery.with_token(token),
            None => delivery,
        })
    }
}

/// Those who listen here may be behind. What waits for them is bounded, so the rest waits with the
/// client.
pub(super) async fn wait(mut outcome: Outcome) {
    if outcome.take_ready().is_none() {
        // An error is that nobody is left to wait for.
        drop(outcome.await);
    }
}
