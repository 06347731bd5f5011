//! The broker built in: everything in this process's memory.

mod builder;
mod queue;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::frame::SharedMessage;
use crate::session::Delivery;

use super::{
    Broker, BrokerError, Capabilities, Capability, Destination, Host, Message, Operation, Outcome,
    Router, Settle, Subscriber, SubscriberId, TransactionGuarantee, Turn,
};

pub use builder::MemoryBrokerBuilder;
use queue::{Bytes, Queue};

/// The broker built in: topics and queues in memory, for one node.
///
/// - `/topic/…`: a message goes to every subscriber that is there when it is published, in the order
///   of publishing. Without subscribers it is dropped.
/// - `/queue/…`: a message goes to one of the consumers and waits while there is none. It is gone
///   when its consumer acknowledged it or, in mode `auto`, when it was delivered; what a consumer
///   leaves unsettled goes back to its old place. What a queue and all queues hold is bounded:
///   beyond that a SEND is refused.
///
/// Prefixes and bounds: [`MemoryBroker::builder`].
///
/// Its outcomes are complete when they are returned, but for one: a SEND to a topic whose subscribers
/// are still being delivered what came before, more than a few megabytes of it, completes when that
/// is done, so that whoever waits for it does not run ahead of them.
#[derive(Debug)]
pub struct MemoryBroker {
    settings: MemoryBrokerBuilder,
    router: Router,
    queues: RwLock<HashMap<Destination, Arc<Queue>>>,
    /// What all queues hold.
    held: Arc<Bytes>,
}

/// What a destination is, by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Topic,
    Queue,
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
        self.queues.read().len()
    }

    /// How many bytes all queues hold, overhead included.
    pub fn queued_bytes(&self) -> usize {
        self.held.count()
    }

    /// How many messages a queue holds, unsettled ones included.
    pub fn queued(&self, destination: &Destination) -> usize {
        self.queue(destination).map_or(0, |queue| queue.messages())
    }

    fn queue(&self, destination: &Destination) -> Option<Arc<Queue>> {
        self.queues.read().get(destination).cloned()
    }

    /// Runs `act` on a queue that is made if it is not there and dropped if nothing is left in it.
    fn on_queue<T>(&self, destination: &Destination, act: impl FnOnce(&Queue) -> T) -> T {
        // The read lock is held while acting, so that nobody drops the queue in between.
        let queues = self.queues.read();
        if let Some(queue) = queues.get(destination) {
            return act(queue);
        }
        drop(queues);
        let mut queues = self.queues.write();
        let made = || Arc::new(Queue::new(self.settings.queue_bytes, Arc::clone(&self.held)));
        let queue = queues.entry(destination.clone()).or_insert_with(made);
        act(queue)
    }

    fn drop_if_idle(&self, destination: &Destination) {
        let idle = self.queue(destination).is_some_and(|queue| queue.is_idle());
        if idle {
            let mut queues = self.queues.write();
            if queues.get(destination).is_some_and(|queue| queue.is_idle()) {
                queues.remove(destination);
            }
        }
    }

    fn kind(&self, destination: &Destination) -> Result<Kind, BrokerError> {
        let begins = |prefixes: &[String]| {
            prefixes.iter().any(|prefix| {
                let rest = destination.as_str().strip_prefix(prefix.as_str());
                rest.is_some_and(|rest| rest.starts_with('/'))
            })
        };
        if destination.is_pattern() {
            return Err(BrokerError::Unsupported {
                capability: Capability::Patterns,
                destination: destination.to_string(),
            });
        }
        if begins(&self.settings.topics) {
            Ok(Kind::Topic)
        } else if begins(&self.settings.queues) {
            Ok(Kind::Queue)
        } else {
            Err(BrokerError::UnknownDestination {
                destination: destination.to_string(),
                known: self.settings.prefixes(),
            })
        }
    }

    /// Finds out whether an operation can be done, and reserves the room that it needs.
    fn prepare(&self, operation: Operation) -> Result<Step, BrokerError> {
        let message = match operation {
            Operation::Publish(message) => message,
            Operation::Settle(settle) => return Ok(Step::Settle(settle)),
        };
        let destination = message.destination().clone();
        match self.kind(&destination)? {
            Kind::Topic => Ok(Step::Route(destination, message.into_shared())),
            Kind::Queue => {
                let bytes = message.shared().size();
                let reserved =
                    self.on_queue(&destination, |queue| queue.reserve(&destination, bytes));
                if let Err(error) = reserved {
                    self.drop_if_idle(&destination);
                    return Err(error);
                }
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
                self.on_queue(&destination, |queue| queue.add(message, bytes));
                self.dispatch(&destination, turn);
            }
            Step::Settle(settle) => {
                if let Some(queue) = self.queue(&settle.destination) {
                    queue.settle(&settle);
                    self.dispatch(&settle.destination, turn);
                }
            }
        }
        Outcome::done()
    }

    /// Gives back what was reserved.
    fn give_up(&self, step: Step) {
        if let Step::Add(destination, _, bytes) = step {
            self.on_queue(&destination, |queue| queue.release(bytes));
            self.drop_if_idle(&destination);
        }
    }

    fn dispatch(&self, destination: &Destination, turn: &Turn) {
        if let Some(queue) = self.queue(destination) {
            queue.dispatch(turn.now());
            drop(queue);
            self.drop_if_idle(destination);
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
        match self.kind(destination) {
            Err(error) => return error.into(),
            Ok(Kind::Topic) => {
                self.router.subscribe(destination, subscriber);
            }
            Ok(Kind::Queue) => {
                self.on_queue(destination, |queue| queue.join(subscriber));
                self.dispatch(destination, turn);
            }
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
            Ok(Kind::Queue) => {
                if let Some(queue) = self.queue(destination) {
                    queue.leave(subscriber);
                    self.dispatch(destination, turn);
                }
            }
        }
        Outcome::done()
    }

    fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn) {
        if let Some(queue) = self.queue(destination) {
            queue.resume(subscriber);
            drop(queue);
            self.dispatch(destination, turn);
        }
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
