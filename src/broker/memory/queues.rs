use std::collections::HashMap;
use std::sync::Arc;

use crate::frame::SharedMessage;
use crate::locks::RwLock;

use super::super::{
    BrokerError, Destination, DestinationRules, Settle, Subscriber, SubscriberId, Turn,
};
use super::queue::{Bytes, Queue};

/// The queues of a broker, by destination. One is made at its first message or consumer, and dropped
/// when nothing is left in it.
#[derive(Debug)]
pub(super) struct Queues {
    by_destination: RwLock<HashMap<Destination, Arc<Queue>>>,
    rules: Arc<DestinationRules>,
    /// What all of them hold.
    held: Arc<Bytes>,
}

impl Queues {
    /// No queues yet; all together hold at most `limit` bytes.
    pub(super) fn new(rules: Arc<DestinationRules>, limit: usize) -> Self {
        Self { by_destination: RwLock::default(), rules, held: Arc::new(Bytes::new(limit)) }
    }

    pub(super) fn count(&self) -> usize {
        self.by_destination.read().len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.held.count()
    }

    pub(super) fn messages(&self, destination: &Destination) -> usize {
        self.get(destination).map_or(0, |queue| queue.messages())
    }

    /// Reserves room for a message of so many bytes, or says why there is none.
    pub(super) fn reserve(
        &self,
        destination: &Destination,
        bytes: usize,
    ) -> Result<(), BrokerError> {
        let reserved = self.on(destination, |queue| queue.reserve(destination, bytes));
        if reserved.is_err() {
            self.drop_if_idle(destination);
        }
        reserved
    }

    /// Gives reserved room back.
    pub(super) fn release(&self, destination: &Destination, bytes: usize) {
        self.on(destination, |queue| queue.release(bytes));
        self.drop_if_idle(destination);
    }

    /// Adds a message that room was reserved for.
    pub(super) fn add(
        &self,
        destination: &Destination,
        message: SharedMessage,
        bytes: usize,
        turn: &mut Turn,
    ) {
        self.on(destination, |queue| queue.add(message, bytes));
        self.dispatch(destination, turn);
    }

    pub(super) fn settle(&self, settle: &Settle, turn: &mut Turn) {
        if let Some(queue) = self.get(&settle.destination) {
            queue.settle(settle);
            self.dispatch(&settle.destination, turn);
        }
    }

    pub(super) fn join(&self, destination: &Destination, consumer: Subscriber, turn: &mut Turn) {
        self.on(destination, |queue| queue.join(consumer));
        self.dispatch(destination, turn);
    }

    pub(super) fn leave(&self, destination: &Destination, consumer: SubscriberId, turn: &mut Turn) {
        if let Some(queue) = self.get(destination) {
            queue.leave(consumer);
            self.dispatch(destination, turn);
        }
    }

    pub(super) fn resume(
        &self,
        destination: &Destination,
        consumer: SubscriberId,
        turn: &mut Turn,
    ) {
        if let Some(queue) = self.get(destination) {
            queue.resume(consumer);
            self.dispatch(destination, turn);
        }
    }

    fn get(&self, destination: &Destination) -> Option<Arc<Queue>> {
        self.by_destination.read().get(destination).cloned()
    }

    /// Runs `act` on a queue that is made if it is not there.
    fn on<T>(&self, destination: &Destination, act: impl FnOnce(&Queue) -> T) -> T {
        // The read lock is held while acting, so that nobody drops the queue in between.
        let queues = self.by_destination.read();
        if let Some(queue) = queues.get(destination) {
            return act(queue);
        }
        drop(queues);
        let mut queues = self.by_destination.write();
        let limit = self.rules.policy(destination).queue.bytes;
        let made = || Arc::new(Queue::new(limit, Arc::clone(&self.held)));
        let queue = queues.entry(destination.clone()).or_insert_with(made);
        act(queue)
    }

    fn drop_if_idle(&self, destination: &Destination) {
        let idle = self.get(destination).is_some_and(|queue| queue.is_idle());
        if idle {
            let mut queues = self.by_destination.write();
            if queues.get(destination).is_some_and(|queue| queue.is_idle()) {
                queues.remove(destination);
            }
        }
    }

    fn dispatch(&self, destination: &Destination, turn: &Turn) {
        if let Some(queue) = self.get(destination) {
            queue.dispatch(turn.now());
            drop(queue);
            self.drop_if_idle(destination);
        }
    }
}
