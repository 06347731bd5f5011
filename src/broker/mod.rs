//! Brokers: what takes messages from publishers to subscribers.
//!
//! [`Broker`] is the trait that a server holds as `Arc<dyn Broker>`. [`MemoryBroker`] is the one
//! built in. [`Router`] is what every broker delivers through: from a destination to the
//! [`Outlet`]s of its subscribers on this node.
//!
//! The brokers over an engine, a feature each, let several servers be one: [`connect`] makes the one
//! that a URL names.
//!
//! But for those, nothing here does I/O, spawns, sleeps or reads a clock: instants come in with a
//! [`Turn`], sockets are reached through [`Outlet`], and work that would take too long is handed to
//! the [`Host`].

mod capabilities;
mod destination;
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod engine;
mod error;
mod history;
mod host;
#[cfg(feature = "kafka")]
mod kafka;
mod memory;
mod message;
#[cfg(all(test, stompbox_loom))]
mod models;
#[cfg(feature = "nats")]
mod nats;
mod options;
mod outcome;
mod outlet;
mod pattern;
mod policy;
mod prefixes;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "redis")]
mod redis;
mod room;
mod router;
mod subscriber;
mod turn;
mod url;
mod work;

use std::sync::Arc;
use std::time::Instant;

pub use capabilities::{Capabilities, Capability, TransactionGuarantee};
pub use destination::{Destination, DestinationError};
pub use error::BrokerError;
pub use history::HistoryRequest;
pub use host::Host;
#[cfg(feature = "kafka")]
pub use kafka::{KafkaBroker, KafkaBrokerBuilder};
pub use memory::{MemoryBroker, MemoryBrokerBuilder, MemoryBrokerCounters};
pub use message::{Message, MessageBuilder, is_withheld};
#[cfg(feature = "nats")]
pub use nats::NatsBroker;
pub use options::BrokerOptions;
pub use outcome::{Completer, Outcome};
pub use outlet::{Outlet, Taken};
pub use policy::{
    DestinationPolicy, DestinationRule, DestinationRules, InvalidRule, QueueOverflow, QueuePolicy,
    RejectedPolicy, Retention,
};
#[cfg(feature = "rabbitmq")]
pub use rabbitmq::RabbitMqBroker;
#[cfg(feature = "redis")]
pub use redis::RedisBroker;
pub use router::Router;
pub use subscriber::{Subscriber, SubscriberId};
pub use turn::Turn;
pub use url::{ConnectError, connect};
pub use work::Work;

/// Takes messages to those who subscribed to their destination.
///
/// `publish`, `subscribe`, `unsubscribe`, `settle` and `commit` take effect in the order in which
/// they are *called*, not in the order in which their [`Outcome`]s are awaited. An outcome completes
/// when the broker has taken responsibility; a RECEIPT is sent only then. Dropping an outcome
/// cancels nothing, and a retry never overtakes what was called later.
///
/// # Wrapping a broker
///
/// A broker that wraps another passes on every method, those with a default too. The SENDs of a
/// transaction come by [`commit`](Self::commit), not by [`publish`](Self::publish). This one counts
/// what is published:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::time::Instant;
/// use stompbox::broker::{
///     Broker, Capabilities, Destination, Host, MemoryBroker, Message, Operation, Outcome, Settle,
///     SlowConsumer, Subscriber, SubscriberId, Turn,
/// };
///
/// #[derive(Default)]
/// struct Counting<B> {
///     broker: B,
///     published: AtomicUsize,
/// }
///
/// impl<B: Broker> Broker for Counting<B> {
///     fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
///         self.published.fetch_add(1, Ordering::Relaxed);
///         self.broker.publish(message, turn)
///     }
///
///     fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
///         let is_publish = |operation: &&Operation| matches!(operation, Operation::Publish(_));
///         let published = operations.iter().filter(is_publish).count();
///         self.published.fetch_add(published, Ordering::Relaxed);
///         self.broker.commit(operations, turn)
///     }
///
///     // The rest is passed on as it is.
///     fn capabilities(&self) -> Capabilities {
///         self.broker.capabilities()
///     }
///
///     fn attach(&self, host: Arc<dyn Host>) {
///         self.broker.attach(host);
///     }
///
///     fn subscribe(&self, to: &Destination, subscriber: Subscriber, turn: &mut Turn) -> Outcome {
///         self.broker.subscribe(to, subscriber, turn)
///     }
///
///     fn unsubscribe(&self, from: &Destination, who: SubscriberId, turn: &mut Turn) -> Outcome {
///         self.broker.unsubscribe(from, who, turn)
///     }
///
///     fn resume(&self, from: &Destination, who: SubscriberId, turn: &mut Turn) {
///         self.broker.resume(from, who, turn);
///     }
///
///     fn settle(&self, settle: Settle, turn: &mut Turn) -> Outcome {
///         self.broker.settle(settle, turn)
///     }
///
///     fn temporary_queues(&self) -> Option<&str> {
///         self.broker.temporary_queues()
///     }
///
///     fn slow_consumer(&self, destination: &Destination) -> Arc<SlowConsumer> {
///         self.broker.slow_consumer(destination)
///     }
///
///     fn next_deadline(&self) -> Option<Instant> {
///         self.broker.next_deadline()
///     }
///
///     fn handle_deadline(&self, turn: &mut Turn) {
///         self.broker.handle_deadline(turn);
///     }
/// }
///
/// // The program keeps one `Arc` for its counter; `ServerBuilder::shared_broker` takes another.
/// let broker = Arc::new(Counting::<MemoryBroker>::default());
/// let message = Message::builder("/topic/a".parse()?).body("hello");
/// let mut turn = Turn::new(Instant::now());
/// assert!(matches!(broker.publish(message, &mut turn).take_ready(), Some(Ok(()))));
/// assert_eq!(broker.published.load(Ordering::Relaxed), 1);
/// # Ok::<(), stompbox::broker::DestinationError>(())
/// ```
pub trait Broker: Send + Sync + 'static {
    /// What this broker can do. The server refuses the rest by ERROR.
    fn capabilities(&self) -> Capabilities;

    /// Tells the broker who runs it. Called once, before anything else.
    fn attach(&self, host: Arc<dyn Host>);

    /// Publishes a message to its destination.
    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome;

    /// Adds a subscriber. From the call on it is delivered everything that is published later.
    ///
    /// Whoever called takes the subscriber back by [`unsubscribe`](Self::unsubscribe), also where the
    /// outcome is an error: a broker may find out late that it has to refuse, and knows it until then.
    /// A subscription that it had confirmed and can serve no longer it ends by [`Outlet::refuse`].
    fn subscribe(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Outcome;

    /// Removes a subscriber, if it is there. What it was delivered from a queue and has not settled
    /// is put back, in order.
    fn unsubscribe(
        &self,
        destination: &Destination,
        subscriber: SubscriberId,
        turn: &mut Turn,
    ) -> Outcome;

    /// A subscriber whose outlet had answered [`Taken::Queued`] for messages of a queue, or for
    /// [retained](Delivery::is_retained) ones, has written all of them, and takes more. Until then a
    /// queue passes it over, and history waits. The same goes for one that had answered
    /// [`Taken::Full`].
    fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn);

    /// Settles deliveries: an ACK or a NACK.
    fn settle(&self, settle: Settle, turn: &mut Turn) -> Outcome;

    /// Applies the operations of a transaction, in order
    /// ([`TransactionGuarantee`] says how far they hold together).
    fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome;

    /// The prefix of queues that are there for the replies to one connection, such as `/temp-queue`;
    /// `None` if the broker knows none.
    ///
    /// The server gives each connection that asks for replies to `/temp-queue/prices` a destination
    /// under this prefix that nobody can guess, and sees to it that nobody else subscribes to it. To
    /// the broker it is a queue that is there for as long as it has a consumer. What is sent to it
    /// before or after that is dropped: a late reply must not cost its sender the connection. Of a
    /// broker that knows none a SEND with `reply-to:/temp-queue/…` is refused.
    fn temporary_queues(&self) -> Option<&str> {
        None
    }

    /// What becomes of deliveries to a subscription to `destination` whose client reads too slowly.
    /// It is asked at each SUBSCRIBE, and the answer is kept with the subscription.
    fn slow_consumer(&self, destination: &Destination) -> Arc<SlowConsumer> {
        let _ = destination;
        SlowConsumer::shared_default()
    }

    /// When [`handle_deadline`](Self::handle_deadline) wants to be called next. It is asked again
    /// after that, and whenever the broker calls [`Host::deadline_changed`].
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Does what is due at `turn.now()`.
    fn handle_deadline(&self, turn: &mut Turn) {
        let _ = turn;
    }
}

/// Settles deliveries of one subscription (STOMP 1.2, "ACK" and "NACK").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// Where the messages came from.
    pub destination: Destination,
    /// Whom they were delivered to.
    pub subscriber: SubscriberId,
    /// The [`tag`](crate::session::Delivery::tag)s of the deliveries.
    pub tags: Vec<u64>,
    /// What becomes of them.
    pub settlement: Settlement,
}

#[cfg(doc)]
use crate::session::Delivery;
pub use crate::session::{Settlement, SlowConsumer, SlowConsumerAction};

/// One step of a transaction.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// A SEND.
    Publish(Message),
    /// An ACK or a NACK.
    Settle(Settle),
}
