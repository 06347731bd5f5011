use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use crate::locks::RwLock;

use super::super::prefixes::{Kind, Prefixes};
use super::super::{
    BrokerError, Destination, DestinationRules, Host, Message, Router, Settle, Subscriber,
    SubscriberId, Turn, room,
};
use super::bytes::Bytes;
use super::counters::Counters;
use super::queue::{Arrival, Queue, State, Terms};
use super::timetable::Timetable;

/// The queues of a broker, by destination. One is made at its first message or consumer, and dropped
/// when nothing is left in it.
pub(super) struct Queues {
    by_destination: RwLock<HashMap<Destination, Arc<Queue>>>,
    rules: Arc<DestinationRules>,
    pub(super) prefixes: Prefixes,
    /// Where dead letters for topics go.
    pub(super) router: Arc<Router>,
    /// What all of them hold.
    held: Arc<Bytes>,
    pub(super) counters: Arc<Counters>,
    timetable: Timetable,
    /// How many queues were made.
    made: AtomicU64,
    host: OnceLock<Arc<dyn Host>>,
    this: Weak<Self>,
}

impl Queues {
    /// No queues yet; all together hold at most `limit` bytes.
    pub(super) fn new(
        rules: Arc<DestinationRules>,
        prefixes: Prefixes,
        router: Arc<Router>,
        limit: usize,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            by_destination: RwLock::default(),
            rules,
            prefixes,
            router,
            held: Arc::new(Bytes::new(limit)),
            counters: Arc::default(),
            timetable: Timetable::default(),
            made: AtomicU64::new(0),
            host: OnceLock::new(),
            this: this.clone(),
        })
    }

    pub(super) fn attach(&self, host: Arc<dyn Host>) {
        // A second host is the caller's mistake, and the first one goes on serving.
        drop(self.host.set(host));
    }

    pub(super) fn host(&self) -> Option<&Arc<dyn Host>> {
        self.host.get()
    }

    pub(super) fn count(&self) -> usize {
        self.by_destination.read().len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.held.count()
    }

    pub(super) fn messages(&self, destination: &Destination) -> usize {
        self.get(destination).map_or(0, |queue| queue.with(|state| state.messages()))
    }

    /// Reserves room for a message of so many bytes, or says why there is none.
    pub(super) fn reserve(
        &self,
        destination: &Destination,
        bytes: usize,
    ) -> Result<(), BrokerError> {
        let reserved = self.on(destination, |queue| queue.reserve(bytes));
        self.note_refusal(destination, &reserved);
        reserved
    }

    /// Gives reserved room back.
    pub(super) fn release(&self, destination: &Destination, bytes: usize) {
        self.on(destination, |queue| queue.release(bytes));
        self.drop_if_idle(destination);
    }

    /// Adds a message that room was reserved for.
    pub(super) fn add(&self, destination: &Destination, arrival: Arrival, turn: &mut Turn) {
        self.on(destination, |queue| {
            queue.add(arrival, turn.now());
            turn.touch_queue(queue);
        });
    }

    /// Adds a message to the queue of its destination, if there is room for it.
    pub(super) fn publish(&self, message: Message, turn: &mut Turn) -> Result<(), BrokerError> {
        let destination = message.destination().clone();
        let mut arrival = Arrival::new(message)?;
        // Most come one behind the other for one queue, which then need not be looked up.
        if let Some(queue) = turn.last_queue()
            && queue.is_at(&destination)
        {
            match queue.accept_unless_dropped(arrival, turn.now()) {
                Ok(accepted) => {
                    self.note_refusal(&destination, &accepted);
                    return accepted;
                }
                Err(back) => arrival = back,
            }
        }
        let accepted = self.on(&destination, |queue| {
            queue.accept(arrival, turn.now())?;
            turn.touch_queue(queue);
            Ok(())
        });
        self.note_refusal(&destination, &accepted);
        accepted
    }

    /// Adds a dead letter, if there is room for it.
    pub(super) fn accept_letter(
        &self,
        destination: &Destination,
        arrival: Arrival,
        turn: &mut Turn,
    ) -> bool {
        let accepted = self.on(destination, |queue| {
            let accepted = queue.accept(arrival, turn.now()).is_ok();
            turn.touch_queue(queue);
            accepted
        });
        if !accepted {
            self.drop_if_idle(destination);
        }
        accepted
    }

    /// Adds a reply to the queue for it. That nobody waits for it, or does not read what waits for
    /// them, is not the mistake of whoever sends it.
    pub(super) fn reply(&self, destination: &Destination, arrival: Arrival, turn: &mut Turn) {
        let taken = self.get(destination).is_some_and(|queue| {
            let awaited = queue.with(|state| state.has_consumers());
            let taken = awaited && queue.accept(arrival, turn.now()).is_ok();
            turn.touch_queue(&queue);
            taken
        });
        if !taken {
            self.counters.undeliverable.increment();
        }
    }

    pub(super) fn settle(&self, settle: &Settle, turn: &mut Turn) {
        if let Some(queue) = self.get(&settle.destination) {
            queue.with(|state| state.settle(settle, turn.now()));
            turn.touch_queue(&queue);
        }
    }

    pub(super) fn join(&self, destination: &Destination, consumer: Subscriber, turn: &mut Turn) {
        self.on(destination, |queue| {
            queue.with(|state| state.join(consumer));
            turn.touch_queue(queue);
        });
    }

    pub(super) fn leave(&self, destination: &Destination, consumer: SubscriberId, turn: &mut Turn) {
        if let Some(queue) = self.get(destination) {
            queue.with(|state| state.leave(consumer));
            turn.touch_queue(&queue);
        }
    }

    pub(super) fn resume(
        &self,
        destination: &Destination,
        consumer: SubscriberId,
        turn: &mut Turn,
    ) {
        if let Some(queue) = self.get(destination) {
            queue.with(|state| state.resume(consumer));
            turn.touch_queue(&queue);
        }
    }

    pub(super) fn rules(&self) -> &DestinationRules {
        &self.rules
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.timetable.next()
    }

    pub(super) fn handle_deadline(&self, turn: &mut Turn) {
        for queue in self.timetable.take_due(turn.now()) {
            queue.with(|state| state.entered = None);
            turn.touch_queue(&queue);
        }
    }

    /// Enters in the timetable when a queue has something to do, if it is not entered for an earlier
    /// time: to look at it too early costs less than to enter each message.
    pub(super) fn enter(&self, at: Instant, queue: &Arc<Queue>) {
        let first = queue.with(|state| {
            if state.entered.is_some_and(|entered| entered <= at) {
                return false;
            }
            let before = state.entered.replace(at);
            self.timetable.enter(at, before, queue)
        });
        if let (true, Some(host)) = (first, self.host()) {
            host.deadline_changed();
        }
    }

    pub(super) fn forget_deadline(&self, at: Instant, number: u64) {
        self.timetable.remove(at, number);
    }

    fn get(&self, destination: &Destination) -> Option<Arc<Queue>> {
        self.by_destination.read().get(destination).cloned()
    }

    /// Runs `act` on a queue that is made if it is not there.
    fn on<T>(&self, destination: &Destination, act: impl FnOnce(&Arc<Queue>) -> T) -> T {
        // The read lock is held while acting, so that nobody drops the queue in between.
        let queues = self.by_destination.read();
        if let Some(queue) = queues.get(destination) {
            return act(queue);
        }
        drop(queues);
        let mut queues = self.by_destination.write();
        let made = || Arc::new(self.make(destination));
        act(queues.entry(destination.clone()).or_insert_with(made))
    }

    fn make(&self, destination: &Destination) -> Queue {
        let terms = Terms {
            policy: self.rules.policy(destination).queue.clone(),
            temporary: self.prefixes.kind(destination) == Some(Kind::Temporary),
            total: Arc::clone(&self.held),
            counters: Arc::clone(&self.counters),
        };
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Queue::new(destination.clone(), number, terms, self.this.clone())
    }

    /// A refused message is counted, and leaves no empty queue behind.
    fn note_refusal(&self, destination: &Destination, result: &Result<(), BrokerError>) {
        if result.is_err() {
            self.counters.refused.increment();
            self.drop_if_idle(destination);
        }
    }

    pub(super) fn drop_if_idle(&self, destination: &Destination) {
        let mut dropped = None;
        if self.get(destination).is_some_and(|queue| queue.with(|state| state.is_idle())) {
            let mut queues = self.by_destination.write();
            if queues.get(destination).is_some_and(|queue| queue.with(State::end_if_idle)) {
                dropped = queues.remove(destination);
                room::give_back(&mut queues);
            }
        }
        drop(dropped);
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("count", &self.count()).finish_non_exhaustive()
    }
}
