//! A subscriber of a node, and what is sent to it.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use stompbox::broker::{
    Broker, BrokerError, Destination, HistoryRequest, Message, Outcome, Subscriber, SubscriberId,
    Turn,
};
use stompbox::session::SubscriptionKey;
use stompbox::testkit::{Mailbox, Received};

static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// How long a test waits for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A subscriber of a node, and what came to it.
pub(crate) struct Listener {
    pub(crate) id: SubscriberId,
    pub(crate) destination: Destination,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Listener {
    pub(crate) async fn new(node: &impl Broker, destination: &str) -> Self {
        Self::try_new(node, destination).await.expect("it may listen")
    }

    /// The error is that the subscription was refused; then it is gone again.
    pub(crate) async fn try_new(
        node: &impl Broker,
        destination: &str,
    ) -> Result<Self, BrokerError> {
        Self::subscribe(node, destination, |subscriber| subscriber).await
    }

    /// One that asks for history.
    pub(crate) async fn reader(
        node: &impl Broker,
        topic: &str,
        history: HistoryRequest,
    ) -> Result<Self, BrokerError> {
        Self::subscribe(node, topic, |subscriber| subscriber.with_history(Some(history))).await
    }

    /// One that settles what it gets from a queue.
    pub(crate) async fn consumer(node: &impl Broker, queue: &str, prefetch: usize) -> Self {
        let settings = |it: Subscriber| it.with_settles(true).with_prefetch(Some(prefetch));
        Self::subscribe(node, queue, settings).await.expect("it may consume")
    }

    /// One that what is published while it is away is to wait for.
    #[allow(dead_code, reason = "not every engine's tests have one")]
    pub(crate) async fn durable(node: &impl Broker, to: &str) -> Result<Self, BrokerError> {
        Self::subscribe(node, to, |subscriber| subscriber.with_durable(true)).await
    }

    async fn subscribe(
        node: &impl Broker,
        destination: &str,
        settings: impl FnOnce(Subscriber) -> Subscriber,
    ) -> Result<Self, BrokerError> {
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let id = SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) };
        let destination: Destination = destination.parse().unwrap();
        let mailbox = Mailbox::new();
        let subscriber = settings(Subscriber::new(id, mailbox.clone()));
        let mut turn = Turn::new(Instant::now());
        let outcome = node.subscribe(&destination, subscriber, &mut turn);
        drop(turn);
        let listener = Self { id, destination, mailbox };
        let outcome = outcome.await;
        if outcome.is_err() {
            listener.leave(node);
        }
        outcome.map(|()| listener)
    }

    pub(crate) fn leave(&self, node: &impl Broker) {
        let mut turn = Turn::new(Instant::now());
        drop(node.unsubscribe(&self.destination, self.id, &mut turn));
    }

    /// Waits until this came, and returns all that came with it.
    pub(crate) async fn until(&self, body: &str) -> Vec<Received> {
        let there = |all: &[Received]| all.iter().any(|received| received.text() == body);
        let came = self.mailbox.wait_until(PATIENCE, there).await;
        came.unwrap_or_else(|all| panic!("{body} did not come, but {:?}", texts(&all)))
    }
}

pub(crate) fn texts(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::text).collect()
}

/// A name that no other test has, in this run or another.
pub(crate) fn unique(name: &str) -> String {
    static RUN: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
    format!("{name}-{:x}-{}", *RUN, CONNECTIONS.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn send(node: &impl Broker, destination: &str, body: &str) -> Outcome {
    let message = Message::builder(destination.parse().unwrap()).body(body);
    node.publish(message, &mut Turn::new(Instant::now()))
}

pub(crate) async fn publish(
    node: &impl Broker,
    destination: &str,
    body: &str,
) -> Result<(), BrokerError> {
    let sent = tokio::time::timeout(PATIENCE, send(node, destination, body)).await;
    sent.expect("an outcome is complete in time")
}
