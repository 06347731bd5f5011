use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::frame::SharedMessage;
use crate::session::{Delivery, Settlement};

#[cfg(feature = "kafka")]
use super::super::BrokerError;
use super::super::{Settle, Subscriber, SubscriberId, Taken};

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

#[derive(Debug)]
struct State<K> {
    /// The tag of the last message: the first one has 1, since 0 says that there is nothing to
    /// settle. It goes on over losses, so that no tag ever means another message.
    last: u64,
    ready: BTreeMap<u64, Stored<K>>,
    unsettled: HashMap<u64, Assigned<K>>,
    consumers: Vec<Consumer>,
    /// Whose turn it is.
    turn: usize,
    dispatching: bool,
    settled: Vec<Settled<K>>,
    stopping: bool,
    /// Whether what is rejected is made ready again here, and the engine is not told.
    requeues: bool,
}

#[derive(Debug, Clone)]
struct Stored<K> {
    key: K,
    message: SharedMessage,
    /// How often it may have reached a consumer.
    attempts: u32,
}

#[derive(Debug)]
struct Assigned<K> {
    to: SubscriberId,
    stored: Stored<K>,
    /// Whether it may have reached its consumer.
    offered: bool,
}

#[derive(Debug)]
struct Consumer {
    subscriber: Subscriber,
    unsettled: usize,
    /// Its outlet has something of ours that is not written, or is gone.
    stalled: bool,
    /// What it has that is settled when it is written: the tags, in mode `auto`.
    unwritten: Vec<u64>,
    /// How often it was resumed.
    resumed: u64,
}

/// The most messages that are assigned before any of them is delivered.
const ASSIGNED_AT_ONCE: usize = 64;

impl<K: Copy> Consumers<K> {
    pub(in super::super) fn new() -> Self {
        let state = State {
            last: 0,
            ready: BTreeMap::new(),
            unsettled: HashMap::new(),
            consumers: Vec::new(),
            turn: 0,
            dispatching: false,
            settled: Vec::new(),
            stopping: false,
            requeues: false,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
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
        let state = &mut *self.state.lock();
        let withdraw = |tag: &u64| {
            let assigned = state.withdraw(*tag, settle.subscriber)?;
            if settle.settlement == Settlement::Rejected && state.requeues {
                state.put_back(*tag, assigned);
                return None;
            }
            let Stored { key, attempts, .. } = assigned.stored;
            let settled = match settle.settlement {
                Settlement::Acknowledged => Settled::Done(key),
                Settlement::Rejected => Settled::Requeue(key),
            };
            Some((settled, attempts.saturating_add(1)))
        };
        let withdrawn = settle.tags.iter().filter_map(withdraw).collect();
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
        for tag in std::mem::take(&mut consumer.unwritten) {
            self.settle_itself(state, tag, subscriber);
        }
    }

    /// Delivers what is ready to consumers that may have more, in turn, unless somebody is at it,
    /// who then takes it along.
    pub(in super::super) fn dispatch(&self, now: Instant) {
        if std::mem::replace(&mut self.state.lock().dispatching, true) {
            return;
        }
        while let Some(assignments) = self.assign() {
            for (tag, subscriber, stored) in assignments {
                let Some(resumed) = self.offer(tag, subscriber.id) else { continue };
                let delivery =
                    Delivery::new(stored.message).with_tag(tag).with_attempt(stored.attempts + 1);
                // It catches a panic of the outlet, so the mark above is always taken away.
                match subscriber.deliver(std::slice::from_ref(&delivery), now) {
                    Taken::Written if subscriber.settles => {}
                    Taken::Written => {
                        self.settle_itself(&mut self.state.lock(), tag, subscriber.id);
                    }
                    Taken::Queued | Taken::Full => self.queued(tag, &subscriber, resumed),
                    Taken::Gone => self.gone(tag, subscriber.id),
                }
            }
        }
    }

    /// What to deliver next. That there is nothing and that the mark is gone is one step.
    fn assign(&self) -> Option<Vec<(u64, Subscriber, Stored<K>)>> {
        let state = &mut *self.state.lock();
        let assignments = state.assign();
        state.dispatching = !assignments.is_empty();
        state.dispatching.then_some(assignments)
    }

    /// Notes that a message may reach its consumer from now on. Returns how often the consumer was
    /// resumed before; `None` if it has left, or is stalled and gets the message later.
    fn offer(&self, tag: u64, to: SubscriberId) -> Option<u64> {
        let state = &mut *self.state.lock();
        let consumer = state.consumer(to)?;
        let resumed = consumer.resumed;
        if consumer.stalled {
            if let Some(assigned) = state.withdraw(tag, to) {
                state.put_back(tag, assigned);
            }
            return None;
        }
        let assigned = state.unsettled.get_mut(&tag).filter(|assigned| assigned.to == to)?;
        assigned.offered = true;
        Some(resumed)
    }

    /// The consumer's outlet keeps the message until the socket takes it. If it was resumed since
    /// the message was offered, the socket has it already.
    fn queued(&self, tag: u64, subscriber: &Subscriber, resumed: u64) {
        let state = &mut *self.state.lock();
        let Some(consumer) = state.consumer(subscriber.id) else { return };
        if consumer.resumed == resumed {
            consumer.stalled = true;
            if !subscriber.settles {
                consumer.unwritten.push(tag);
            }
        } else if !subscriber.settles {
            self.settle_itself(state, tag, subscriber.id);
        }
    }

    /// In mode `auto` a delivery settles itself once it is written.
    fn settle_itself(&self, state: &mut State<K>, tag: u64, subscriber: SubscriberId) {
        if let Some(assigned) = state.withdraw(tag, subscriber) {
            state.settled.push(Settled::Done(assigned.stored.key));
            self.changed.notify_one();
        }
    }

    /// The consumer was not there any more to take this message. It gets no other one, and is removed
    /// when it unsubscribes.
    fn gone(&self, tag: u64, subscriber: SubscriberId) {
        let state = &mut *self.state.lock();
        if let Some(mut assigned) = state.withdraw(tag, subscriber) {
            assigned.offered = false;
            state.put_back(tag, assigned);
        }
        if let Some(consumer) = state.consumer(subscriber) {
            consumer.stalled = true;
        }
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
        let withdrawn = self.withdraw(settle);
        let state = &mut *self.state.lock();
        state.settled.extend(withdrawn.into_iter().map(|(settled, _)| settled));
        self.changed.notify_one();
    }
}

impl Consumer {
    fn new(subscriber: Subscriber) -> Self {
        Self { subscriber, unsettled: 0, stalled: false, unwritten: Vec::new(), resumed: 0 }
    }

    fn free(&self) -> usize {
        self.subscriber.prefetch.saturating_sub(self.unsettled)
    }
}

impl<K: Copy> State<K> {
    fn consumer(&mut self, id: SubscriberId) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.subscriber.id == id)
    }

    /// Assigns messages to the consumers with credit, in turn. What is about to be given back stays
    /// where it is.
    fn assign(&mut self) -> Vec<(u64, Subscriber, Stored<K>)> {
        let mut assignments = Vec::new();
        while !self.stopping
            && assignments.len() < ASSIGNED_AT_ONCE
            && !self.ready.is_empty()
            && let Some(subscriber) = self.next_consumer()
            && let Some((tag, stored)) = self.ready.pop_first()
        {
            let assigned = Assigned { to: subscriber.id, stored: stored.clone(), offered: false };
            self.unsettled.insert(tag, assigned);
            assignments.push((tag, subscriber, stored));
        }
        assignments
    }

    /// The next in turn who may have another message, and takes its credit.
    fn next_consumer(&mut self) -> Option<Subscriber> {
        let count = self.consumers.len();
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            if let Some(consumer) = self.consumers.get_mut(self.turn)
                && consumer.free() > 0
                && !consumer.stalled
            {
                consumer.unsettled += 1;
                return Some(consumer.subscriber.clone());
            }
        }
        None
    }

    /// Takes back what a consumer has not settled, and gives it credit for another.
    fn withdraw(&mut self, tag: u64, from: SubscriberId) -> Option<Assigned<K>> {
        self.unsettled.get(&tag).filter(|assigned| assigned.to == from)?;
        if let Some(consumer) = self.consumer(from) {
            consumer.unsettled -= 1;
        }
        self.unsettled.remove(&tag)
    }

    /// Makes a message ready again, in its old place.
    fn put_back(&mut self, tag: u64, assigned: Assigned<K>) {
        let attempts = assigned.stored.attempts.saturating_add(assigned.offered.into());
        self.ready.insert(tag, Stored { attempts, ..assigned.stored });
    }

    fn leave(&mut self, subscriber: SubscriberId) {
        self.consumers.retain(|consumer| consumer.subscriber.id != subscriber);
        let returned: Vec<_> =
            self.unsettled.extract_if(|_, assigned| assigned.to == subscriber).collect();
        for (tag, assigned) in returned {
            self.put_back(tag, assigned);
        }
    }
}

#[cfg(test)]
mod tests;
