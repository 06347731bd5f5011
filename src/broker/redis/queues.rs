use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::super::engine::Upstreams;
use super::super::{BrokerError, Destination, Outcome, Subscriber, SubscriberId};
use super::queue::Queue;
use super::request::{Request, Step};

/// The queues that this node consumes from.
#[derive(Debug, Default)]
pub(super) struct Queues {
    pub(super) upstreams: Upstreams,
    queues: Mutex<HashMap<Destination, Arc<Queue>>>,
}

impl Queues {
    /// Adds a consumer, or replaces the one with its id.
    pub(super) fn join(
        &self,
        destination: &Destination,
        subscriber: &Subscriber,
    ) -> (Arc<Queue>, Outcome) {
        let queue = {
            let mut queues = self.queues.lock();
            let new = || Arc::new(Queue::new(destination.clone()));
            let queue = queues.entry(destination.clone()).or_insert_with(new);
            // Under the lock, so that nobody forgets it in between.
            queue.consumers.leave(subscriber.id);
            queue.consumers.join(subscriber.clone());
            Arc::clone(queue)
        };
        (queue, self.upstreams.join(destination, subscriber))
    }

    /// Removes a consumer. Returns the queue, if it is there.
    pub(super) fn leave(&self, destination: &Destination, id: SubscriberId) -> Option<Arc<Queue>> {
        let queue = self.get(destination);
        if let Some(queue) = &queue {
            queue.consumers.leave(id);
        }
        if self.upstreams.leave(destination, id) {
            self.forget_if_empty(destination);
        }
        queue
    }

    /// A queue that has consumers here, or that the node has not left yet.
    pub(super) fn get(&self, destination: &Destination) -> Option<Arc<Queue>> {
        self.queues.lock().get(destination).cloned()
    }

    /// Whether it is this one that is here by that name.
    pub(super) fn has(&self, destination: &Destination, queue: &Arc<Queue>) -> bool {
        self.queues.lock().get(destination).is_some_and(|it| Arc::ptr_eq(it, queue))
    }

    /// Forgets a queue that has no consumers here and that the node has left.
    pub(super) fn forget_if_empty(&self, destination: &Destination) {
        let mut queues = self.queues.lock();
        if queues.get(destination).is_some_and(|queue| queue.is_over()) {
            queues.remove(destination);
        }
    }

    /// The queues that have no consumers here and that the node has not left, since the connection
    /// was lost meanwhile.
    pub(super) fn abandoned(&self) -> Vec<Destination> {
        let queues = self.queues.lock();
        let abandoned = queues.iter().filter(|(_, queue)| queue.is_abandoned());
        abandoned.map(|(destination, _)| destination.clone()).collect()
    }

    /// Redis refuses a queue. Its consumers stay here for as long as they do not leave.
    pub(super) fn refused(&self, destination: &Destination, error: &BrokerError) {
        if let Some(queue) = self.get(destination) {
            queue.lost();
            queue.joined.store(false, Ordering::Release);
        }
        self.upstreams.refused(destination, error);
        self.forget_if_empty(destination);
    }

    /// The node was taken for dead: what it held, others have.
    pub(super) fn lost(&self) {
        for queue in self.queues.lock().values() {
            queue.lost();
        }
    }

    /// What was asked of Redis was done, or not.
    pub(super) fn answered(&self, request: &Request, done: bool) {
        for step in request.steps() {
            match step {
                Step::Publish(_) | Step::Await(_) => {}
                Step::Acknowledge(destination, ids) => {
                    if let Some(queue) = self.get(destination) {
                        queue.answered(ids.iter().copied(), done);
                    }
                }
                Step::GiveBack(destination, messages) => {
                    if let Some(queue) = self.get(destination) {
                        queue.answered(messages.iter().map(|(id, _)| *id), done);
                    }
                }
            }
        }
    }
}
