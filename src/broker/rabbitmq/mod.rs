//! The broker over RabbitMQ.

mod address;
mod connection;
mod declaring;
mod exchanges;
mod gaps;
mod granted;
mod private_queue;
mod properties;
mod publishing;
mod queues;
mod returned;
mod shared;
mod sharing;
mod suspicion;
mod topics;
mod unconfirmed;

use std::sync::Arc;
use std::time::Instant;

use lapin::uri::AMQPUri;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::engine;
use super::url::redacted;
use super::{
    Broker, BrokerError, BrokerOptions, Capabilities, Capability, ConnectError, Destination, Host,
    Message, Operation, Outcome, Settle, SlowConsumer, Subscriber, SubscriberId,
    TransactionGuarantee, Turn,
};

use address::{Address, ENGINE, TEMPORARY};
use shared::{Sending, Shared};

/// The broker over RabbitMQ: topics, queues and exchanges where RabbitMQ's own STOMP plugin has them,
/// so that its clients and those of this crate meet.
///
/// | destination | at RabbitMQ |
/// | --- | --- |
/// | `/topic/room/5` | the routing key `room.5` of `amq.topic`; the plugin's clients call it `/topic/room.5`. A dot in a segment is `%2E` there, and `%2F` in it a `/`. `*` and `**` (or `#`) are the wildcards of RabbitMQ |
/// | `/queue/work` | the durable queue `work`, which is made if it is not there; `/queue/a/b` is what the plugin's clients call `/queue/a%2Fb` |
/// | `/amq/queue/work` | a queue that is there, whatever its kind |
/// | `/exchange/logs/error` | the routing key `error` of the exchange `logs`, which must be there. A subscription is a queue of the node's own that is bound to it by that key, which may be a pattern if the exchange knows any, as `/exchange/logs/#` |
/// | `/temp-queue/…` | a queue for the replies to one client, exclusive to its node. In the `reply-to` of a message other clients see the queue's name; whoever answers there reaches it |
/// | `/reply-queue/…` | what the `reply-to` of a message names; to be sent to only |
///
/// Headers are mapped as the plugin does it: `content-type`, `content-encoding`, `priority`,
/// `persistent`, `expiration`, `reply-to`, `correlation-id`, `amqp-message-id`, `timestamp`, `type` and
/// `app-id` to the property of that name, all others to the table of headers. A message on a queue is
/// persistent unless it says `persistent:false`.
///
/// A node has one connection over which all that it publishes goes in its order, and one for all else:
/// a RabbitMQ without memory takes nothing from who publishes, ACKs neither. The outcome of
/// `publish` is complete when RabbitMQ has confirmed the message. While RabbitMQ cannot be reached,
/// messages wait for 10 s and then are refused; subscribers stay, and the first message of each topic
/// after that says that there may be a gap, unless only the connection to publish was lost. What may
/// have been sent twice is marked as redelivered.
///
/// There is no history. COMMIT sends its messages in order and acknowledges when all of them are
/// confirmed.
pub struct RabbitMqBroker {
    shared: Arc<Shared>,
    runtime: Handle,
    task: AbortHandle,
}

impl RabbitMqBroker {
    /// Connects to `amqp://login:password@host:port/virtual-host`. Without a virtual host, and
    /// without the `/`, it is RabbitMQ's default one. With `amqps://…` it is over TLS: RabbitMQ's
    /// certificate must be for that host, and of an authority that the system trusts, or one in the
    /// file that the environment variable `SSL_CERT_FILE` names.
    ///
    /// Of the options the rules count where they say what becomes of slow consumers; how a queue
    /// treats its messages is a policy of RabbitMQ, and a rule that says it is an error, as is a further
    /// prefix.
    ///
    /// Needs tokio's runtime, which also runs what keeps the connection.
    pub async fn connect(url: &str, options: BrokerOptions) -> Result<Self, ConnectError> {
        let uri = parse(url)?;
        if !options.prefixes.are_default() {
            let reason = "RabbitMQ has prefixes of its own, and no others can be added";
            return Err(ConnectError::Engine { url: redacted(url), source: reason.into() });
        }
        engine::check_rules(&options.rules, &[], ENGINE)?;
        let rules = Arc::new(options.rules);
        let shared = Arc::new(Shared::new(uri, rules));
        let connected = connection::connect(&shared).await;
        let connection = connected
            .map_err(|error| ConnectError::Engine { url: redacted(url), source: error.into() })?;
        let runtime = Handle::current();
        let running = connection::run(Arc::clone(&shared), connection);
        let task = runtime.spawn(running).abort_handle();
        Ok(Self { shared, runtime, task })
    }

    /// How many destinations and patterns this node listens to at RabbitMQ, or is about to, however
    /// many subscribers each has here.
    pub fn upstreams(&self) -> usize {
        let Shared { topics, exchanges, queues, .. } = &*self.shared;
        topics.upstreams.count() + exchanges.upstreams.count() + queues.count()
    }

    /// How many bytes of messages RabbitMQ has not confirmed yet, overhead included.
    pub fn outgoing_bytes(&self) -> usize {
        self.shared.outbox.bytes()
    }

    fn sending(message: Message) -> Result<Sending, BrokerError> {
        let destination = message.destination().clone();
        if destination.is_pattern() {
            return Err(BrokerError::SentToPattern { destination: destination.to_string() });
        }
        let address = Address::of(&destination)?;
        Ok(Sending { destination, address, message: message.into_shared() })
    }

    fn send(&self, sending: Sending, now: Instant) -> Outcome {
        let bytes = sending.message.size();
        self.shared.outbox.push(sending, bytes, now)
    }

    /// What can be subscribed to is a topic, an exchange or a queue.
    fn check(destination: &Destination, subscriber: &Subscriber) -> Result<Kind, BrokerError> {
        let unsupported = |capability| Err(BrokerError::unsupported(capability, destination));
        if subscriber.history.is_some() {
            return unsupported(Capability::History);
        }
        let address = Address::of(destination)?;
        // The queue of the topics, of an exchange and of replies is gone with the node's connection.
        let stays = matches!(address, Address::Queue(_) | Address::ExistingQueue(_));
        match kind_of(&address, destination)? {
            _ if subscriber.durable && !stays => unsupported(Capability::Durable),
            Kind::Queue if destination.is_pattern() => unsupported(Capability::Patterns),
            kind => Ok(kind),
        }
    }
}

/// What is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Topic,
    Exchange,
    Queue,
}

fn kind(destination: &Destination) -> Result<Kind, BrokerError> {
    kind_of(&Address::of(destination)?, destination)
}

fn kind_of(address: &Address, destination: &Destination) -> Result<Kind, BrokerError> {
    match address {
        Address::Topic(_) => Ok(Kind::Topic),
        Address::Queue(_) | Address::ExistingQueue(_) | Address::Temporary(_) => Ok(Kind::Queue),
        Address::Exchange(..) => Ok(Kind::Exchange),
        Address::ReplyQueue(_) => Err(BrokerError::UnknownDestination {
            destination: destination.to_string(),
            known: "/topic/<key>, /queue/<name>, /amq/queue/<name> and /exchange/<name>/<key> to \
                    subscribe to"
                .to_owned(),
        }),
    }
}

fn parse(url: &str) -> Result<AMQPUri, ConnectError> {
    let parsed = url.parse::<AMQPUri>();
    // Its reason may show the URL.
    let mut uri = parsed.map_err(|_| ConnectError::InvalidUrl {
        url: redacted(url),
        reason: "it is not of the form amqp://login:password@host:port/virtual-host".to_owned(),
    })?;
    let seconds = u16::try_from(connection::HEART_BEAT.as_secs()).unwrap_or(u16::MAX);
    uri.query.heartbeat.get_or_insert(seconds);
    Ok(uri)
}

impl Broker for RabbitMqBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            queues: true,
            settle: true,
            durable: true,
            patterns: true,
            temporary_queues: true,
            transactions: TransactionGuarantee::AtLeastOnce,
            ..Capabilities::default()
        }
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.shared.exchanges.router.attach(Arc::clone(&host));
        self.shared.topics.router.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
        match Self::sending(message) {
            Ok(sending) => self.send(sending, turn.now()),
            Err(error) => error.into(),
        }
    }

    fn subscribe(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Outcome {
        let shared = &self.shared;
        match Self::check(destination, &subscriber) {
            Err(error) => error.into(),
            Ok(Kind::Topic) => shared.topics.join(destination, subscriber, turn),
            Ok(Kind::Exchange) => shared.exchanges.join(destination, subscriber, turn),
            Ok(Kind::Queue) => {
                let consumers = shared.join(destination, subscriber.clone());
                // What another one has just left unsettled is here still.
                consumers.dispatch(turn.now());
                shared.queues.join(destination, &subscriber)
            }
        }
    }

    fn unsubscribe(
        &self,
        destination: &Destination,
        subscriber: SubscriberId,
        turn: &mut Turn,
    ) -> Outcome {
        let shared = &self.shared;
        match kind(destination) {
            Err(error) => return error.into(),
            Ok(Kind::Topic) => shared.topics.leave(destination, subscriber),
            Ok(Kind::Exchange) => shared.exchanges.leave(destination, subscriber),
            Ok(Kind::Queue) => {
                if let Some(consumers) = shared.consumers(destination) {
                    consumers.leave(subscriber);
                    consumers.dispatch(turn.now());
                }
                if shared.queues.leave(destination, subscriber) {
                    shared.forget_if_empty(destination);
                }
            }
        }
        Outcome::done()
    }

    fn resume(&self, destination: &Destination, subscriber: SubscriberId, turn: &mut Turn) {
        let shared = &self.shared;
        match kind(destination) {
            Ok(Kind::Topic) => shared.topics.router.resume(destination, subscriber, turn),
            Ok(Kind::Exchange) => shared.exchanges.router.resume(destination, subscriber, turn),
            Ok(Kind::Queue) => {
                if let Some(consumers) = shared.consumers(destination) {
                    consumers.resume(subscriber);
                    consumers.dispatch(turn.now());
                }
            }
            // It has no subscribers.
            Err(_) => {}
        }
    }

    /// Complete at once: an acknowledgement that is lost with the connection has the message come
    /// again.
    fn settle(&self, settle: Settle, turn: &mut Turn) -> Outcome {
        self.shared.settle(&settle, turn.now());
        Outcome::done()
    }

    fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
        let (mut sendings, mut settles) = (Vec::new(), Vec::new());
        for operation in operations {
            match operation {
                Operation::Settle(settle) => settles.push(settle),
                Operation::Publish(message) => match Self::sending(message) {
                    Ok(sending) => sendings.push(sending),
                    Err(error) => return error.into(),
                },
            }
        }
        let now = turn.now();
        let sent = sendings.into_iter().map(|sending| self.send(sending, now));
        let shared = Arc::clone(&self.shared);
        engine::settle_after(&self.runtime, Outcome::all(sent), move || {
            for settle in &settles {
                shared.settle(settle, Instant::now());
            }
        })
    }

    fn temporary_queues(&self) -> Option<&str> {
        Some(TEMPORARY)
    }

    fn slow_consumer(&self, destination: &Destination) -> Arc<SlowConsumer> {
        engine::slow_consumer(self.shared.rules.policy(destination))
    }
}

impl Drop for RabbitMqBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for RabbitMqBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RabbitMqBroker")
            .field("topics", &self.shared.topics.router)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Outlet, Taken};
    use crate::session::{Delivery, SubscriptionKey};

    #[test]
    fn a_url_names_the_virtual_host_and_may_set_the_heart_beat() {
        let uri = parse("amqp://login:secret@host").unwrap();
        assert_eq!((&*uri.vhost, uri.authority.port, uri.query.heartbeat), ("/", 5672, Some(10)));
        let uri = parse("amqp://host:1234/chat?heartbeat=30").unwrap();
        assert_eq!(
            (&*uri.vhost, uri.authority.port, uri.query.heartbeat),
            ("chat", 1234, Some(30))
        );
    }

    #[tokio::test]
    async fn no_error_shows_the_password() {
        // Nobody listens at port 1.
        for url in ["amqp://login:secret@host:port", "amqp://login:secret@127.0.0.1:1"] {
            let error = RabbitMqBroker::connect(url, BrokerOptions::default()).await.err();
            let error = error.map(|error| format!("{error} {error:?}")).unwrap_or_default();
            assert!(!error.is_empty() && !error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_prefix_that_it_cannot_have_is_an_error() {
        let options = BrokerOptions::default().topic("/broadcast");
        let refused = RabbitMqBroker::connect("amqp://127.0.0.1:1", options).await.err();
        assert!(refused.is_some_and(|error| error.to_string().contains("prefixes")));
    }

    struct Nobody;

    impl Outlet for Nobody {
        fn deliver(&self, _: SubscriptionKey, _: &[Delivery], _: Instant) -> Taken {
            Taken::Written
        }
    }

    #[tokio::test]
    async fn what_a_policy_of_rabbitmq_says_is_no_rule() {
        let options = BrokerOptions::default().rule("/queue/**,expiration=1h".parse().unwrap());
        let refused = RabbitMqBroker::connect("amqp://127.0.0.1:1", options).await.err();
        let refused = refused.map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(refused, "RabbitMQ cannot do what expiration= says for /queue/**");
    }

    #[test]
    fn only_a_queue_waits_for_who_is_away() {
        let id = SubscriberId { connection: 1, subscription: SubscriptionKey::new(0, 0) };
        let subscriber = Subscriber::new(id, Arc::new(Nobody)).with_durable(true);
        let check =
            |name: &str| RabbitMqBroker::check(&name.parse().unwrap(), &subscriber).map(|_| ());
        assert_eq!((check("/queue/a"), check("/amq/queue/a")), (Ok(()), Ok(())));
        for name in ["/topic/a", "/topic/**", "/exchange/a/b", "/temp-queue/0f/a"] {
            let destination = name.to_owned();
            let refused = BrokerError::Unsupported { capability: Capability::Durable, destination };
            assert_eq!(check(name), Err(refused));
        }
    }

    #[test]
    fn what_cannot_be_subscribed_to_is_refused() {
        let kind = |name: &str| kind(&name.parse().unwrap());
        assert_eq!(kind("/topic/a/**"), Ok(Kind::Topic));
        assert_eq!(kind("/amq/queue/a"), Ok(Kind::Queue));
        assert_eq!(kind("/exchange/a/#"), Ok(Kind::Exchange));
        assert_eq!(kind("/temp-queue/0f/a"), Ok(Kind::Queue));
        for name in ["/reply-queue/a", "/elsewhere"] {
            assert!(matches!(kind(name), Err(BrokerError::UnknownDestination { .. })), "{name}");
        }
    }
}
