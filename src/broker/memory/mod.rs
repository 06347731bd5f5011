//! The broker built in: everything in this process's memory.

mod builder;
mod queue;
mod queues;

use std::sync::Arc;
use std::time::Instant;

use crate::frame::SharedMessage;
use crate::session::{Delivery, Token};

use super::prefixes::Kind;
use super::{
    Broker, BrokerError, Capabilities, Capability, Destination, HistoryRequest, Host, Message,
    Operation, Outcome, Router, Settle, SlowConsumer, Subscriber, SubscriberId,
    TransactionGuarantee, Turn,
};

pub use builder::MemoryBrokerBuilder;
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
///   leaves unsettled goes back to its old place. What a queue and all queues hold is bounded:
///   beyond that a SEND is refused.
///
/// Prefixes and bounds: [`MemoryBroker::builder`].
///
/// Its outcomes are complete when they are returned, but for a SEND to a topic whose subscribers
/// are behind, so that whoever waits for it does not run ahead of them: where more than a few
/// megabytes are still being delivered it completes when that is done, and where a subscriber's
/// outlet is [full](super::Taken::Full), when it is not any more.
#[derive(Debug)]
pub struct MemoryBroker {
    settings: MemoryBrokerBuilder,
    router: Router,
    queues: Queues,
}

/// An operation that cannot fail any more.
enum Step {
    Route(Destination, SharedMessage),
    /// Into a queue, where so many bytes are reserved for it.
    Add(Destination, SharedMessage, usize),
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

    fn kind(&self, destination: &Destination) -> Result<Kind, BrokerError> {
        let kind = self.settings.prefixes.kind(destination)?;
        if kind == Kind::Queue && destination.is_pattern() {
            return Err(unsupported(Capability::Patterns, destination));
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
        if kind == Kind::Queue || destination.is_pattern() {
            return Err(unsupported(Capability::History, destination));
        }
        if self.settings.rules.policy(destination).retention.is_none() {
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
                let bytes = message.shared().size();
                self.queues.reserve(&destination, bytes)?;
                Ok(Step::Add(destination, message.into_shared(), bytes))
            }
        }
    }

    /// The outcome is pending only where a topic has more to deliver than it may keep.
    fn apply(&self, step: Step, turn: &mut Turn) -> Outcome {
        match step {
            Step::Route(destination, message) => {
                return self.router.route(&destination, Delivery::new(message), turn);
            }
            Step::Add(destination, message, bytes) => {
                self.queues.add(&destination, message, bytes, turn);
            }
            Step::Settle(settle) => self.queues.settle(&settle, turn),
        }
        Outcome::done()
    }

    /// Gives back what was reserved.
    fn give_up(&self, step: Step) {
        if let Step::Add(destination, _, bytes) = step {
            self.queues.release(&destination, bytes);
        }
    }
}

fn unsupported(capability: Capability, destination: &Destination) -> BrokerError {
    BrokerError::Unsupported { capability, destination: destination.to_string() }
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
            history: self.settings.rules.keep_history(),
            transactions: TransactionGuarantee::Atomic,
            ..Capabilities::default()
        }
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.router.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
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
            Ok(Kind::Queue) => self.queues.join(destination, subscriber, turn),
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
            Ok(Kind::Queue) => self.queues.leave(destination, subscriber, turn),
        }
        Outcome::done()
    }

    fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn) {
        match self.kind(destination) {
            Ok(Kind::Topic) => self.router.resume(destination, subscriber, turn),
            Ok(Kind::Queue) => self.queues.resume(destination, subscriber, turn),
            // It has no subscribers.
            Err(_) => {}
        }
    }

    fn slow_consumer(&self, destination: &Destination) -> Arc<SlowConsumer> {
        Arc::clone(&self.settings.rules.policy(destination).slow_consumer)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.router.next_deadline()
    }

    fn handle_deadline(&self, turn: &mut Turn) {
        self.router.handle_deadline(turn.now());
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
        for step in steps {
            // All of it has taken effect; a topic that is behind delivers it in its order.
            drop(self.apply(step, turn));
        }
        Outcome::done()
    }
}
