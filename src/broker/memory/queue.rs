use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::frame::SharedMessage;
use crate::locks::Mutex;
use crate::session::{Delivery, Settlement};

use super::super::{BrokerError, Destination, Settle, Subscriber, SubscriberId, Taken};

/// One queue: what is ready in its order, who consumes, and what they have not settled.
///
/// The lock is never held while something is delivered: messages are assigned under it and
/// delivered after it, by one dispatcher at a time.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// The most bytes that it holds.
    limit: usize,
    /// What all queues hold together.
    total: Arc<Bytes>,
}

/// A bounded count of bytes that several queues share.
#[derive(Debug)]
pub(super) struct Bytes {
    held: AtomicUsize,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    /// The position of the last message, which is also its tag: the first one has 1, since 0 says
    /// that there is nothing to settle.
    last: u64,
    ready: BTreeMap<u64, Stored>,
    unsettled: HashMap<u64, Assigned>,
    consumers: Vec<Consumer>,
    /// Whose turn it is.
    turn: usize,
    /// What its messages take, and those that it has reserved room for.
    bytes: usize,
    dispatching: bool,
}

#[derive(Debug, Clone)]
struct Stored {
    message: SharedMessage,
    /// What it was counted as: it grows when it is first encoded for an older version of STOMP.
    bytes: usize,
    /// How often it may have reached a consumer.
    attempts: u32,
}

#[derive(Debug)]
struct Assigned {
    to: SubscriberId,
    stored: Stored,
    /// Whether it may have reached its consumer.
    offered: bool,
}

#[derive(Debug)]
struct Consumer {
    subscriber: Subscriber,
    unsettled: usize,
    /// Its outlet has something of ours that is not written; it gets no more until it is.
    stalled: bool,
    /// What it has that is settled when it is written: the tags, in mode `auto`.
    unwritten: Vec<u64>,
    /// How often it was resumed.
    resumed: u64,
}

/// The most messages that are assigned before any of them is delivered.
const ASSIGNED_AT_ONCE: usize = 64;

impl Bytes {
    pub(super) fn new(limit: usize) -> Self {
        Self { held: AtomicUsize::new(0), limit }
    }

    pub(super) fn count(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) -> Result<(), BrokerError> {
        let added = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let before = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
        let full = |held| BrokerError::AllFull { bytes: held, limit: self.limit };
        before.map(|_| ()).map_err(full)
    }

    fn subtract(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Queue {
    pub(super) fn new(limit: usize, total: Arc<Bytes>) -> Self {
        Self { state: Mutex::default(), limit, total }
    }

    /// Reserves room for a message of so many bytes, or says why there is none.
    pub(super) fn reserve(
        &self,
        destination: &Destination,
        bytes: usize,
    ) -> Result<(), BrokerError> {
        let state = &mut *self.state.lock();
        if state.bytes.saturating_add(bytes) > self.limit {
            return Err(BrokerError::Full {
                destination: destination.to_string(),
                bytes: state.bytes,
                limit: self.limit,
            });
        }
        self.total.add(bytes)?;
        state.bytes += bytes;
        Ok(())
    }

    /// Gives reserved room back.
    pub(super) fn release(&self, bytes: usize) {
        self.forget(&mut self.state.lock(), bytes);
    }

    /// Adds a message that room was reserved for.
    pub(super) fn add(&self, message: SharedMessage, bytes: usize) {
        let state = &mut *self.state.lock();
        state.last += 1;
        state.ready.insert(state.last, Stored { message, bytes, attempts: 0 });
    }

    /// Adds a consumer, or replaces the one with its id.
    pub(super) fn join(&self, subscriber: Subscriber) {
        let state = &mut *self.state.lock();
        state.leave(subscriber.id);
        state.consumers.push(Consumer::new(subscriber));
    }

    /// Removes a consumer and puts back, in order, what it had not settled.
    pub(super) fn leave(&self, subscriber: SubscriberId) {
        self.state.lock().leave(subscriber);
    }

    pub(super) fn settle(&self, settle: &Settle) {
        let state = &mut *self.state.lock();
        for tag in &settle.tags {
            // Otherwise it was settled before, or put back when its consumer left.
            if let Some(assigned) = state.withdraw(*tag, settle.subscriber) {
                match settle.settlement {
                    Settlement::Acknowledged => self.forget(state, assigned.stored.bytes),
                    Settlement::Rejected => state.put_back(*tag, assigned),
                }
            }
        }
    }

    pub(super) fn messages(&self) -> usize {
        let state = self.state.lock();
        state.ready.len() + state.unsettled.len()
    }

    /// Whether there is nothing in it and nobody at it.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        // Room that is reserved counts as a message.
        state.bytes == 0 && state.consumers.is_empty() && !state.dispatching
    }

    /// Delivers what is ready to consumers that may have more, in turn, unless somebody is at it,
    /// who then takes it along.
    pub(super) fn dispatch(&self, now: Instant) {
        if std::mem::replace(&mut self.state.lock().dispatching, true) {
            return;
        }
        let mut dispatch = Dispatch { queue: self, ended: false };
        while let Some(assignments) = dispatch.next() {
            for (tag, subscriber, stored) in assignments {
                let Some(resumed) = self.offer(tag, subscriber.id) else { continue };
                let delivery =
                    Delivery::new(stored.message).with_tag(tag).with_attempt(stored.attempts + 1);
                match subscriber.deliver(std::slice::from_ref(&delivery), now) {
                    Taken::Written => self.written(tag, &subscriber),
                    Taken::Queued | Taken::Full => self.queued(tag, &subscriber, resumed),
                    Taken::Gone => self.gone(tag, subscriber.id),
                }
            }
        }
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

    /// In mode `auto` a delivery settles itself once it is written.
    fn written(&self, tag: u64, subscriber: &Subscriber) {
        if !subscriber.settles {
            self.settle_itself(&mut self.state.lock(), tag, subscriber.id);
        }
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

    /// The consumer's outlet has written all that it had.
    pub(super) fn resume(&self, subscriber: SubscriberId) {
        let state = &mut *self.state.lock();
        let Some(consumer) = state.consumer(subscriber) else { return };
        consumer.stalled = false;
        consumer.resumed += 1;
        for tag in std::mem::take(&mut consumer.unwritten) {
            self.settle_itself(state, tag, subscriber);
        }
    }

    fn settle_itself(&self, state: &mut State, tag: u64, subscriber: SubscriberId) {
        if let Some(assigned) = state.withdraw(tag, subscriber) {
            self.forget(state, assigned.stored.bytes);
        }
    }

    /// The consumer was not there any more to take this message.
    fn gone(&self, tag: u64, subscriber: SubscriberId) {
        let state = &mut *self.state.lock();
        if let Some(mut assigned) = state.withdraw(tag, subscriber) {
            assigned.offered = false;
            state.put_back(tag, assigned);
        }
        state.leave(subscriber);
    }

    fn forget(&self, state: &mut State, bytes: usize) {
        state.bytes -= bytes;
        self.total.subtract(bytes);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.total.subtract(self.state.get_mut().bytes);
    }
}

/// The one who is dispatching. Holds the queue's mark until nothing can be assigned.
struct Dispatch<'a> {
    queue: &'a Queue,
    ended: bool,
}

impl Dispatch<'_> {
    /// What to deliver next. That there is nothing and that the mark is gone is one step: whoever
    /// adds a message later finds no dispatcher, and dispatches.
    fn next(&mut self) -> Option<Vec<(u64, Subscriber, Stored)>> {
        let state = &mut *self.queue.state.lock();
        let assignments = state.assign();
        self.ended = assignments.is_empty();
        state.dispatching = !self.ended;
        (!self.ended).then_some(assignments)
    }
}

impl Drop for Dispatch<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.queue.state.lock().dispatching = false;
        }
    }
}

impl Consumer {
    fn new(subscriber: Subscriber) -> Self {
        Self { subscriber, unsettled: 0, stalled: false, unwritten: Vec::new(), resumed: 0 }
    }
}

impl State {
    fn consumer(&mut self, id: SubscriberId) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.subscriber.id == id)
    }

    /// Assigns messages to the consumers with credit, in turn.
    fn assign(&mut self) -> Vec<(u64, Subscriber, Stored)> {
        let mut assignments = Vec::new();
        while assignments.len() < ASSIGNED_AT_ONCE
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
                && consumer.unsettled < consumer.subscriber.prefetch
                && !consumer.stalled
            {
                consumer.unsettled += 1;
                return Some(consumer.subscriber.clone());
            }
        }
        None
    }

    /// Takes back what a consumer has not settled, and gives it credit for another.
    fn withdraw(&mut self, tag: u64, from: SubscriberId) -> Option<Assigned> {
        self.unsettled.get(&tag).filter(|assigned| assigned.to == from)?;
        if let Some(consumer) = self.consumer(from) {
            consumer.unsettled -= 1;
        }
        self.unsettled.remove(&tag)
    }

    /// Makes a message ready again, in its old place.
    fn put_back(&mut self, tag: u64, assigned: Assigned) {
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
