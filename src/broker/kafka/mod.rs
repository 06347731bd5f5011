//! The broker over Kafka.

mod address;
mod asking;
mod builder;
mod consuming;
mod coordinator;
mod ending;
mod held;
mod keeping;
mod ledger;
mod making;
mod mapping;
mod message;
mod node;
mod opening;
mod partitioner;
mod place;
mod producing;
mod progress;
mod queue;
mod queue_topics;
mod queues;
mod reading;
mod replay;
mod waiting;
mod watching;

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::engine;
use super::prefixes::Kind;
use super::{
    Broker, BrokerError, BrokerOptions, Capabilities, Capability, ConnectError, Destination,
    HistoryRequest, Host, Message, Operation, Outcome, Router, Settle, SlowConsumer, Subscriber,
    SubscriberId, TransactionGuarantee, Turn,
};
pub use builder::KafkaBrokerBuilder;
use node::Node;
use producing::Producing;
use progress::Until;
use queue_topics::QueueTopics;

/// What the engine is called in errors.
const ENGINE: &str = "Kafka";

/// The broker over Kafka: topics of several servers.
///
/// - Rooms are keys, not topics: `/topic/room/5` is the key of records of one topic of Kafka,
///   `stompbox`, unless a rule says where else they are. So data that is in Kafka already is there to
///   subscribe. Headers are record headers, the body is the value.
/// - Every node reads all partitions, without a group, from the end on, and so has patterns at no cost.
/// - An outcome of a SEND is complete when Kafka has the message (`acks=all`). What is sent waits while
///   Kafka cannot be reached, 64 MiB of it and 10 seconds at the most, and is then
///   [refused](BrokerError::Unavailable); it may be done all the same within two minutes. It is sent again
///   in order and comes once (the idempotent producer).
/// - Where a [rule](BrokerOptions::rule) says that a topic keeps its last messages, each node has them,
///   and finds them at its start in the last records of each partition. What a subscriber asks for
///   beyond that is read from Kafka, within bounds. The token of a message is its partition and offset:
///   it counts at every node.
/// - A queue is a topic of its own, and all nodes are one group: a partition is consumed by one node at
///   a time. What one client sends to a queue is in one partition, and keeps its order. An offset is
///   committed when everything before it is settled. A NACK requeues in the node. What was not settled
///   when a partition comes to another node is delivered there, and marked if it may have been
///   delivered before.
/// - A publisher is held by no slow consumer, who may be on another node: `slow=hold` closes it.
///
/// ```no_run
/// # async fn run() -> Result<(), stompbox::broker::ConnectError> {
/// use stompbox::broker::{Broker, BrokerOptions, Capability, KafkaBroker};
///
/// let broker = KafkaBroker::connect("kafka://127.0.0.1:9092", BrokerOptions::default()).await?;
/// assert!(broker.capabilities().supports(Capability::Patterns));
/// # Ok(())
/// # }
/// ```
pub struct KafkaBroker {
    node: Arc<Node>,
    runtime: Handle,
    tasks: Vec<AbortHandle>,
}

impl KafkaBroker {
    /// Connects to Kafka: `kafka://[login:password@]host[:port][,host[:port]…][?setting&…]`.
    ///
    /// Several hosts are servers of one cluster. The login is for SASL PLAIN; there is no TLS, since
    /// librdkafka is built without it. The settings:
    ///
    /// | setting | what it says | default |
    /// | --- | --- | --- |
    /// | `topic=NAME` | where the destinations are that no rule names; it is made if it is not there | `stompbox` |
    /// | `partitions=N` | how many partitions a topic has that is made here | 8 |
    /// | `map=/topic/orders/{key}:orders` | `/topic/orders/17` is the key `17` in the topic `orders`; may be repeated | |
    /// | `map=/queue/mail:outgoing.mail` | `/queue/mail` is the topic `outgoing.mail` | `stompbox-queue-mail` |
    /// | `map=/topic/news:news` | each record of the topic `news`, whatever its key; there is no history, since records of several partitions have no order | |
    /// | `tail=N` | how many records of each partition are looked through for history at the start | 10,000 |
    ///
    /// Must be called on tokio's runtime, which goes on to run the broker. The error is that the URL
    /// is not understood, or that Kafka does not answer within some seconds.
    pub async fn connect(url: &str, options: BrokerOptions) -> Result<Self, ConnectError> {
        Self::builder(url).options(options).connect().await
    }

    /// Begins with the URL of [`connect`](Self::connect), for what that cannot say.
    pub fn builder(url: impl Into<String>) -> KafkaBrokerBuilder {
        KafkaBrokerBuilder::new(url.into())
    }

    /// The router that topics are delivered through.
    pub fn router(&self) -> &Router {
        &self.node.router
    }

    /// How many partitions this node reads.
    pub fn partitions(&self) -> usize {
        self.node.progress.count()
    }

    /// How many messages are on their way to Kafka.
    pub fn outgoing(&self) -> usize {
        self.node.producing.on_their_way()
    }

    /// Refuses what is neither a topic nor one queue.
    fn check(&self, destination: &Destination) -> Result<Kind, BrokerError> {
        let unsupported = |capability| Err(BrokerError::unsupported(capability, destination));
        match self.node.mapping.prefixes().check(destination)? {
            Kind::Queue if destination.is_pattern() => unsupported(Capability::Patterns),
            Kind::Temporary => unsupported(Capability::TemporaryQueues),
            kind => Ok(kind),
        }
    }

    /// Refuses what cannot be sent. Returns the topic of Kafka that the message's queue is, unless it
    /// is sent to a topic.
    fn check_message(&self, message: &Message) -> Result<Option<String>, BrokerError> {
        let destination = message.destination();
        if destination.is_pattern() {
            return Err(BrokerError::SentToPattern { destination: destination.to_string() });
        }
        Producing::check_size(message)?;
        match self.check(destination)? {
            Kind::Queue => self.node.mapping.queue(destination).map(Some),
            Kind::Topic | Kind::Temporary => Ok(None),
        }
    }

    fn send(&self, message: &Message, queue: Option<String>, publisher: Option<u64>) -> Outcome {
        let node = &self.node;
        if let Some(topic) = queue {
            let key = node.queue_key(publisher);
            return QueueTopics::send(node, &self.runtime, message, &topic, key);
        }
        let address = node.mapping.address(message.destination());
        node.producing.send(message, address.topic, Some(address.key))
    }

    /// Adds a consumer of a queue.
    fn consume(&self, queue: &Destination, subscriber: Subscriber) -> Outcome {
        if subscriber.history.is_some() {
            return BrokerError::NoHistory { destination: queue.to_string() }.into();
        }
        match self.node.mapping.queue(queue) {
            Ok(topic) => {
                self.node.queues.join(queue, &topic, subscriber);
                QueueTopics::when_there(&self.node, &self.runtime, queue, &topic)
            }
            Err(error) => error.into(),
        }
    }

    /// Adds a subscriber of a topic or a pattern.
    fn listen(&self, to: &Destination, subscriber: Subscriber, turn: &mut Turn) -> Outcome {
        let node = &self.node;
        if subscriber.durable {
            return BrokerError::unsupported(Capability::Durable, to).into();
        }
        if let Err(error) = node.check_seen(to) {
            return error.into();
        }
        // Nothing of what was before is asked for.
        let live_only = matches!(subscriber.history, Some(HistoryRequest::Last(0)));
        let subscriber = if live_only { subscriber.with_history(None) } else { subscriber };
        if let Some(request) = &subscriber.history {
            if let Err(error) = node.check_history(to, request) {
                return error.into();
            }
            let (number, outcome) = node.progress.hold(to, subscriber, turn.now());
            // The task that hears it is there for as long as the broker is.
            _ = node.asked.send(number);
            return outcome;
        }
        let address = node.mapping.address(to);
        let until = if to.is_pattern() || address.whole_topic {
            Until::Start
        } else {
            Until::Confirmed { topic: address.topic, partition: node.partition(&address) }
        };
        match node.progress.join(until, to, subscriber, turn.now()) {
            Ok(subscriber) => {
                node.router.subscribe(to, subscriber, turn);
                Outcome::done()
            }
            Err(outcome) => outcome,
        }
    }
}

impl Broker for KafkaBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            queues: true,
            settle: true,
            durable: true,
            patterns: true,
            history: self.node.rules.keep_history(),
            transactions: TransactionGuarantee::AtLeastOnce,
            ..Capabilities::default()
        }
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.node.router.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
        match self.check_message(&message) {
            Ok(queue) => self.send(&message, queue, turn.publisher()),
            Err(error) => error.into(),
        }
    }

    fn subscribe(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Outcome {
        match self.check(destination) {
            Ok(Kind::Topic) => self.listen(destination, subscriber, turn),
            Ok(Kind::Queue | Kind::Temporary) => self.consume(destination, subscriber),
            Err(error) => error.into(),
        }
    }

    fn unsubscribe(
        &self,
        destination: &Destination,
        subscriber: SubscriberId,
        _turn: &mut Turn,
    ) -> Outcome {
        match self.check(destination) {
            Ok(Kind::Topic) => {
                self.node.progress.leave(destination, subscriber);
                self.node.router.unsubscribe(destination, subscriber);
            }
            Ok(Kind::Queue | Kind::Temporary) => self.node.queues.leave(destination, subscriber),
            Err(error) => return error.into(),
        }
        Outcome::done()
    }

    fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn) {
        if !self.node.queues.resume(destination, subscriber, turn.now()) {
            self.node.router.resume(destination, subscriber, turn);
        }
    }

    /// It is committed within a tenth of a second. If that is lost, the message comes again.
    fn settle(&self, settle: Settle, turn: &mut Turn) -> Outcome {
        self.node.queues.settle(&settle, turn.now());
        Outcome::ready(self.check(&settle.destination).map(|_| ()))
    }

    /// All SENDs are looked at before the first of them is published. Messages are settled when Kafka
    /// has all that was sent; if it does not get all of it, they stay unsettled.
    fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
        let (mut messages, mut settles) = (Vec::new(), Vec::new());
        for operation in operations {
            match operation {
                Operation::Publish(message) => match self.check_message(&message) {
                    Ok(queue) => messages.push((message, queue)),
                    Err(error) => return error.into(),
                },
                Operation::Settle(settle) => settles.push(settle),
            }
        }
        let publisher = turn.publisher();
        let sent = messages.into_iter();
        let sent = sent.map(|(message, queue)| self.send(&message, queue, publisher));
        let node = Arc::clone(&self.node);
        engine::settle_after(&self.runtime, Outcome::all(sent), move || {
            for settle in &settles {
                node.queues.settle(settle, Instant::now());
            }
        })
    }

    fn slow_consumer(&self, destination: &Destination) -> Arc<SlowConsumer> {
        engine::slow_consumer(self.node.rules.policy(destination))
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.node.router.next_deadline()
    }

    fn handle_deadline(&self, turn: &mut Turn) {
        self.node.router.handle_deadline(turn.now());
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl std::fmt::Debug for KafkaBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaBroker").field("router", &self.node.router).finish_non_exhaustive()
    }
}
