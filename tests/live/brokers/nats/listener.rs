use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stompbox::broker::{
    Broker, BrokerError, Destination, HistoryRequest, Message, NatsBroker, Outcome, Subscriber,
    SubscriberId, Turn,
};
use stompbox::session::SubscriptionKey;
use stompbox::testkit::{Mailbox, Received};

static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

/// How long a test waits for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A subscriber of a node, and what came to it.
pub(crate) struct Listener {
    pub(crate) id: SubscriberId,
    pub(crate) destination: Destination,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Listener {
    pub(crate) async fn new(node: &NatsBroker, destination: &str) -> Self {
        Self::try_new(node, destination).await.expect("it may listen")
    }

    /// The error is that the subscription was refused; then it is gone again.
    pub(crate) async fn try_new(node: &NatsBroker, destination: &str) -> Result<Self, BrokerError> {
        Self::subscribe(node, destination, |subscriber| subscriber).await
    }

    /// One that asks for history.
    pub(crate) async fn reader(
        node: &NatsBroker,
        topic: &str,
        history: HistoryRequest,
    ) -> Result<Self, BrokerError> {
        Self::subscribe(node, topic, |subscriber| subscriber.with_history(Some(history))).await
    }

    /// One that settles what it gets from a queue.
    pub(crate) async fn consumer(node: &NatsBroker, queue: &str, prefetch: usize) -> Self {
        let settings = |it: Subscriber| it.with_settles(true).with_prefetch(Some(prefetch));
        Self::subscribe(node, queue, settings).await.expect("it may consume")
    }

    async fn subscribe(
        node: &NatsBroker,
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

    pub(crate) fn leave(&self, node: &NatsBroker) {
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

/// A topic that is kept, and that no other test has.
pub(crate) fn kept_room() -> String {
    room().replace("/topic/", "/topic/kept/")
}

/// A topic that no other test has.
pub(crate) fn room() -> String {
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    format!("/topic/test-{}-{number}", std::process::id())
}

pub(crate) fn send(node: &NatsBroker, destination: &str, body: &str) -> Outcome {
    let message = Message::builder(destination.parse().unwrap()).body(body);
    node.publish(message, &mut Turn::new(Instant::now()))
}

pub(crate) async fn publish(
    node: &NatsBroker,
    destination: &str,
    body: &str,
) -> Result<(), BrokerError> {
    let sent = tokio::time::timeout(PATIENCE, send(node, destination, body)).await;
    sent.expect("an outcome is complete in time")
}
