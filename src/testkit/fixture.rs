use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::broker::{
    Broker, BrokerError, Capabilities, Destination, Message, Operation, Outcome, Settle,
    Settlement, SlowConsumerAction, Subscriber, SubscriberId, Turn,
};
use crate::session::SubscriptionKey;

use super::host::{TestHost, now};
use super::{BrokerSuite, Mailbox, Received};

/// Why a case failed, in words.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

pub(super) type CaseResult<T = ()> = Result<T, Failure>;

/// One case's broker, and what it is done to it with.
pub(super) struct Fixture {
    broker: Arc<dyn Broker>,
    suite: BrokerSuite,
    /// In the names of this case's destinations.
    run: u64,
    connections: AtomicU64,
}

impl Fixture {
    pub(super) fn new(broker: Arc<dyn Broker>, suite: BrokerSuite, run: u64) -> Self {
        TestHost::attach(&broker);
        Self { broker, suite, run, connections: AtomicU64::new(1) }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.broker.capabilities()
    }

    /// Whether publishers to a destination are held while a subscriber of it is full.
    pub(super) fn holds_publishers(&self, destination: &Destination) -> bool {
        self.broker.slow_consumer(destination).action == SlowConsumerAction::HoldPublisher
    }

    pub(super) fn connections_to_try(&self) -> u64 {
        self.suite.connections
    }

    pub(super) fn patience(&self) -> Duration {
        self.suite.patience
    }

    pub(super) fn topic(&self, name: &str) -> CaseResult<Destination> {
        destination(&format!("{}/suite-{:x}/{name}", self.suite.topics, self.run))
    }

    pub(super) fn queue(&self, name: &str) -> CaseResult<Destination> {
        destination(&format!("{}/suite-{:x}/{name}", self.suite.queues, self.run))
    }

    /// A subscriber of a connection of its own, whose deliveries come to `mailbox`.
    pub(super) fn subscriber(&self, mailbox: &Arc<Mailbox>) -> Subscriber {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        let subscription = SubscriptionKey::new(0, 0);
        Subscriber::new(SubscriberId { connection, subscription }, mailbox.clone())
    }

    /// Subscribes to a topic and waits until that is confirmed.
    pub(super) async fn listen(
        &self,
        to: &Destination,
        mailbox: &Arc<Mailbox>,
    ) -> CaseResult<SubscriberId> {
        self.subscribe(to, self.subscriber(mailbox)).await
    }

    /// Subscribes to a queue, to settle by hand, and waits until that is confirmed.
    pub(super) async fn consume(
        &self,
        from: &Destination,
        mailbox: &Arc<Mailbox>,
        prefetch: usize,
    ) -> CaseResult<SubscriberId> {
        let consumer = self.subscriber(mailbox).with_settles(true).with_prefetch(Some(prefetch));
        self.subscribe(from, consumer).await
    }

    pub(super) async fn subscribe(
        &self,
        to: &Destination,
        subscriber: Subscriber,
    ) -> CaseResult<SubscriberId> {
        let id = subscriber.id;
        let outcome = self.call(|broker, turn| broker.subscribe(to, subscriber, turn)).await?;
        outcome.map_err(|error| Failure(format!("SUBSCRIBE {to}: {error}")))?;
        Ok(id)
    }

    pub(super) async fn leave(&self, from: &Destination, who: SubscriberId) -> CaseResult {
        let outcome = self.call(|broker, turn| broker.unsubscribe(from, who, turn)).await?;
        outcome.map_err(|error| Failure(format!("UNSUBSCRIBE {from}: {error}")))
    }

    pub(super) fn resume(&self, from: &Destination, who: SubscriberId) {
        self.broker.resume(from, who, &mut Turn::new(now()));
    }

    /// Publishes, without waiting.
    pub(super) fn begin_publish(&self, to: &Destination, body: &str) -> Outcome {
        self.broker.publish(message(to, body), &mut Turn::new(now()))
    }

    /// Publishes and waits until the broker has taken responsibility.
    pub(super) async fn publish(&self, to: &Destination, body: &str) -> CaseResult {
        self.publish_message(message(to, body)).await
    }

    pub(super) async fn publish_message(&self, message: Message) -> CaseResult {
        let to = message.destination().clone();
        let outcome = self.call(|broker, turn| broker.publish(message, turn)).await?;
        outcome.map_err(|error| Failure(format!("SEND {to}: {error}")))
    }

    /// Publishes all in one turn, without waiting between them, and waits for all outcomes.
    pub(super) async fn publish_all(
        &self,
        to: &Destination,
        bodies: impl IntoIterator<Item = String>,
    ) -> CaseResult {
        let mut turn = Turn::new(now());
        let publish = |body: String| self.broker.publish(message(to, &body), &mut turn);
        let outcomes: Vec<_> = bodies.into_iter().map(publish).collect();
        drop(turn);
        for outcome in outcomes {
            let done = self.outcome(outcome).await?;
            done.map_err(|error| Failure(format!("SEND {to}: {error}")))?;
        }
        Ok(())
    }

    /// Settles what came to `mailbox`.
    pub(super) async fn settle(
        &self,
        from: &Destination,
        who: SubscriberId,
        mailbox: &Mailbox,
        deliveries: &[Received],
        settlement: Settlement,
    ) -> CaseResult {
        mailbox.settled(deliveries.len());
        let settle = settle(from, who, deliveries, settlement);
        let outcome = self.call(|broker, turn| broker.settle(settle, turn)).await?;
        outcome.map_err(|error| Failure(format!("ACK or NACK on {from}: {error}")))
    }

    pub(super) async fn commit(
        &self,
        operations: Vec<Operation>,
    ) -> CaseResult<Result<(), BrokerError>> {
        self.call(|broker, turn| broker.commit(operations, turn)).await
    }

    /// What the broker answers to a subscription that it may refuse.
    pub(super) async fn try_subscribe(
        &self,
        to: &Destination,
        subscriber: Subscriber,
    ) -> CaseResult<Result<(), BrokerError>> {
        self.call(|broker, turn| broker.subscribe(to, subscriber, turn)).await
    }

    /// What the broker answers to a message that it may refuse.
    pub(super) async fn try_publish(
        &self,
        message: Message,
    ) -> CaseResult<Result<(), BrokerError>> {
        self.call(|broker, turn| broker.publish(message, turn)).await
    }

    /// Waits until so many messages came to `mailbox` in all.
    pub(super) async fn expect(
        &self,
        mailbox: &Mailbox,
        messages: usize,
    ) -> CaseResult<Vec<Received>> {
        mailbox.wait_for(messages, self.patience()).await.map_err(|received| {
            let bodies: Vec<_> = received.iter().map(Received::text).collect();
            Failure(format!("{messages} messages were expected, {} came: {bodies:?}", bodies.len()))
        })
    }

    /// Waits until a message with this body came to `mailbox`, and returns all that came with it.
    pub(super) async fn expect_body(
        &self,
        mailbox: &Mailbox,
        body: &str,
    ) -> CaseResult<Vec<Received>> {
        let is_it = |received: &Received| received.body == body.as_bytes();
        let came = mailbox.wait_until(self.patience(), |all| all.iter().any(is_it)).await;
        came.map_err(|received| {
            let bodies: Vec<_> = received.iter().map(Received::text).collect();
            Failure(format!("{body:?} was expected, there came: {bodies:?}"))
        })
    }

    async fn call(
        &self,
        call: impl FnOnce(&dyn Broker, &mut Turn) -> Outcome,
    ) -> CaseResult<Result<(), BrokerError>> {
        let mut turn = Turn::new(now());
        let outcome = call(&*self.broker, &mut turn);
        drop(turn);
        self.outcome(outcome).await
    }

    /// Waits for an outcome.
    pub(super) async fn outcome(&self, outcome: Outcome) -> CaseResult<Result<(), BrokerError>> {
        let patience = self.patience();
        let completed = tokio::time::timeout(patience, outcome).await;
        completed.map_err(|_| Failure(format!("an outcome was not complete after {patience:?}")))
    }
}

/// Fails a case unless `holds`.
pub(super) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> CaseResult {
    if holds { Ok(()) } else { Err(Failure(otherwise())) }
}

pub(super) fn message(to: &Destination, body: &str) -> Message {
    Message::builder(to.clone()).body(body)
}

pub(super) fn settle(
    from: &Destination,
    who: SubscriberId,
    deliveries: &[Received],
    settlement: Settlement,
) -> Settle {
    let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
    Settle { destination: from.clone(), subscriber: who, tags, settlement }
}

/// The bodies, as texts.
pub(super) fn bodies(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::text).collect()
}

pub(super) fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn destination(name: &str) -> CaseResult<Destination> {
    Destination::new(name).map_err(|error| Failure(error.to_string()))
}
