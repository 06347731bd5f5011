use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::broker::{BrokerError, Outlet, Taken};
use crate::session::{Delivery, SubscriptionKey};

/// An [`Outlet`] that keeps what it is delivered: a connection whose client is the test.
#[derive(Debug, Default)]
pub struct Mailbox {
    state: Mutex<State>,
    arrived: Notify,
}

/// A delivery that a [`Mailbox`] was given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// Which subscription it was for.
    pub subscription: SubscriptionKey,
    /// The message's body.
    pub body: Vec<u8>,
    /// The message's headers, as they stand on the wire, `destination` among them.
    pub headers: Vec<(String, String)>,
    /// What it is settled by; 0 on a topic.
    pub tag: u64,
    /// How often it was delivered, this time included.
    pub attempt: u32,
    /// Its place in the history of its destination.
    pub token: Option<String>,
    /// Whether messages are missing before it.
    pub gap: bool,
}

#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    refusal: Option<BrokerError>,
    answer: Answer,
    unsettled: usize,
    most_unsettled: usize,
}

#[derive(Debug, Clone, Copy, Default)]
enum Answer {
    #[default]
    Written,
    Queued,
    Full,
    Gone,
}

impl Mailbox {
    /// One that takes everything.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on what it takes waits for its socket, until
    /// [`Broker::resume`](crate::broker::Broker::resume) is called.
    pub fn block(&self) {
        self.state.lock().answer = Answer::Queued;
    }

    /// From now on publishers are to be held because of it
    /// ([`SlowConsumerAction::HoldPublisher`](crate::broker::SlowConsumerAction::HoldPublisher)),
    /// until [`Broker::resume`](crate::broker::Broker::resume) is called.
    pub fn fill(&self) {
        self.state.lock().answer = Answer::Full;
    }

    /// Takes everything again.
    pub fn unblock(&self) {
        self.state.lock().answer = Answer::Written;
    }

    /// From now on it is gone, as a connection that has ended without its subscriptions' having
    /// been taken back yet.
    pub fn go(&self) {
        self.state.lock().answer = Answer::Gone;
    }

    /// Everything that came so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().received.clone()
    }

    /// How many messages came so far.
    pub fn count(&self) -> usize {
        self.state.lock().received.len()
    }

    /// Waits until so many messages came in all, and returns everything that came. The error is what
    /// had come when `patience` was at its end.
    pub async fn wait_for(
        &self,
        messages: usize,
        patience: Duration,
    ) -> Result<Vec<Received>, Vec<Received>> {
        self.wait_until(patience, |received| received.len() >= messages).await
    }

    /// Waits until `enough` says so of everything that came.
    pub async fn wait_until(
        &self,
        patience: Duration,
        enough: impl Fn(&[Received]) -> bool,
    ) -> Result<Vec<Received>, Vec<Received>> {
        let found = |state: &State| enough(&state.received).then(|| state.received.clone());
        self.wait(patience, found).await.ok_or_else(|| self.received())
    }

    /// Waits until a subscription was ended by its broker ([`Outlet::refuse`]), and returns why.
    /// `None` if that did not happen before `patience` was at its end.
    pub async fn wait_for_refusal(&self, patience: Duration) -> Option<BrokerError> {
        self.wait(patience, |state| state.refusal.clone()).await
    }

    async fn wait<T>(&self, patience: Duration, find: impl Fn(&State) -> Option<T>) -> Option<T> {
        let patience = tokio::time::sleep(patience);
        tokio::pin!(patience);
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Registered before looking, so that nothing comes unnoticed in between.
            arrived.as_mut().enable();
            let found = find(&self.state.lock());
            if found.is_some() {
                return found;
            }
            tokio::select! {
                () = arrived => {}
                () = &mut patience => return None,
            }
        }
    }

    /// The most messages with a tag that were unsettled at one time, as
    /// [`settled`](Self::settled) was told.
    pub fn most_unsettled(&self) -> usize {
        self.state.lock().most_unsettled
    }

    /// Notes that so many messages are about to be settled.
    pub fn settled(&self, messages: usize) {
        let state = &mut *self.state.lock();
        state.unsettled = state.unsettled.saturating_sub(messages);
    }
}

impl Outlet for Mailbox {
    fn deliver(&self, to: SubscriptionKey, deliveries: &[Delivery], _now: Instant) -> Taken {
        let state = &mut *self.state.lock();
        let taken = match state.answer {
            Answer::Written => Taken::Written,
            Answer::Queued => Taken::Queued,
            Answer::Full => Taken::Full,
            Answer::Gone => return Taken::Gone,
        };
        for delivery in deliveries {
            state.received.push(Received::new(to, delivery));
            state.unsettled += usize::from(delivery.tag() != 0);
        }
        state.most_unsettled = state.most_unsettled.max(state.unsettled);
        self.arrived.notify_waiters();
        taken
    }

    fn refuse(&self, _subscription: SubscriptionKey, error: &BrokerError) {
        self.state.lock().refusal = Some(error.clone());
        self.arrived.notify_waiters();
    }
}

impl Received {
    fn new(subscription: SubscriptionKey, delivery: &Delivery) -> Self {
        let frame = delivery.message().frame();
        let headers = frame.iter().flat_map(|frame| frame.headers().iter());
        Self {
            subscription,
            body: delivery.message().body().to_vec(),
            headers: headers.map(|(name, value)| (name.into(), value.into())).collect(),
            tag: delivery.tag(),
            attempt: delivery.attempt(),
            token: delivery.token().map(ToString::to_string),
            gap: delivery.has_gap(),
        }
    }

    /// The body as text; anything that is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, the first one if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}
