mod dispatch;
mod state;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::frame::SharedMessage;

#[cfg(feature = "kafka")]
use super::super::BrokerError;
use super::super::{Settle, Subscriber, SubscriberId};

use state::{Consumer, State, Stored};

/// The consumers of one queue of an engine on this node, and the messages that the engine has handed
/// to this node and that are not settled.
///
/// The engine hands over as many messages as the consumers together have [credit](Self::credit) for;
/// who gets which is decided here, so that a consumer that is blocked is passed over. `K` is the
/// engine's own name for a message on its way, by which it is settled there.
///
/// As in the in-memory queue the lock is never held while something is delivered.
#[derive(Debug)]
pub(in super::super) struct Consumers<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

/// What the engine is to be told of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Settled<K> {
    /// It was acknowledged, and is done with.
    Done(K),
    /// It goes back to its queue.
    Requeue(K),
}

impl<K: Copy> Consumers<K> {
    pub(in super::super) fn new() -> Self {
        Self { state: Mutex::new(State::new()), changed: Notify::new() }
    }

    /// As [`new`](Self::new), for an engine that takes nothing back: what is rejected is ready again,
    /// in its old place.
    #[cfg(feature = "kafka")]
    pub(in super::super) fn with_requeue() -> Self {
        let consumers = Self::new();
        consumers.state.lock().requeues = true;
        consumers
    }

    /// Adds a consumer.
    pub(in super::super) fn join(&self, subscriber: Subscriber) {
        let state = &mut *self.state.lock();
        state.consumers.push(Consumer::new(subscriber));
        self.changed.notify_one();
    }

    /// Removes a consumer and makes ready again, in order, what it had not settled. Returns whether
    /// it was there.
    pub(in super::super) fn leave(&self, subscriber: SubscriberId) -> bool {
        let state = &mut *self.state.lock();
        let before = state.consumers.len();
        state.leave(subscriber);
        self.changed.notify_one();
        state.consumers.len() < before
    }

    /// The engine takes back what it had handed over: its channel is closed, or the connection lost.
    pub(in super::super) fn lost(&self) {
        let state = &mut *self.state.lock();
        state.ready.clear();
        state.unsettled.clear();
        state.settled.clear();
        for consumer in &mut state.consumers {
            consumer.unsettled = 0;
            consumer.unwritten.clear();
        }
    }

    /// The engine is about to be asked for messages.
    pub(in super::super) fn begin(&self) {
        self.state.lock().stopping = false;
    }

    /// The engine is to be asked for no more messages, and what is not settled is to be given back.
    pub(in super::super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_one();
    }

    /// Whether [`stop`](Self::stop) was called since [`begin`](Self::begin).
    pub(in super::super) fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// Whether nobody consumes.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.state.lock().consumers.is_empty()
    }

    /// How many more messages the consumers would take at once: those that are blocked, none.
    #[cfg(any(feature = "redis", test))]
    pub(in super::super) fn wanted(&self) -> usize {
        let state = self.state.lock();
        let ready = state.consumers.iter().filter(|consumer| !consumer.stalled);
        let free = ready.map(Consumer::free).fold(0, usize::saturating_add);
        free.saturating_sub(state.ready.len())
    }

    /// Waits until the credit may be another, or something is settled.
    pub(in super::super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What was settled since this was asked last, in order.
    pub(in super::super) fn take_settled(&self) -> Vec<Settled<K>> {
        std::mem::take(&mut self.state.lock().settled)
    }

    /// Gives back what is ready and more than the consumers have credit for, the latest first: each
    /// with how often it may have reached a consumer.
    pub(in super::super) fn take_surplus(&self) -> Vec<(K, u32)> {
        let state = &mut *self.state.lock();
        let free = state.consumers.iter().map(Consumer::free).fold(0, usize::saturating_add);
        let mut surplus = Vec::new();
        while state.ready.len() > free
            && let Some((_, stored)) = state.ready.pop_last()
        {
            surplus.push((stored.key, stored.attempts));
        }
        surplus
    }

    /// The engine has handed over a message, which was delivered so often before.
    pub(in super::super) fn arrived(&self, key: K, message: SharedMessage, attempts: u32) {
        let state = &mut *self.state.lock();
        state.last += 1;
        state.ready.insert(state.last, Stored { key, message, attempts });
    }

    /// Tells all consumers that the engine refuses them.
    #[cfg(feature = "kafka")]
    pub(in super::super) fn refuse(&self, error: &BrokerError) {
        let consumers: Vec<_> =
            self.state.lock().consumers.iter().map(|it| it.subscriber.clone()).collect();
        for subscriber in consumers {
            subscriber.refuse(error);
        }
    }

    /// How many messages wait for a consumer.
    #[cfg(feature = "kafka")]
    pub(in super::super) fn ready(&self) -> usize {
        self.state.lock().ready.len()
    }

    /// The engine takes back what has one of these keys. Returns those that may have reached a
    /// consumer.
    #[cfg(feature = "kafka")]
    pub(in super::super) fn forget(&self, gone: impl Fn(K) -> bool) -> Vec<K> {
        let state = &mut *self.state.lock();
        let mut delivered = Vec::new();
        state.ready.retain(|_, stored| {
            let gone = gone(stored.key);
            if gone && stored.attempts > 0 {
                delivered.push(stored.key);
            }
            !gone
        });
        let unsettled: Vec<_> =
            state.unsettled.extract_if(|_, assigned| gone(assigned.stored.key)).collect();
        for (_, assigned) in unsettled {
            if let Some(consumer) = state.consumer(assigned.to) {
                consumer.unsettled -= 1;
            }
            if assigned.offered || assigned.stored.attempts > 0 {
                delivered.push(assigned.stored.key);
            }
        }
        delivered
    }

    /// Withdraws by tag what was delivered here and is settled now: each with how often it may have
    /// reached a consumer. A tag of before a loss is ignored: the message comes again.
    pub(in super::super) fn withdraw(&self, settle: &Settle) -> Vec<(Settled<K>, u32)> {
        let withdrawn = self.state.lock().withdraw_settled(settle);
        self.changed.notify_one();
        withdrawn
    }

    /// The consumer's outlet has written all that it had.
    pub(in super::super) fn resume(&self, subscriber: SubscriberId) {
        let state = &mut *self.state.lock();
        let Some(consumer) = state.consumer(subscriber) else { return };
        consumer.stalled = false;
        consumer.resumed += 1;
        self.changed.notify_one();
        let unwritten = std::mem::take(&mut consumer.unwritten);
        self.settle_themselves(state, unwritten.into_iter(), subscriber);
    }
}

/// For an engine that the task of the queue tells of everything.
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq", test))]
impl<K: Copy> Consumers<K> {
    /// How many messages all consumers together may hold.
    pub(in super::super) fn credit(&self) -> usize {
        let state = self.state.lock();
        let prefetch = state.consumers.iter().map(|consumer| consumer.subscriber.prefetch);
        prefetch.fold(0, usize::saturating_add)
    }

    /// As [`withdraw`](Self::withdraw); the task is told by [`take_settled`](Self::take_settled).
    pub(in super::super) fn settle(&self, settle: &Settle) {
        // Under one lock: a loss in between would leave a key of before it, which names another message
        // by then.
        let state = &mut *self.state.lock();
        let withdrawn = state.withdraw_settled(settle);
        state.settled.extend(withdrawn.into_iter().map(|(settled, _)| settled));
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
