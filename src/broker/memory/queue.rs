use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::frame::SharedMessage;
use crate::session::{Delivery, Settlement};

use super::super::{BrokerError, Destination, Message, Settle, Subscriber, SubscriberId, Taken};

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
    /// The position of the next message, which is also its tag.
    next: u64,
    ready: BTreeMap<u64, Stored>,
    unsettled: HashMap<u64, Assigned>,
    consumers: Vec<Consumer>,
    /// Whose turn it is.
    turn: usize,
    bytes: usize,
    dispatching: bool,
}

#[derive(Debug, Clone)]
struct Stored {
    message: SharedMessage,
    redelivered: bool,
}

#[derive(Debug)]
struct Assigned {
    to: SubscriberId,
    stored: Stored,
}

#[derive(Debug)]
struct Consumer {
    subscriber: Subscriber,
    unsettled: usize,
}

/// The most messages that are assigned before any of them is delivered.
const ASSIGNED_AT_ONCE: usize = 64;

impl Bytes {
    pub(super) fn new(limit: usize) -> Self {
        Self { held: AtomicUsize::new(0), limit }
    }

    fn add(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Queue {
    pub(super) fn new(limit: usize, total: Arc<Bytes>) -> Self {
        Self { state: Mutex::default(), limit, total }
    }

    pub(super) fn add(&self, message: &Message) -> Result<(), BrokerError> {
        let bytes = message.shared().size();
        let state = &mut *self.state.lock();
        self.room(state, message.destination(), bytes, bytes)?;
        state.bytes += bytes;
        self.total.add(bytes);
        let stored = Stored { message: message.shared().clone(), redelivered: false };
        state.ready.insert(state.next, stored);
        state.next += 1;
        Ok(())
    }

    /// Whether `bytes` more fit here, and `total` more into all queues.
    pub(super) fn check_room(
        &self,
        destination: &Destination,
        bytes: usize,
        total: usize,
    ) -> Result<(), BrokerError> {
        self.room(&self.state.lock(), destination, bytes, total)
    }

    fn room(
        &self,
        state: &State,
        destination: &Destination,
        bytes: usize,
        total: usize,
    ) -> Result<(), BrokerError> {
        let held_by_all = self.total.held.load(Ordering::Relaxed);
        let full = |held, limit| BrokerError::Full {
            destination: destination.to_string(),
            bytes: held,
            limit,
        };
        if state.bytes.saturating_add(bytes) > self.limit {
            Err(full(state.bytes, self.limit))
        } else if held_by_all.saturating_add(total) > self.total.limit {
            Err(full(held_by_all, self.total.limit))
        } else {
            Ok(())
        }
    }

    pub(super) fn join(&self, subscriber: Subscriber) {
        self.state.lock().consumers.push(Consumer { subscriber, unsettled: 0 });
    }

    /// Removes a consumer and puts back, in order, what it had not settled.
    pub(super) fn leave(&self, subscriber: SubscriberId) {
        let state = &mut *self.state.lock();
        state.consumers.retain(|consumer| consumer.subscriber.id != subscriber);
        let returned = state.unsettled.extract_if(|_, assigned| assigned.to == subscriber);
        for (tag, assigned) in returned {
            state.ready.insert(tag, Stored { redelivered: true, ..assigned.stored });
        }
    }

    pub(super) fn settle(&self, settle: &Settle) {
        let state = &mut *self.state.lock();
        for tag in &settle.tags {
            if state.unsettled.get(tag).is_none_or(|assigned| assigned.to != settle.subscriber) {
                continue; // Settled before, or put back when its consumer left.
            }
            let Some(assigned) = state.unsettled.remove(tag) else { continue };
            state.give_credit(settle.subscriber);
            match settle.settlement {
                Settlement::Acknowledged => self.forget(state, &assigned.stored),
                Settlement::Rejected => {
                    state.ready.insert(*tag, Stored { redelivered: true, ..assigned.stored });
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
        let empty = state.ready.is_empty() && state.unsettled.is_empty();
        empty && state.consumers.is_empty() && !state.dispatching
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
                let delivery = Delivery::new(stored.message)
                    .with_tag(tag)
                    .with_redelivered(stored.redelivered);
                match subscriber.deliver(std::slice::from_ref(&delivery), now) {
                    Taken::Written | Taken::Queued => self.delivered(tag, &subscriber),
                    Taken::Gone => self.leave(subscriber.id),
                }
            }
        }
    }

    /// In mode `auto` a delivery settles itself.
    fn delivered(&self, tag: u64, subscriber: &Subscriber) {
        if subscriber.settles {
            return;
        }
        let state = &mut *self.state.lock();
        if let Some(assigned) = state.unsettled.remove(&tag) {
            state.give_credit(subscriber.id);
            self.forget(state, &assigned.stored);
        }
    }

    fn forget(&self, state: &mut State, stored: &Stored) {
        let bytes = stored.message.size();
        state.bytes -= bytes;
        self.total.subtract(bytes);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.total.subtract(self.state.get_mut().bytes);
    }
}

/// The one who is dispatching. Holds the queue's mark until nothing can be assigned, or until an
/// outlet panics.
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

impl State {
    /// Assigns messages to the consumers with credit, in turn.
    fn assign(&mut self) -> Vec<(u64, Subscriber, Stored)> {
        let mut assignments = Vec::new();
        while assignments.len() < ASSIGNED_AT_ONCE
            && !self.ready.is_empty()
            && let Some(subscriber) = self.next_consumer()
            && let Some((tag, stored)) = self.ready.pop_first()
        {
            let assigned = Assigned { to: subscriber.id, stored: stored.clone() };
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
            {
                consumer.unsettled += 1;
                return Some(consumer.subscriber.clone());
            }
        }
        None
    }

    fn give_credit(&mut self, to: SubscriberId) {
        let consumer = self.consumers.iter_mut().find(|consumer| consumer.subscriber.id == to);
        if let Some(consumer) = consumer {
            consumer.unsettled -= 1;
        }
    }
}
