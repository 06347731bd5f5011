//! Outlets that record what they are delivered, and the few words that the tests are written in.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use stompbox::broker::{
    Broker, BrokerError, Destination, DestinationPolicy, DestinationRule, MemoryBroker, Message,
    Operation, Outcome, Outlet, QueuePolicy, Settle, Settlement, Subscriber, SubscriberId, Taken,
    Turn,
};
use stompbox::frame::SharedMessage;
use stompbox::session::{Delivery, SubscriptionKey};

/// What is done at each delivery, after it was recorded.
type Reaction = Box<dyn Fn(&Got) + Send + Sync>;

/// An outlet that records.
pub(crate) struct Recorder {
    got: Mutex<Vec<Got>>,
    deliveries: Mutex<Vec<Delivery>>,
    /// How many messages came at once.
    runs: Mutex<Vec<usize>>,
    answer: Mutex<Taken>,
    reaction: Option<Reaction>,
}

/// One delivery as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) body: String,
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) token: Option<String>,
    pub(crate) gap: bool,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::blank())
    }

    /// One that does something at each delivery, such as to publish or to panic.
    pub(crate) fn reacting(reaction: impl Fn(&Got) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self::blank_reacting(reaction))
    }

    /// As [`reacting`](Self::reacting), for who wants to know it before it is shared.
    pub(crate) fn blank_reacting(reaction: impl Fn(&Got) + Send + Sync + 'static) -> Self {
        Self { reaction: Some(Box::new(reaction)), ..Self::blank() }
    }

    fn blank() -> Self {
        Self {
            got: Mutex::default(),
            deliveries: Mutex::default(),
            runs: Mutex::default(),
            answer: Mutex::new(Taken::Written),
            reaction: None,
        }
    }

    /// From now on it takes nothing: its connection has gone.
    pub(crate) fn go(&self) {
        self.answer(Taken::Gone);
    }

    /// What it answers from now on.
    pub(crate) fn answer(&self, answer: Taken) {
        *self.answer.lock() = answer;
    }

    pub(crate) fn messages(&self) -> Vec<SharedMessage> {
        self.deliveries.lock().iter().map(|delivery| delivery.message().clone()).collect()
    }

    pub(crate) fn attempts(&self) -> Vec<u32> {
        self.deliveries.lock().iter().map(Delivery::attempt).collect()
    }

    pub(crate) fn runs(&self) -> Vec<usize> {
        self.runs.lock().clone()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.got.lock().iter().map(|got| got.body.clone()).collect()
    }

    /// The bodies of those that said that messages are missing before them.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let got = self.got.lock();
        got.iter().filter(|got| got.gap).map(|got| got.body.clone()).collect()
    }

    /// The token of the delivery with this body.
    pub(crate) fn token_of(&self, body: &str) -> String {
        let got = self.got.lock();
        let token = got.iter().find(|got| got.body == body).and_then(|got| got.token.clone());
        token.expect("it has a token")
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().clone()
    }

    /// The tag of the delivery with this body, the last one if there are several.
    pub(crate) fn tag_of(&self, body: &str) -> u64 {
        let got = self.got.lock();
        got.iter().rev().find(|got| got.body == body).expect("it was delivered").tag
    }
}

impl Outlet for Recorder {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        let answer = *self.answer.lock();
        if answer == Taken::Gone || deliveries.is_empty() {
            return answer;
        }
        self.runs.lock().push(deliveries.len());
        for delivery in deliveries {
            self.deliveries.lock().push(delivery.clone());
            let got = Got {
                body: String::from_utf8(delivery.message().body().to_vec()).expect("text"),
                tag: delivery.tag(),
                redelivered: delivery.is_redelivered(),
                token: delivery.token().map(ToString::to_string),
                gap: delivery.has_gap(),
            };
            self.got.lock().push(got.clone());
            if let Some(reaction) = &self.reaction {
                reaction(&got);
            }
        }
        answer
    }
}

/// An outlet that takes everything and keeps nothing.
pub(crate) struct Nowhere;

impl Outlet for Nowhere {
    fn deliver(&self, _: SubscriptionKey, _: &[Delivery], _: Instant) -> Taken {
        Taken::Written
    }
}

pub(crate) fn id(connection: u64) -> SubscriberId {
    SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) }
}

/// A subscriber in mode `auto`.
pub(crate) fn subscriber(connection: u64, outlet: &Arc<Recorder>) -> Subscriber {
    Subscriber::new(id(connection), outlet.clone())
}

/// A subscriber that has to settle, and holds at most `prefetch` unsettled messages.
pub(crate) fn settling(connection: u64, outlet: &Arc<Recorder>, prefetch: usize) -> Subscriber {
    subscriber(connection, outlet).with_settles(true).with_prefetch(Some(prefetch))
}

pub(crate) fn destination(name: &str) -> Destination {
    name.parse().expect("a valid destination")
}

pub(crate) fn message(name: &str, body: &str) -> Message {
    Message::builder(destination(name)).body(body)
}

pub(crate) fn delivery(body: &str) -> Delivery {
    Delivery::new(message("/any", body).into_shared())
}

pub(crate) fn turn() -> Turn {
    Turn::new(Instant::now())
}

/// The result of an outcome that is complete.
pub(crate) fn done(mut outcome: Outcome) -> Result<(), BrokerError> {
    outcome.take_ready().expect("the in-memory broker's outcomes are complete")
}

/// Each call in a turn of its own.
pub(crate) trait Calls {
    fn sends(&self, name: &str, body: &str) -> Result<(), BrokerError>;
    fn joins(&self, name: &str, subscriber: Subscriber) -> Result<(), BrokerError>;
    fn leaves(&self, name: &str, connection: u64);
    fn acks(&self, name: &str, connection: u64, tags: &[u64]);
    fn nacks(&self, name: &str, connection: u64, tags: &[u64]);
    fn commits(&self, operations: Vec<Operation>) -> Result<(), BrokerError>;
}

impl Calls for MemoryBroker {
    fn sends(&self, name: &str, body: &str) -> Result<(), BrokerError> {
        done(self.publish(message(name, body), &mut turn()))
    }

    fn joins(&self, name: &str, subscriber: Subscriber) -> Result<(), BrokerError> {
        done(self.subscribe(&destination(name), subscriber, &mut turn()))
    }

    fn leaves(&self, name: &str, connection: u64) {
        done(self.unsubscribe(&destination(name), id(connection), &mut turn())).expect("it leaves");
    }

    fn acks(&self, name: &str, connection: u64, tags: &[u64]) {
        let settle = settle(name, connection, tags, Settlement::Acknowledged);
        done(Broker::settle(self, settle, &mut turn())).expect("it settles");
    }

    fn nacks(&self, name: &str, connection: u64, tags: &[u64]) {
        let settle = settle(name, connection, tags, Settlement::Rejected);
        done(Broker::settle(self, settle, &mut turn())).expect("it settles");
    }

    fn commits(&self, operations: Vec<Operation>) -> Result<(), BrokerError> {
        done(self.commit(operations, &mut turn()))
    }
}

pub(crate) fn settle(name: &str, connection: u64, tags: &[u64], settlement: Settlement) -> Settle {
    Settle {
        destination: destination(name),
        subscriber: id(connection),
        tags: tags.to_vec(),
        settlement,
    }
}

/// A policy by which a queue holds so many bytes.
pub(crate) fn queue_of(bytes: usize) -> DestinationPolicy {
    let mut policy = DestinationPolicy::default();
    policy.queue.bytes = bytes;
    policy
}

/// A rule for the queue policy of some destinations.
pub(crate) fn queue_policy(name: &str, set: impl FnOnce(&mut QueuePolicy)) -> DestinationRule {
    let mut policy = DestinationPolicy::default();
    set(&mut policy.queue);
    DestinationRule::new(destination(name), policy)
}
