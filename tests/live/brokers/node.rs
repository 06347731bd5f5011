//! A node: a broker, and those who use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use stompbox::broker::{
    Broker, BrokerError, Destination, Message, Outcome, Settle, Settlement, Subscriber,
    SubscriberId, Turn,
};
use stompbox::session::SubscriptionKey;
use stompbox::testkit::{Mailbox, Received};

/// How long something that has to come may take. The longest is a node that is gone: the others on
/// Redis notice that after 24 seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Node<B> {
    pub(crate) broker: B,
    connections: AtomicU64,
}

#[allow(dead_code, reason = "not every engine's tests do everything with it")]
impl<B: Broker> Node<B> {
    pub(crate) fn new(broker: B) -> Self {
        Self { broker, connections: AtomicU64::new(1) }
    }

    /// Subscribes in mode `auto`.
    pub(crate) async fn subscribe(&self, to: &str, mailbox: &Arc<Mailbox>) -> SubscriberId {
        self.try_subscribe(to, mailbox).await.expect("subscribed")
    }

    pub(crate) async fn try_subscribe(
        &self,
        to: &str,
        mailbox: &Arc<Mailbox>,
    ) -> Result<SubscriberId, BrokerError> {
        let (id, outcome) = self.begin_subscribe(to, mailbox);
        let answer = self.answer(outcome).await;
        if answer.is_err() {
            // As a server does.
            let mut turn = Turn::new(Instant::now());
            drop(self.broker.unsubscribe(&destination(to), id, &mut turn));
        }
        answer.map(|()| id)
    }

    /// Calls `subscribe`; what became of it is in the outcome.
    pub(crate) fn begin_subscribe(
        &self,
        to: &str,
        mailbox: &Arc<Mailbox>,
    ) -> (SubscriberId, Outcome) {
        let id = self.new_id();
        let subscriber = Subscriber::new(id, mailbox.clone());
        let mut turn = Turn::new(Instant::now());
        (id, self.broker.subscribe(&destination(to), subscriber, &mut turn))
    }

    /// Subscribes to a queue in mode `client-individual`.
    pub(crate) async fn consume(&self, from: &str, prefetch: usize) -> Consumer {
        let mailbox = Mailbox::new();
        let id = self.new_id();
        let subscriber = Subscriber::new(id, mailbox.clone()).with_settles(true);
        let subscriber = subscriber.with_prefetch(Some(prefetch));
        let mut turn = Turn::new(Instant::now());
        let outcome = self.broker.subscribe(&destination(from), subscriber, &mut turn);
        drop(turn);
        self.answer(outcome).await.expect("subscribed");
        Consumer { queue: destination(from), id, mailbox }
    }

    pub(crate) fn acknowledge(&self, consumer: &Consumer, received: &[Received]) -> Outcome {
        let settle = consumer.settle(received, Settlement::Acknowledged);
        self.broker.settle(settle, &mut Turn::new(Instant::now()))
    }

    pub(crate) async fn reject(&self, consumer: &Consumer, received: &[Received]) {
        let settle = consumer.settle(received, Settlement::Rejected);
        let outcome = self.broker.settle(settle, &mut Turn::new(Instant::now()));
        self.answer(outcome).await.expect("rejected");
    }

    pub(crate) async fn unsubscribe(&self, from: &str, who: SubscriberId) {
        let mut turn = Turn::new(Instant::now());
        let outcome = self.broker.unsubscribe(&destination(from), who, &mut turn);
        drop(turn);
        outcome.await.expect("unsubscribed");
    }

    /// Calls `publish`; what became of it is in the outcome.
    pub(crate) fn send(&self, to: &str, body: impl AsRef<[u8]>) -> Outcome {
        self.send_with(to, &[], body)
    }

    pub(crate) fn send_with(
        &self,
        to: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Outcome {
        let mut message = Message::builder(destination(to));
        for (name, value) in headers {
            message = message.header(*name, *value);
        }
        self.broker.publish(message.body(body), &mut Turn::new(Instant::now()))
    }

    pub(crate) async fn publish(&self, to: &str, body: impl AsRef<[u8]>) {
        self.answer(self.send(to, body)).await.expect("published");
    }

    fn new_id(&self) -> SubscriberId {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) }
    }

    pub(crate) async fn answer(&self, outcome: Outcome) -> Result<(), BrokerError> {
        tokio::time::timeout(PATIENCE, outcome).await.expect("an answer")
    }
}

/// A consumer of a queue.
#[allow(dead_code, reason = "not every engine's tests have one")]
pub(crate) struct Consumer {
    pub(crate) queue: Destination,
    pub(crate) id: SubscriberId,
    pub(crate) mailbox: Arc<Mailbox>,
}

#[allow(dead_code, reason = "not every engine's tests have one")]
impl Consumer {
    /// What settles what it received.
    pub(crate) fn settle(&self, received: &[Received], settlement: Settlement) -> Settle {
        Settle {
            destination: self.queue.clone(),
            subscriber: self.id,
            tags: received.iter().map(|it| it.tag).collect(),
            settlement,
        }
    }

    /// Waits until so many messages came in all.
    pub(crate) async fn wait_for(&self, messages: usize) -> Vec<Received> {
        let came = self.mailbox.wait_for(messages, PATIENCE).await;
        came.unwrap_or_else(|all| panic!("there came only {:?}", bodies(&all)))
    }
}

/// Waits until a message with this body came, and returns all that came with it.
pub(crate) async fn until(mailbox: &Mailbox, body: &str) -> Vec<Received> {
    let came = |all: &[Received]| all.iter().any(|it| it.text() == body);
    mailbox.wait_until(PATIENCE, came).await.unwrap_or_else(|all| {
        panic!("{body} did not come, there came {:?}", bodies(&all));
    })
}

pub(crate) fn bodies(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::text).collect()
}

/// A destination that no other run has.
pub(crate) fn unique(prefix: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{prefix}/{:x}", now.expect("a time after 1970").as_nanos())
}

pub(crate) fn destination(name: &str) -> Destination {
    name.parse().expect("a destination")
}
