//! The broker built in: everything in this process's memory.

mod builder;
mod bytes;
mod counters;
mod dead_letters;
mod queue;
mod queues;
mod timetable;

use std::sync::Arc;
use std::time::Instant;

use crate::frame::SharedMessage;
use crate::session::{Delivery, Token};

use super::prefixes::Kind;
use super::{
    Broker, BrokerError, BrokerOptions, Capabilities, Capability, Destination, HistoryRequest,
    Host, Message, Operation, Outcome, Router, Settle, SlowConsumer, Subscriber, SubscriberId,
    TransactionGuarantee, Turn,
};

pub use builder::MemoryBrokerBuilder;
pub use counters::MemoryBrokerCounters;
use queue::Arrival;
pub(super) use queue::{Dispatch, Queue};
use queues::Queues;

/// The broker built in: topics and queues in memory, for one node.
///
/// - `/topic/…`: a message goes to every subscriber that is there when it is published, in the order
///   of publishing. Without subscribers it is dropped, unless a [rule](MemoryBrokerBuilder::rule)
///   says that the topic keeps its last messages: each carries a token then, and a subscriber may
///   ask for those [since](super::HistoryRequest) a token or a time, and lives on from there. A
///   pattern such as `/topic/room/*` can be subscribed to; it has no history.
/// - `/queue/…`: a message goes to one of the consumers and waits while there is none. It is gone
///   when its consumer acknowledged it or, in mode `auto`, when it was delivered; what a consumer
///   leaves unsettled goes back to its old place. What a queue and all queues hold is bounded.
///   [`QueuePolicy`](super::QueuePolicy) says what is done at the bound, with a message that was
///   rejected or that expired, and with one that nobody can consume.
/// - `/temp-queue/…`: a queue for replies ([`Broker::temporary_queues`]). It is there for as long as
///   it has a consumer; what is sent to it before or after that is dropped and counted.
///
/// Several consumers of a queue are served in turn: each that may have more messages gets an equal
/// part of those that are there, up to 64 at once. What is published, settled and joined within one
/// [`Turn`] is handed out when the turn ends.
///
/// Prefixes and bounds: [`MemoryBroker::builder`].
///
/// Its outcomes are complete when they are returned, but for a SEND to a topic whose subscribers
/// are behind, and for a COMMIT with such a SEND, so that whoever waits for it does not run ahead of them: where more than a few
/// megabytes are still being delivered it completes when that is done, and where a subscriber's
/// outlet is [full](super::Taken::Full), when it is not any more.
#[derive(Debug)]
pub struct MemoryBroker {
    options: BrokerOptions,
    router: Arc<Router>,
    queues: Arc<Queues>,
}

/// An operation that cannot fail any more.
enum Step {
    Route(Destination, SharedMessage),
    /// Into a queue, where room is reserved for it.
    Add(Destination, Arrival),
    /// Into a queue for replies, if there is one.
    Reply(Destination, Arrival),
    Settle(Settle),
}

impl MemoryBroker {
    /// A broker with the default prefixes and bounds.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets prefixes and bounds.
    pub fn builder() -> MemoryBrokerBuilder {
        MemoryBrokerBuilder::new()
    }

    /// The router that topics are delivered through.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// How many queues hold messages or have consumers.
    pub fn queues(&self) -> usize {
        self.queues.count()
    }

    /// How many bytes all queues hold, overhead included.
    pub fn queued_bytes(&self) -> usize {
        self.queues.bytes()
    }

    /// How many messages a queue holds, unsettled ones included.
    pub fn queued(&self, destination: &Destination) -> usize {
        self.queues.messages(destination)
    }

    /// What the queues did with messages other than to deliver them.
    pub fn counters(&self) -> MemoryBrokerCounters {
        self.queues.counters.totals()
    }

    fn kind(&self, destination: &Destination) -> Result<Kind, BrokerError> {
        let kind = self.options.prefixes.check(destination)?;
        if kind != Kind::Topic && destination.is_pattern() {
            return Err(BrokerError::unsupported(Capability::Patterns, destination));
        }
        Ok(kind)
    }

    /// Refuses to give history where there is none: to ignore the wish would be to promise it.
    fn check_history(
        &self,
        kind: Kind,
        destination: &Destination,
        request: Option<&HistoryRequest>,
    ) -> Result<(), BrokerError> {
        let Some(request) = request else { return Ok(()) };
        if kind != Kind::Topic || destination.is_pattern() {
            return Err(BrokerError::unsupported(Capability::History, destination));
        }
        if self.options.rules.policy(destination).retention.is_none() {
            return Err(BrokerError::NoHistory { destination: destination.to_string() });
        }
        match request {
            HistoryRequest::After(token) if Token::parse_position(token).is_none() => {
                let (token, destination) = (token.to_string(), destination.to_string());
                Err(BrokerError::InvalidToken { token, destination })
            }
            _ => Ok(()),
        }
    }

    /// Finds out whether an operation can be done, and reserves the room that it needs.
    fn prepare(&self, operation: Operation) -> Result<Step, BrokerError> {
        let message = match operation {
            Operation::Publish(message) => message,
            Operation::Settle(settle) => return Ok(Step::Settle(settle)),
        };
        let destination = message.destination().clone();
        if destination.is_pattern() {
            return Err(BrokerError::SentToPattern { destination: destination.to_string() });
        }
        match self.kind(&destination)? {
            Kind::Topic => Ok(Step::Route(destination, message.into_shared())),
            Kind::Queue => {
                let arrival = Arrival::new(message)?;
                self.queues.reserve(&destination, arrival.bytes)?;
                Ok(Step::Add(destination, arrival))
            }
            Kind::Temporary => Ok(Step::Reply(destination, Arrival::new(message)?)),
        }
    }

    /// The outcome is pending only where a topic has more to deliver than it may keep.
    fn apply(&self, step: Step, turn: &mut Turn) -> Outcome {
        match step {
            Step::Route(destination, message) => {
                return self.router.route(&destination, Delivery::new(message), turn);
            }
            Step::Add(destination, arrival) => self.queues.add(&destination, arrival, turn),
            Step::Reply(destination, arrival) => self.queues.reply(&destination, arrival, turn),
            Step::Settle(settle) => self.queues.settle(&settle, turn),
        }
        Outcome::done()
    }

    /// Gives back what was reserved.
    fn give_up(&self, step: Step) {
        if let Step::Add(destination, arrival) = step {
            self.queues.release(&destination, arrival.bytes);
        }
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl Broker for MemoryBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            queues: true,
            settle: true,
            patterns: true,
            temporary_queues: true,
            history: self.options.rules.keep_history(),
            transactions: TransactionGuarantee::Atomic,
            ..Capabilities::default()
        }
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.queues.attach(Arc::clone(&host));
        self.router.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
        let to = message.destination();
        if !to.is_pattern() && self.options.prefixes.kind(to) == Some(Kind::Queue) {
            // Alone it needs no room to be reserved first.
            return self.queues.publish(message, turn).into();
        }
        match self.prepare(Operation::Publish(message)) {
            Ok(step) => self.apply(step, turn),
            Err(error) => error.into(),
        }
    }

    fn subscribe(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Outcome {
        let kind = self.kind(destination).and_then(|kind| {
            self.check_history(kind, destination, subscriber.history.as_ref()).map(|()| kind)
        });
        match kind {
            Err(error) => return error.into(),
            Ok(Kind::Topic) => {
                self.router.subscribe(destination, subscriber, turn);
            }
            Ok(Kind::Queue | Kind::Temporary) => self.queues.join(destination, subscriber, turn),
        }
        Outcome::done()
    }

    fn unsubscribe(
        &self,
        destination: &Destination,
        subscriber: SubscriberId,
        turn: &mut Turn,
    ) -> Outcome {
        match self.kind(destination) {
            Err(error) => return error.into(),
            Ok(Kind::Topic) => {
                self.router.unsubscribe(destination, subscriber);
            }
            Ok(Kind::Queue | Kind::Temporary) => self.queues.leave(destination, subscriber, turn),
        }
        Outcome::done()
    }

    fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn) {
        match self.kind(destination) {
            Ok(Kind::Topic) => self.router.resume(destination, subscriber, turn),
            Ok(Kind::Queue | Kind::Temporary) => {
                self.queues.resume(destination, subscriber, turn);
            }
            // It has no subscribers.
            Err(_) => {}
        }
    }

    fn slow_consumer(&self, destination: &Destination) -> Arc<SlowConsumer> {
        Arc::clone(&self.options.rules.policy(destination).slow_consumer)
    }

    fn next_deadline(&self) -> Option<Instant> {
        [self.router.next_deadline(), self.queues.next_deadline()].into_iter().flatten().min()
    }

    fn temporary_queues(&self) -> Option<&str> {
        Some(&self.options.prefixes.temporary)
    }

    fn handle_deadline(&self, turn: &mut Turn) {
        self.router.handle_deadline(turn.now());
        self.queues.handle_deadline(turn);
    }

    fn settle(&self, settle: Settle, turn: &mut Turn) -> Outcome {
        self.apply(Step::Settle(settle), turn)
    }

    /// Room is reserved for all of it before any of it is applied, so that nothing can fail in the
    /// middle, whoever else publishes meanwhile.
    fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
        let mut steps = Vec::with_capacity(operations.len());
        for operation in operations {
            match self.prepare(operation) {
                Ok(step) => steps.push(step),
                Err(error) => {
                    for step in steps {
                        self.give_up(step);
                    }
                    return error.into();
                }
            }
        }
        // All of it takes effect now. Who publishes by transactions waits for topics that are behind
        // all the same.
        Outcome::all(steps.into_iter().map(|step| self.apply(step, turn)))
    }
}
