//! The broker over Redis: what several nodes publish reaches the subscribers of each.

mod asking;
mod consuming;
mod listening;
mod missed;
mod names;
mod node;
mod payload;
mod pushes;
mod queue;
mod queues;
mod request;
mod scripts;
mod sending;
mod stream;
mod stream_id;
mod taking;
mod windows;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use redis::{Client, IntoConnectionInfo, ProtocolVersion, RedisResult};
use tokio::task::JoinHandle;

use super::engine;
use super::url::redacted;
use super::{
    Broker, BrokerError, BrokerOptions, Capabilities, ConnectError, Destination, Host, Message,
    Operation, Outcome, Router, Settle, SlowConsumer, Subscriber, SubscriberId,
    TransactionGuarantee, Turn,
};

use node::Node;
use request::Step;
use stream_id::StreamId;

/// The broker over Redis, 7.0 or later, on a single instance: topics and queues that are the same on
/// every node.
///
/// - `/topic/…`: a message is published on a channel of Redis, and so reaches the subscribers on each
///   node, which has one subscription there for each destination however many subscribe to it. Where a
///   [rule](BrokerOptions::rule) says that the topic keeps its last messages, they are also in a
///   stream: each carries its place there as its token, a subscriber may ask for those
///   [since](super::HistoryRequest) a token or a time, on whichever node, and what a node misses while it
///   cannot reach Redis it reads from there.
/// - A pattern such as `/topic/room/*` can be subscribed to; it has no history.
/// - `/queue/…`: a stream with one group of consumers, in which each node is one. A node takes as many
///   messages as its own consumers have credit for, and a message is gone when it was acknowledged.
///   What is rejected goes back to its old place, before all that no node has, and so does what a
///   consumer leaves unsettled and nobody else on its node has credit for. What a node holds that is
///   gone goes to others within 25 seconds. A message expires as its `expiration` header or its
///   [rule](super::QueuePolicy::expiration) says; whatever else a rule says of queues is an error.
/// - `/temp-queue/…`: a queue for replies ([`Broker::temporary_queues`]), which is a channel.
/// - A publisher is held by no slow consumer, who may be on another node: `slow=hold` closes it.
///
/// An outcome is complete when Redis has answered. SENDs, ACKs and NACKs go there in the order of the
/// calls, in one transaction for all that wait, which also notes how far the node has come: what was
/// done when a connection is lost is not done twice. While Redis cannot be reached they are held, 64 MiB
/// of them at the most: SENDs and transactions for 10 seconds, and then they are refused, as they are if
/// there is no room; messages that a refused transaction was to settle come again. ACKs and NACKs of
/// their own are held until Redis is back; their outcome is complete after 10 seconds, and if there is
/// no room for them, or the node ends before Redis is back, the messages come again. Subscriptions are
/// restored, and consumers keep the messages that they have; the first message of a destination where
/// some may have been lost meanwhile says so
/// ([`Delivery::has_gap`](crate::session::Delivery::has_gap)).
///
/// The names at Redis begin with `stompbox:`. A destination's channel is `stompbox:/topic/room/5`;
/// what another program publishes there is a message with that as its body. A queue's stream is
/// `stompbox:queue:/queue/work`; it is there while the queue has messages or consumers.
pub struct RedisBroker {
    node: Arc<Node>,
    tasks: [JoinHandle<()>; 3],
}

/// A connection is of no use any more.
#[derive(Debug)]
struct Lost;

/// What the engine is called in errors.
const ENGINE: &str = "Redis";

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
        engine::check_rules(&options.rules, &["expiration"], ENGINE)?;
        let node = Arc::new(Node::new(client(url).map_err(failed)?, options));
        let connection = node.connect().await.map_err(failed)?;
        let sending = tokio::spawn(sending::send(Arc::clone(&node), connection));
        let listening = tokio::spawn(listening::listen(Arc::clone(&node)));
        let consuming = tokio::spawn(consuming::consume(Arc::clone(&node)));
        Ok(Self { node, tasks: [sending, listening, consuming] })
    }

    /// The router that messages are delivered through.
    pub fn router(&self) -> &Router {
        &self.node.router
    }

    /// How many destinations and patterns the node listens to at Redis, queues included.
    pub fn upstreams(&self) -> usize {
        let node = &self.node;
        node.rooms.count() + node.globs.count() + node.queues.upstreams.count()
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

/// Without what is on its way, and without the URL, which may hold a password.
impl fmt::Debug for RedisBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBroker").field("router", &self.node.router).finish_non_exhaustive()
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

fn refused(destination: &Destination, reason: &str) -> BrokerError {
    let (destination, reason) = (destination.to_string(), reason.to_owned());
    BrokerError::Refused { destination, reason, engine: ENGINE }
}

impl Broker for RedisBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            queues: true,
            settle: true,
            history: self.node.rules.keep_history(),
            durable: true,
            patterns: true,
            temporary_queues: true,
            transactions: TransactionGuarantee::Atomic,
        }
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.node.router.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
        match self.node.check_message(&message) {
            Ok(()) => self.node.push(vec![Step::Publish(message)], turn.now()),
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
        turn: &mut Turn,
    ) -> Outcome {
        Outcome::ready(self.node.unsubscribe(destination, subscriber, turn))
    }

    fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn) {
        match self.node.queues.get(destination) {
            Some(queue) => {
                queue.consumers.resume(subscriber);
                queue.consumers.dispatch(turn.now());
            }
            None => self.node.router.resume(destination, subscriber, turn),
        }
    }

    /// Complete when Redis has done it. If Redis cannot be reached in time, it is complete when the
    /// broker has taken note: a session waits for Redis no longer, and does not end. Redis is told when
    /// it is back; else the messages come again.
    fn settle(&self, settle: Settle, turn: &mut Turn) -> Outcome {
        match self.node.check(&settle.destination) {
            Ok(_) => self.node.push_settled(self.node.settle(&settle, turn.now()), turn.now()),
            Err(error) => error.into(),
        }
    }

    /// All of it is one transaction of Redis.
    fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
        for operation in &operations {
            let checked = match operation {
                Operation::Publish(message) => self.node.check_message(message),
                Operation::Settle(settle) => self.node.check(&settle.destination).map(|_| ()),
            };
            if let Err(error) = checked {
                return error.into();
            }
        }
        let steps = operations.into_iter().flat_map(|operation| match operation {
            Operation::Publish(message) => vec![Step::Publish(message)],
            Operation::Settle(settle) => self.node.settle(&settle, turn.now()),
        });
        let steps = steps.collect();
        self.node.push(steps, turn.now())
    }

    fn temporary_queues(&self) -> Option<&str> {
        Some(&self.node.prefixes.temporary)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn neither_an_error_nor_a_broker_shows_the_password() {
        // Nobody listens at port 1.
        let url = "redis://login:secret@127.0.0.1:1";
        let error = RedisBroker::connect(url, BrokerOptions::default()).await.unwrap_err();
        let node = Arc::new(Node::new(client(url).unwrap(), BrokerOptions::default()));
        let tasks = [(), (), ()].map(|()| tokio::spawn(async {}));
        let broker = RedisBroker { node, tasks };
        for text in [error.to_string(), format!("{error:?}"), format!("{broker:?}")] {
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[tokio::test]
    async fn what_redis_cannot_do_for_a_queue_is_an_error() {
        let options = BrokerOptions::default();
        let options = options.rule("/queue/a,expiration=1h".parse().unwrap());
        let options = options.rule("/queue/b,dead-letter=/queue/dead".parse().unwrap());
        let refused = RedisBroker::connect("redis://127.0.0.1:1", options).await.unwrap_err();
        assert_eq!(refused.to_string(), "Redis cannot do what dead-letter= says for /queue/b");
    }
}
