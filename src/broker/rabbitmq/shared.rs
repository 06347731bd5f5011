use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use lapin::types::ShortString;
use lapin::uri::AMQPUri;
use parking_lot::Mutex;

use crate::frame::SharedMessage;

use super::super::engine::{Consumers, Outbox, OutboxLimits, Upstreams};
use super::super::{
    BrokerError, Destination, DestinationRules, Outcome, Router, Settle, Subscriber, SubscriberId,
    Turn,
};
use super::address::{Address, ENGINE};
use super::gaps::Gaps;
use super::properties::Persistence;

/// The engine's own name for a message of a queue: its delivery tag on the queue's channel.
pub(super) type DeliveryTag = u64;

/// How long RabbitMQ may take to confirm a message: longer than it may hang before the connection is
/// given up. It confirms nothing while it is out of memory, or a queue has lost most of its copies.
pub(super) const UNANSWERED: Duration = Duration::from_secs(30);

/// What the broker and the task that talks to RabbitMQ share.
pub(super) struct Shared {
    /// Where RabbitMQ is. It holds a password, and is never shown.
    pub(super) uri: AMQPUri,
    pub(super) rules: Arc<DestinationRules>,
    /// The topics and patterns that this node listens to.
    pub(super) topics: Audience,
    /// The exchanges that this node listens to, each with a key.
    pub(super) exchanges: Audience,
    /// The queues that have consumers here.
    pub(super) queues: Upstreams,
    pub(super) consumers: Mutex<HashMap<Destination, Arc<Consumers<DeliveryTag>>>>,
    pub(super) outbox: Outbox<Sending>,
    pub(super) gaps: Mutex<Gaps>,
    /// Whether a consumer of a queue of ours asks to be [told of its end](TELL), until RabbitMQ refuses that.
    pub(super) tells_of_end: AtomicBool,
}

/// Has RabbitMQ tell a consumer that its queue is gone. Otherwise, if there is a queue of the same name
/// again by then, it puts the consumer there, and hands it nothing. It takes this for classic queues only.
pub(super) const TELL: &str = "x-cancel-on-ha-failover";

/// Subscribers who all get every message, and what the node listens to for them.
#[derive(Debug, Default)]
pub(super) struct Audience {
    pub(super) router: Router,
    pub(super) upstreams: Upstreams,
}

/// A message on its way to RabbitMQ.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    pub(super) destination: Destination,
    pub(super) address: Address,
    pub(super) message: SharedMessage,
}

impl Audience {
    /// To whose engine a pattern is a name like any other.
    pub(super) fn with_patterns_as_names() -> Self {
        Self { router: Router::new().with_patterns_as_names(), upstreams: Upstreams::default() }
    }

    pub(super) fn join(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Outcome {
        self.upstreams.join_router(destination, destination, subscriber, &self.router, turn)
    }

    /// RabbitMQ sends what is published there from now on.
    pub(super) fn listening(&self, destination: &Destination) {
        let mut turn = Turn::new(Instant::now());
        self.upstreams.listening_with(destination, &self.router, &mut turn);
    }

    pub(super) fn leave(&self, destination: &Destination, subscriber: SubscriberId) {
        self.upstreams.leave(destination, subscriber);
        self.router.unsubscribe(destination, subscriber);
    }
}

impl Sending {
    /// The queue without which it would be lost. A reply that comes too late may be.
    pub(super) fn needs_queue(&self) -> Option<&ShortString> {
        match &self.address {
            Address::Queue(name) | Address::ExistingQueue(name) | Address::ReplyQueue(name) => {
                Some(name)
            }
            Address::Topic(_) | Address::Exchange(..) | Address::Temporary(_) => None,
        }
    }

    pub(super) fn persistence(&self) -> Persistence {
        match self.address {
            Address::Topic(_) | Address::Exchange(..) | Address::Temporary(_) => Persistence::If,
            Address::Queue(_) | Address::ExistingQueue(_) | Address::ReplyQueue(_) => {
                Persistence::Unless
            }
        }
    }
}

impl Shared {
    pub(super) fn new(uri: AMQPUri, rules: Arc<DestinationRules>) -> Self {
        Self {
            uri,
            rules,
            topics: Audience::default(),
            exchanges: Audience::with_patterns_as_names(),
            queues: Upstreams::default(),
            consumers: <_>::default(),
            outbox: Outbox::new(ENGINE, OutboxLimits::default()),
            gaps: <_>::default(),
            tells_of_end: true.into(),
        }
    }

    /// Adds a consumer to those of a queue.
    pub(super) fn join(
        &self,
        queue: &Destination,
        subscriber: Subscriber,
    ) -> Arc<Consumers<DeliveryTag>> {
        let mut all = self.consumers.lock();
        let consumers = all.entry(queue.clone()).or_insert_with(|| Arc::new(Consumers::new()));
        // Under the lock, so that nobody forgets them in between. It may take the place of the one
        // with its id.
        consumers.leave(subscriber.id);
        consumers.join(subscriber);
        Arc::clone(consumers)
    }

    /// The consumers of a queue, if it has any.
    pub(super) fn consumers(&self, queue: &Destination) -> Option<Arc<Consumers<DeliveryTag>>> {
        self.consumers.lock().get(queue).cloned()
    }

    /// Settles what was delivered from a queue. On a topic there is nothing to settle.
    pub(super) fn settle(&self, settle: &Settle, now: Instant) {
        if let Some(consumers) = self.consumers(&settle.destination) {
            consumers.settle(settle);
            consumers.dispatch(now);
        }
    }

    /// Forgets a queue that has no consumers.
    pub(super) fn forget_if_empty(&self, queue: &Destination) {
        let mut consumers = self.consumers.lock();
        if consumers.get(queue).is_some_and(|consumers| consumers.is_empty()) {
            consumers.remove(queue);
        }
    }

    /// Forgets what was left while RabbitMQ was away: queues whose consumers are gone, for which nobody
    /// may be consuming, and gaps of which nobody is there to be told.
    pub(super) fn forget_unwanted(&self) {
        self.consumers.lock().retain(|_, consumers| !consumers.is_empty());
        let [topics, exchanges] = [&self.topics.upstreams, &self.exchanges.upstreams];
        self.gaps.lock().retain(|it| topics.is_wanted(it) || exchanges.is_wanted(it));
    }

    /// The connection is gone, and all that RabbitMQ had handed over with it.
    pub(super) fn lost(&self) {
        self.outbox.lost();
        self.gaps.lock().lost();
        self.topics.upstreams.lost();
        self.exchanges.upstreams.lost();
        let consumers: Vec<_> = self.consumers.lock().values().cloned().collect();
        for consumers in consumers {
            consumers.lost();
        }
        self.queues.lost();
    }

    /// Gives up what has waited too long. Returns when to ask again.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        for upstreams in [&self.topics.upstreams, &self.exchanges.upstreams, &self.queues] {
            upstreams.expire(ENGINE, now);
        }
        // Whoever waits for a confirmation gives up too, and makes room; what could not even be written
        // has nobody who waits.
        self.outbox.give_up_unanswered(now, UNANSWERED);
        self.outbox.expire(now)
    }
}

/// What RabbitMQ says against one destination. `None` if it is no answer but a loss.
pub(super) fn refusal(destination: &Destination, error: &lapin::Error) -> Option<BrokerError> {
    let refused = error.is_amqp_soft_error()
        || matches!(error.kind(), lapin::ErrorKind::ChannelsLimitReached);
    refused.then(|| refused_because(destination, error.to_string()))
}

pub(super) fn refused_because(destination: &Destination, reason: String) -> BrokerError {
    BrokerError::Refused { destination: destination.to_string(), reason, engine: ENGINE }
}
