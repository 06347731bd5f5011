use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};

use super::super::engine::{Outbox, OutboxLimits, Upstreams};
use super::super::prefixes::{Kind, Prefixes};
use super::super::{
    BrokerError, BrokerOptions, Capability, Destination, DestinationRules, HistoryRequest, Message,
    Outcome, Router, Settle, Subscriber, SubscriberId, Turn,
};
use super::names::{self, Glob};
use super::queues::Queues;
use super::request::{Request, Step};
use super::scripts::Scripts;
use super::windows::Windows;
use super::{ENGINE, StreamId, refused};

/// What the tasks of a broker and those who call it share.
#[derive(Debug)]
pub(super) struct Node {
    /// A number that no other node has.
    pub(super) number: u64,
    client: Client,
    pub(super) prefixes: Prefixes,
    pub(super) rules: Arc<DestinationRules>,
    pub(super) router: Router,
    pub(super) outbox: Outbox<Request>,
    /// The destinations that are listened to.
    pub(super) rooms: Upstreams,
    /// The globs that are listened to.
    pub(super) globs: Upstreams,
    pub(super) windows: Windows,
    pub(super) queues: Queues,
    pub(super) scripts: Scripts,
}

/// How long Redis may take to answer before the connection counts as lost.
const ANSWER: Duration = Duration::from_secs(5);

impl Node {
    pub(super) fn new(client: Client, options: BrokerOptions) -> Self {
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
            queues: Queues::default(),
            scripts: Scripts::new(),
        }
    }

    pub(super) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        self.connect_with(AsyncConnectionConfig::new()).await
    }

    pub(super) async fn connect_with(
        &self,
        config: AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let config = config.set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Ends the connection that this one takes the place of, so that what waits in that is not done
    /// after what comes over this.
    pub(super) async fn replace(
        &self,
        connection: &mut MultiplexedConnection,
        previous: &mut Option<u64>,
    ) {
        if let Some(previous) = *previous {
            let mut kill = redis::cmd("CLIENT");
            // That it is not there any more is as well; who may not kill it has only a smaller chance.
            drop(kill.arg("KILL").arg("ID").arg(previous).query_async::<()>(connection).await);
        }
        *previous = redis::cmd("CLIENT").arg("ID").query_async(connection).await.ok();
    }

    /// The key of the set of the queues that this node consumes from.
    pub(super) fn queues_key(&self) -> String {
        format!("{}{}", names::QUEUES_OF_NODE, names::node(self.number))
    }

    pub(super) fn is_queue(&self, destination: &Destination) -> bool {
        self.prefixes.kind(destination) == Some(Kind::Queue)
    }

    /// Refuses what can neither be subscribed to nor sent to.
    pub(super) fn check(&self, destination: &Destination) -> Result<Kind, BrokerError> {
        match self.prefixes.check(destination)? {
            Kind::Queue | Kind::Temporary if destination.is_pattern() => {
                Err(BrokerError::unsupported(Capability::Patterns, destination))
            }
            kind => Ok(kind),
        }
    }

    pub(super) fn check_message(&self, message: &Message) -> Result<(), BrokerError> {
        let destination = message.destination();
        if destination.is_pattern() {
            return Err(BrokerError::SentToPattern { destination: destination.to_string() });
        }
        if self.check(destination)? == Kind::Queue {
            message.expiration()?;
        }
        Ok(())
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

    /// Whether the messages of a topic are kept in a stream.
    pub(super) fn keeps_history(&self, destination: &Destination) -> bool {
        self.prefixes.kind(destination) == Some(Kind::Topic)
            && !self.rules.policy(destination).retention.is_none()
    }

    /// Has something done at Redis, all of it or none.
    pub(super) fn push(&self, steps: Vec<Step>, now: Instant) -> Outcome {
        if steps.is_empty() {
            return Outcome::done();
        }
        let request = Request::new(steps);
        let bytes = request.bytes();
        let mut outcome = self.outbox.push(request.clone(), bytes, now);
        match outcome.take_ready() {
            Some(Err(error)) => {
                self.queues.answered(&request, false);
                error.into()
            }
            Some(Ok(())) => Outcome::done(),
            None => outcome,
        }
    }

    /// Has Redis told of what was settled. That it cannot be reached is no error for who has settled:
    /// it is told when it can be, or, if there is no room for that, the messages come again.
    pub(super) fn push_settled(&self, steps: Vec<Step>, now: Instant) -> Outcome {
        if steps.is_empty() {
            return Outcome::done();
        }
        let request = Request::new(steps);
        let bytes = request.bytes();
        let mut outcome = self.outbox.keep(request.clone(), bytes, now);
        match outcome.take_ready() {
            Some(Err(BrokerError::Unavailable { .. })) => {
                self.queues.answered(&request, false);
                Outcome::done()
            }
            Some(answer) => Outcome::ready(answer),
            None => outcome,
        }
    }

    /// Settles what was delivered from a queue. Returns what Redis is to be told; from a topic there
    /// is nothing to settle.
    pub(super) fn settle(&self, settle: &Settle, now: Instant) -> Vec<Step> {
        let Some(queue) = self.queues.get(&settle.destination) else { return Vec::new() };
        let steps = queue.settle(settle);
        queue.consumers.dispatch(now);
        steps
    }

    pub(super) fn subscribe(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Result<Outcome, BrokerError> {
        let kind = self.check(destination)?;
        if subscriber.durable && kind != Kind::Queue {
            return Err(BrokerError::unsupported(Capability::Durable, destination));
        }
        self.check_history(destination, subscriber.history.as_ref())?;
        if kind == Kind::Queue {
            let (queue, outcome) = self.queues.join(destination, &subscriber);
            // What another one has just left unsettled is here still.
            queue.consumers.dispatch(turn.now());
            return Ok(outcome);
        }
        let glob =
            destination.is_pattern().then(|| Glob::of(destination).upstream()).transpose()?;
        if let Some(glob) = glob {
            return Ok(self.globs.join_router(&glob, destination, subscriber, &self.router, turn));
        }
        if kind == Kind::Temporary {
            // Who is asked next may reply before Redis has confirmed.
            let confirmed = Mutex::new(Some(self.rooms.join(destination, &subscriber)));
            drop(self.push(vec![Step::Await(confirmed)], turn.now()));
        }
        Ok(self.rooms.join_router(destination, destination, subscriber, &self.router, turn))
    }

    pub(super) fn unsubscribe(
        &self,
        destination: &Destination,
        subscriber: SubscriberId,
        turn: &mut Turn,
    ) -> Result<(), BrokerError> {
        if self.check(destination)? == Kind::Queue {
            if let Some(queue) = self.queues.leave(destination, subscriber) {
                queue.consumers.dispatch(turn.now());
            }
        } else if destination.is_pattern() {
            self.globs.leave(&Glob::of(destination).upstream()?, subscriber);
            self.router.unsubscribe(destination, subscriber);
        } else {
            self.rooms.leave(destination, subscriber);
            self.router.unsubscribe(destination, subscriber);
        }
        Ok(())
    }

    /// Redis refuses a subscription to a destination.
    pub(super) fn refuse_room(&self, room: &Destination, reason: &str) {
        self.rooms.refused(room, &refused(room, reason));
    }

    /// Redis refuses a subscription to a glob.
    pub(super) fn refuse_glob(&self, upstream: &Destination, reason: &str) {
        self.globs.refused(upstream, &refused(upstream, reason));
    }
}

#[cfg(test)]
mod tests {
    use super::super::client;
    use super::*;
    use crate::broker::{Outlet, Taken};
    use crate::session::{Delivery, SubscriptionKey};

    struct Nobody;

    impl Outlet for Nobody {
        fn deliver(&self, _: SubscriptionKey, _: &[Delivery], _: Instant) -> Taken {
            Taken::Written
        }
    }

    /// A Redis that is not there is not asked.
    fn node() -> Node {
        Node::new(client("redis://127.0.0.1:1").unwrap(), BrokerOptions::default())
    }

    fn acknowledge() -> Vec<Step> {
        vec![Step::Acknowledge("/queue/a".parse().unwrap(), vec!["1-1".parse().unwrap()])]
    }

    #[test]
    fn who_settles_is_refused_nothing_while_redis_is_away() {
        let (node, now) = (node(), Instant::now());
        let mut settled = node.push_settled(acknowledge(), now);
        let mut committed = node.push(acknowledge(), now);
        assert_eq!(settled.take_ready(), None, "Redis may come back in time");
        node.outbox.expire_each(now + OutboxLimits::default().time, |_| ());
        assert_eq!(settled.take_ready(), Some(Ok(())));
        let unavailable = BrokerError::Unavailable { engine: ENGINE };
        assert_eq!(committed.take_ready(), Some(Err(unavailable)), "as a whole");
        assert!(node.outbox.try_next().is_some() && node.outbox.try_next().is_none());
    }

    fn subscriber() -> Subscriber {
        let subscription = SubscriptionKey::new(0, 0);
        Subscriber::new(SubscriberId { connection: 1, subscription }, Arc::new(Nobody))
    }

    #[test]
    fn only_a_queue_waits_for_who_is_away() {
        let node = node();
        for (name, waits) in [("/topic/a", false), ("/topic/*", false), ("/queue/a", true)] {
            let mut turn = Turn::new(Instant::now());
            let subscriber = subscriber().with_durable(true);
            let answer = node.subscribe(&name.parse().unwrap(), subscriber, &mut turn);
            assert_eq!(answer.is_ok(), waits, "{name}");
        }
    }

    #[test]
    fn what_finds_no_room_when_it_is_settled_is_to_be_found_again() {
        let (node, now) = (node(), Instant::now());
        let (queue, outcome) = node.queues.join(&"/queue/a".parse().unwrap(), &subscriber());
        let bytes = OutboxLimits::default().bytes;
        drop((outcome, node.outbox.push(Request::new(Vec::new()), bytes, now)));
        assert!(!queue.take_stale());
        assert_eq!(node.push_settled(acknowledge(), now).take_ready(), Some(Ok(())));
        assert!(queue.take_stale());
    }
}
