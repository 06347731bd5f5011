//! The broker over NATS.

mod address;
mod course;
mod doubt;
mod filling;
mod holding;
mod lane;
mod link;
mod listener;
mod listeners;
mod message;
mod node;
mod queue;
mod reading;
mod stream;
mod streams;
mod subject;
mod task;
mod temporary;

use std::sync::Arc;
use std::time::Instant;

use async_nats::client::RequestErrorKind;
use async_nats::rustls::crypto::ring;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::engine;
use super::prefixes::Kind;
use super::url::redacted;
use super::{
    Broker, BrokerError, BrokerOptions, Capabilities, Capability, ConnectError, Destination,
    HistoryRequest, Host, Message, Operation, Outcome, Router, Settle, SlowConsumer, Subscriber,
    SubscriberId, TransactionGuarantee, Turn,
};
use address::Address;
use course::Reached;
use link::Link;
use node::Node;
use task::Task;

/// The broker over NATS, 2.9 or later: topics of several servers on core NATS; queues, and topics that
/// keep history, on JetStream.
///
/// - A destination is a subject: `/topic/room/5` is `topic.room.5`, so that other programs at NATS
///   take part. What a subject cannot carry (`.`, `*`, `>`, `%`, space, what is not ASCII) is written
///   as `%` and two hexadecimal digits: `/topic/a.b` is `topic.a%2Eb`. The body is the payload, and
///   headers are headers of NATS under their names; one that NATS cannot carry as it is travels
///   escaped in a `Stompbox-Header`.
/// - Patterns are matched by NATS: `*` is `*`, and `**` at the end is `>`. With `**` elsewhere the
///   node listens to everything below, and matches what comes.
/// - However many listen here, the node subscribes once to each destination and to each pattern.
/// - An outcome is complete when the server has the message, or sends what is published from now on.
///   Many share one round trip.
/// - While NATS cannot be reached, what is published waits, at most 64 MiB of it and 10 seconds, and
///   is then [refused](BrokerError::Unavailable); so is a subscription. Messages that others publish
///   meanwhile are lost to this node, unless they are kept: the next one that each subscriber gets says
///   so ([`gap`]). What the node publishes again comes once. What JetStream does not take for the
///   moment, since a leader is elected or there is too little room, waits as well, and nothing else
///   waits for it.
/// - A queue is a subject of a stream, `stompbox-queues`, and has a consumer there, from which each
///   node takes as many messages as its own consumers have credit for. A message is gone when it was
///   acknowledged; a SEND is complete when the stream has it. What a node that is gone had not settled
///   is handed out again within 20 seconds. A message expires as its `expiration` header or its
///   [rule](super::QueuePolicy::expiration) says; whatever else a rule says of queues is an error.
/// - Where a [rule](BrokerOptions::rule) says that a topic keeps its last messages, they are in a stream,
///   `stompbox-topics`: `/topic/room/5` is published on `stompbox-topics.topic.room.5`, from where the
///   stream publishes it on `topic.room.5`, with its place. So every node has the messages in one order
///   and each with the same token; a subscriber may ask for those [since](HistoryRequest) a token or a
///   time, on whichever node, and what a node misses while it cannot reach NATS, or cannot take, it reads
///   from the stream. A SEND is complete when the stream has it.
/// - Whether there is JetStream is asked when the broker connects. Without it queues and history are
///   [refused](BrokerError::Unsupported), and no topic keeps anything, whatever a rule says.
///
/// Messages of other programs are taken as well: the payload is the body. One whose subject is no
/// destination is passed over.
///
/// A login at NATS needs to publish and to subscribe below `_INBOX`, and where its clients do, and for
/// JetStream to publish below `$JS.API`, `$JS.ACK` and `stompbox-topics`. What NATS
/// denies it is [refused](BrokerError::Refused). NATS confirms nothing and its client tells of a denial
/// a moment late, so the first message to such a destination can be taken for sent, and a subscription
/// to it, rarely, for one.
///
/// [`gap`]: crate::session::Delivery::has_gap
///
/// ```no_run
/// # async fn run() -> Result<(), stompbox::broker::ConnectError> {
/// use stompbox::broker::{Broker, BrokerOptions, Capability, NatsBroker};
///
/// let broker = NatsBroker::connect("nats://127.0.0.1:4222", BrokerOptions::default()).await?;
/// assert!(broker.capabilities().supports(Capability::Patterns));
/// # Ok(())
/// # }
/// ```
pub struct NatsBroker {
    node: Arc<Node>,
    runtime: Handle,
    task: AbortHandle,
}

impl NatsBroker {
    /// Connects to NATS: `nats://[login[:password]@]host[:port][,host[:port]…][?prefix=subject]`, or
    /// `tls://…`.
    ///
    /// Several hosts are one cluster. A login without a password is a token. With a `prefix` all
    /// subjects are below it: `/topic/a` is `chat.topic.a` with `?prefix=chat`. With TLS the certificates
    /// of the system are trusted, and ring becomes the provider of cryptography of rustls in this
    /// process, unless there is one already.
    ///
    /// Must be called on tokio's runtime, which goes on to run the broker. The error is that the URL
    /// is not understood, or that no server of it answers within some seconds.
    pub async fn connect(url: &str, options: BrokerOptions) -> Result<Self, ConnectError> {
        let address = Address::parse(url)?;
        engine::check_rules(&options.rules, &["expiration"], node::ENGINE)?;
        if url.starts_with("tls:") {
            // Where there is one already, it serves.
            drop(ring::default_provider().install_default());
        }
        let failed = |source| ConnectError::Engine { url: redacted(url), source };
        let link = Link::connect(&address).await.map_err(failed)?;
        let has_jetstream = has_jetstream(&link).await.map_err(failed)?;
        let node = Arc::new(Node::new(address.subjects.clone(), options, has_jetstream));
        let task = tokio::spawn(Task::new(Arc::clone(&node), address).run(link)).abort_handle();
        Ok(Self { node, runtime: Handle::current(), task })
    }

    /// The router that topics are delivered through. To it a pattern is a destination.
    pub fn router(&self) -> &Router {
        &self.node.router
    }

    /// How many destinations and patterns this node has subscribed to at NATS.
    pub fn upstreams(&self) -> usize {
        self.node.upstreams.count()
    }

    /// How many bytes are on their way to NATS.
    pub fn outgoing_bytes(&self) -> usize {
        self.node.outbox.bytes()
    }

    /// Refuses what is neither a topic nor one queue.
    fn check(&self, destination: &Destination) -> Result<Kind, BrokerError> {
        let unsupported = |capability| Err(BrokerError::unsupported(capability, destination));
        match self.node.prefixes.check(destination)? {
            Kind::Queue if !self.node.has_jetstream => unsupported(Capability::Queues),
            Kind::Queue if destination.is_pattern() => unsupported(Capability::Patterns),
            Kind::Temporary => unsupported(Capability::TemporaryQueues),
            Kind::Queue => stream::check_name(destination).map(|()| Kind::Queue),
            Kind::Topic => Ok(Kind::Topic),
        }
    }

    fn check_history(
        &self,
        destination: &Destination,
        kind: Kind,
        request: &HistoryRequest,
    ) -> Result<(), BrokerError> {
        let unsupported = Err(BrokerError::unsupported(Capability::History, destination));
        match request {
            _ if kind != Kind::Topic || destination.is_pattern() => unsupported,
            _ if !self.node.keeps_history() => unsupported,
            _ if !self.node.keeps(destination) => {
                Err(BrokerError::NoHistory { destination: destination.to_string() })
            }
            HistoryRequest::After(token) if !Reached::is_token(token) => {
                let (token, destination) = (token.to_string(), destination.to_string());
                Err(BrokerError::InvalidToken { token, destination })
            }
            _ => Ok(()),
        }
    }

    fn check_message(&self, message: &Message) -> Result<(), BrokerError> {
        let destination = message.destination();
        if destination.is_pattern() {
            return Err(BrokerError::SentToPattern { destination: destination.to_string() });
        }
        if self.check(destination)? == Kind::Queue {
            message.expiration()?;
        }
        Ok(())
    }

    fn send(&self, message: Message, now: Instant) -> Outcome {
        let bytes = message.shared().size();
        self.node.outbox.push(message, bytes, now)
    }
}

impl Broker for NatsBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            queues: self.node.has_jetstream,
            settle: self.node.has_jetstream,
            durable: self.node.has_jetstream,
            history: self.node.keeps_history(),
            patterns: true,
            transactions: TransactionGuarantee::AtLeastOnce,
            ..Capabilities::default()
        }
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.node.router.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
        match self.check_message(&message) {
            Ok(()) => self.send(message, turn.now()),
            Err(error) => error.into(),
        }
    }

    fn subscribe(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Outcome {
        let kind = match self.check(destination) {
            Ok(kind) => kind,
            Err(error) => return error.into(),
        };
        if subscriber.durable && kind == Kind::Topic {
            return BrokerError::unsupported(Capability::Durable, destination).into();
        }
        if let Some(request) = &subscriber.history
            && let Err(error) = self.check_history(destination, kind, request)
        {
            return error.into();
        }
        match kind {
            Kind::Topic => self.node.subscribe(destination, subscriber, turn),
            Kind::Queue | Kind::Temporary => {
                self.node.join(destination, subscriber.clone());
                self.node.upstreams.join(destination, &subscriber)
            }
        }
    }

    fn unsubscribe(
        &self,
        destination: &Destination,
        subscriber: SubscriberId,
        _turn: &mut Turn,
    ) -> Outcome {
        let kind = match self.check(destination) {
            Ok(kind) => kind,
            Err(error) => return error.into(),
        };
        match kind {
            Kind::Topic => self.node.unsubscribe(destination, subscriber),
            Kind::Queue | Kind::Temporary => {
                if let Some(queue) = self.node.queue(destination) {
                    queue.consumers.leave(subscriber);
                }
                if self.node.upstreams.leave(destination, subscriber) {
                    self.node.forget_if_empty(destination);
                }
            }
        }
        Outcome::done()
    }

    fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn) {
        match self.node.queue(destination) {
            Some(queue) => {
                queue.consumers.resume(subscriber);
                queue.consumers.dispatch(turn.now());
            }
            None => self.node.router.resume(destination, subscriber, turn),
        }
    }

    /// JetStream is told at once, and confirms nothing: if that is lost, the message comes again.
    fn settle(&self, settle: Settle, _turn: &mut Turn) -> Outcome {
        self.node.settle(&settle);
        Outcome::done()
    }

    /// All SENDs are looked at before the first of them is published. Messages are settled when NATS
    /// has all that was sent; if it does not get all of it, they stay unsettled.
    fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
        let (mut messages, mut settles) = (Vec::new(), Vec::new());
        for operation in operations {
            match operation {
                Operation::Publish(message) => {
                    if let Err(error) = self.check_message(&message) {
                        return error.into();
                    }
                    messages.push(message);
                }
                Operation::Settle(settle) => settles.push(settle),
            }
        }
        let sent = messages.into_iter().map(|message| self.send(message, turn.now()));
        let node = Arc::clone(&self.node);
        engine::settle_after(&self.runtime, Outcome::all(sent), move || {
            for settle in &settles {
                node.settle(settle);
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

/// How often JetStream is asked whether it is there: it may have much to do, or begin itself.
const ATTEMPTS: usize = 5;

/// Whether NATS has JetStream for this login.
async fn has_jetstream(link: &Link) -> Result<bool, async_nats::Error> {
    let mut more = 1..ATTEMPTS;
    loop {
        match streams::are_there(&link.client).await {
            // It does not answer to who may not ask.
            Err(_) if !link.denied().is_empty() => return Ok(false),
            Err(error) if error.kind() == RequestErrorKind::TimedOut && more.next().is_some() => {}
            answer => return Ok(answer?),
        }
    }
}

impl Drop for NatsBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for NatsBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsBroker").field("router", &self.node.router).finish_non_exhaustive()
    }
}
