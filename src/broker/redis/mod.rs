//! The broker over Redis: what several nodes publish reaches the subscribers of each.

mod asking;
mod listening;
mod missed;
mod names;
mod payload;
mod pushes;
mod sending;
mod stream;
mod stream_id;
mod windows;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, RedisResult};
use tokio::task::JoinHandle;

use super::engine::{self, Outbox, OutboxLimits, Upstreams};
use super::prefixes::{Kind, Prefixes};
use super::url::redacted;
use super::{
    Broker, BrokerError, BrokerOptions, Capabilities, Capability, ConnectError, Destination,
    DestinationRules, HistoryRequest, Host, Message, Operation, Outcome, Router, Settle,
    SlowConsumer, Subscriber, SubscriberId, TransactionGuarantee, Turn,
};

use names::Glob;
use sending::Request;
use stream_id::StreamId;
use windows::Windows;

/// The broker over Redis, 7.0 or later, on a single instance: topics that are the same on every node.
///
/// - `/topic/…`: a message is published on a channel of Redis, and so reaches the subscribers on each
///   node, which has one subscription there for each destination however many subscribe to it. Where a
///   [rule](BrokerOptions::rule) says that the topic keeps its last messages, they are also in a
///   stream: each carries its place there as its token, a subscriber may ask for those
///   [since](HistoryRequest) a token or a time, on whichever node, and what a node misses while it
///   cannot reach Redis it reads from there.
/// - A pattern such as `/topic/room/*` can be subscribed to; it has no history.
/// - Queues are refused.
/// - A publisher is held by no slow consumer, who may be on another node: `slow=hold` closes it.
///
/// An outcome is complete when Redis has answered. SENDs go there in the order of the calls, in one
/// transaction for all that wait, which also notes how far the node has come: what was done when a
/// connection is lost is not done twice. While Redis cannot be reached SENDs are held for 10 seconds,
/// 64 MiB of them at the most, and then refused. Subscriptions are restored; the first message of a
/// destination where some may have been lost meanwhile says so
/// ([`Delivery::has_gap`](crate::session::Delivery::has_gap)).
///
/// The names at Redis begin with `stompbox:`. A destination's channel is `stompbox:/topic/room/5`;
/// what another program publishes there is a message with that as its body.
#[derive(Debug)]
pub struct RedisBroker {
    node: Arc<Node>,
    tasks: [JoinHandle<()>; 2],
}

/// What the tasks of a broker and those who call it share.
#[derive(Debug)]
struct Node {
    /// A number that no other node has.
    number: u64,
    client: Client,
    prefixes: Prefixes,
    rules: Arc<DestinationRules>,
    router: Router,
    outbox: Outbox<Request>,
    /// The destinations that are listened to.
    rooms: Upstreams,
    /// The globs that are listened to.
    globs: Upstreams,
    windows: Windows,
    publish_script: String,
}

/// A connection is of no use any more.
#[derive(Debug)]
struct Lost;

/// What the engine is called in errors.
const ENGINE: &str = "Redis";

/// How long Redis may take to answer before the connection counts as lost.
const ANSWER: Duration = Duration::from_secs(5);

impl RedisBroker {
    /// Connects to the Redis that a URL names:
    /// `redis://[login[:password]@]host[:port][/database]`, or `rediss://…` with TLS, for which the
    /// certificates of the system are trusted.
    ///
    /// With TLS, ring becomes the provider of cryptography of rustls in this process, unless there is
    /// one already.
    pub async fn connect(url: &str, options: BrokerOptions) -> Result<Self, ConnectError> {
        if url.starts_with("rediss:") {
            // Where there is one already, it serves.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let failed = |error: redis::RedisError| ConnectError::Engine {
            url: redacted(url),
            source: error.to_string().into(),
        };
        let node = Arc::new(Node::new(client(url).map_err(failed)?, options));
        let connection = node.connect().await.map_err(failed)?;
        let sending = tokio::spawn(sending::send(Arc::clone(&node), connection));
        let listening = tokio::spawn(listening::listen(Arc::clone(&node)));
        Ok(Self { node, tasks: [sending, listening] })
    }

    /// The router that messages are delivered through.
    pub fn router(&self) -> &Router {
        &self.node.router
    }

    /// How many destinations and patterns the node listens to at Redis.
    pub fn upstreams(&self) -> usize {
        self.node.rooms.count() + self.node.globs.count()
    }

    /// How many bytes are on their way to Redis.
    pub fn outgoing_bytes(&self) -> usize {
        self.node.outbox.bytes()
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl From<redis::RedisError> for Lost {
    fn from(_: redis::RedisError) -> Self {
        Self
    }
}

fn client(url: &str) -> RedisResult<Client> {
    let info = url.into_connection_info()?;
    // Messages come beside answers, on one connection.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_redis_settings(settings))
}

impl Node {
    fn new(client: Client, options: BrokerOptions) -> Self {
        let BrokerOptions { prefixes, rules, history_bytes } = options;
        let rules = Arc::new(rules);
        Self {
            number: RandomState::new().hash_one(0),
            client,
            prefixes,
            router: Router::window(Arc::clone(&rules), history_bytes),
            rules,
            outbox: Outbox::new(ENGINE, OutboxLimits::default()),
            rooms: Upstreams::default(),
            globs: Upstreams::default(),
            windows: Windows::default(),
            publish_script: redis::Script::new(sending::PUBLISH_SCRIPT).get_hash().to_owned(),
        }
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        self.connect_with(AsyncConnectionConfig::new()).await
    }

    async fn connect_with(
        &self,
        config: AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let config = config.set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Refuses what is no topic.
    fn check(&self, destination: &Destination) -> Result<(), BrokerError> {
        match self.prefixes.check(destination)? {
            Kind::Topic => Ok(()),
            Kind::Queue | Kind::Temporary => {
                Err(BrokerError::unsupported(Capability::Queues, destination))
            }
        }
    }

    fn check_message(&self, message: &Message) -> Result<(), BrokerError> {
        let destination = message.destination();
        if destination.is_pattern() {
            return Err(BrokerError::SentToPattern { destination: destination.to_string() });
        }
        self.check(destination)
    }

    fn check_history(
        &self,
        destination: &Destination,
        request: Option<&HistoryRequest>,
    ) -> Result<(), BrokerError> {
        let Some(request) = request else { return Ok(()) };
        if destination.is_pattern() {
            return Err(BrokerError::unsupported(Capability::History, destination));
        }
        if !self.keeps_history(destination) {
            return Err(BrokerError::NoHistory { destination: destination.to_string() });
        }
        match request {
            HistoryRequest::After(token) if token.parse::<StreamId>().is_err() => {
                let (token, destination) = (token.to_string(), destination.to_string());
                Err(BrokerError::InvalidToken { token, destination })
            }
            _ => Ok(()),
        }
    }

    /// Whether the messages of a destination are kept in a stream.
    fn keeps_history(&self, destination: &Destination) -> bool {
        !self.rules.policy(destination).retention.is_none()
    }

    fn push(&self, messages: Arc<[Message]>, now: Instant) -> Outcome {
        let request = Request(messages);
        let bytes = request.bytes();
        self.outbox.push(request, bytes, now)
    }

    fn subscribe(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Result<Outcome, BrokerError> {
        self.check(destination)?;
        self.check_history(destination, subscriber.history.as_ref())?;
        let glob =
            destination.is_pattern().then(|| Glob::of(destination).upstream()).transpose()?;
        if let Some(glob) = glob {
            let outcome = self.globs.join(&glob, &subscriber);
            self.router.subscribe(destination, subscriber, turn);
            return Ok(outcome);
        }
        if subscriber.history.is_some() {
            // While Redis has not confirmed, it is not known what this node will have missed.
            let confirmed = self.rooms.join(destination, &subscriber).take_ready().is_some();
            return Ok(self.windows.join(destination, subscriber, confirmed, &self.router, turn));
        }
        let outcome = self.rooms.join(destination, &subscriber);
        self.router.subscribe(destination, subscriber, turn);
        Ok(outcome)
    }

    fn unsubscribe(
        &self,
        destination: &Destination,
        subscriber: SubscriberId,
    ) -> Result<(), BrokerError> {
        self.check(destination)?;
        if destination.is_pattern() {
            self.router.unsubscribe(destination, subscriber);
            self.globs.leave(&Glob::of(destination).upstream()?, subscriber);
        } else {
            self.windows.leave(destination, subscriber);
            self.router.unsubscribe(destination, subscriber);
            self.rooms.leave(destination, subscriber);
        }
        Ok(())
    }

    /// Redis refuses a subscription to a destination.
    fn refuse_room(&self, room: &Destination, reason: &str) {
        let error = refused(room, reason);
        self.windows.refuse(room, &error);
        self.rooms.refused(room, &error);
    }

    /// Redis refuses a subscription to a glob.
    fn refuse_glob(&self, upstream: &Destination, reason: &str) {
        self.globs.refused(upstream, &refused(upstream, reason));
    }
}

fn refused(destination: &Destination, reason: &str) -> BrokerError {
    let (destination, reason) = (destination.to_string(), reason.to_owned());
    BrokerError::Refused { destination, reason, engine: ENGINE }
}

impl Broker for RedisBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            patterns: true,
            history: self.node.rules.keep_history(),
            durable: self.node.rules.keep_history(),
            transactions: TransactionGuarantee::Atomic,
            ..Capabilities::default()
        }
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.node.router.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
        match self.node.check_message(&message) {
            Ok(()) => self.node.push([message].into(), turn.now()),
            Err(error) => error.into(),
        }
    }

    fn subscribe(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Outcome {
        self.node.subscribe(destination, subscriber, turn).unwrap_or_else(Outcome::from)
    }

    fn unsubscribe(
        &self,
        destination: &Destination,
        subscriber: SubscriberId,
        _: &mut Turn,
    ) -> Outcome {
        Outcome::ready(self.node.unsubscribe(destination, subscriber))
    }

    fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn) {
        self.node.router.resume(destination, subscriber, turn);
    }

    /// What comes from a topic is settled as soon as it is delivered.
    fn settle(&self, settle: Settle, _: &mut Turn) -> Outcome {
        Outcome::ready(self.node.check(&settle.destination))
    }

    /// All of it is one transaction of Redis.
    fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
        let mut messages = Vec::with_capacity(operations.len());
        for operation in operations {
            let checked = match &operation {
                Operation::Publish(message) => self.node.check_message(message),
                Operation::Settle(settle) => self.node.check(&settle.destination),
            };
            match (checked, operation) {
                (Err(error), _) => return error.into(),
                (Ok(()), Operation::Publish(message)) => messages.push(message),
                (Ok(()), Operation::Settle(_)) => {}
            }
        }
        self.node.push(messages.into(), turn.now())
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
