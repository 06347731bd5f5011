use std::collections::HashMap;

use parking_lot::Mutex;

use super::super::{Destination, Outcome, Subscriber, SubscriberId, Turn};
use super::node::Node;

/// The subscribers that have asked for history which is not there yet. They join the router when it
/// is, and so miss nothing and get nothing twice.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<Destination, Vec<Subscriber>>>);

impl Waiting {
    /// Adds a subscriber to the router: now, if the node listens to the topic, or when it does.
    pub(super) fn join(
        &self,
        topic: &Destination,
        subscriber: Subscriber,
        node: &Node,
        turn: &mut Turn,
    ) -> Outcome {
        let waiting = &mut *self.0.lock();
        let mut outcome = node.upstreams.join(topic, &subscriber);
        if outcome.take_ready().is_some() {
            node.router.subscribe(topic, subscriber, turn);
            return Outcome::done();
        }
        waiting.entry(topic.clone()).or_default().push(subscriber);
        outcome
    }

    /// A subscriber leaves that may be waiting.
    pub(super) fn leave(&self, topic: &Destination, subscriber: SubscriberId) {
        let waiting = &mut *self.0.lock();
        let Some(subscribers) = waiting.get_mut(topic) else { return };
        subscribers.retain(|waits| waits.id != subscriber);
        if subscribers.is_empty() {
            waiting.remove(topic);
        }
    }

    /// The node listens to a topic, and what was kept is there.
    pub(super) fn end(&self, topic: &Destination, node: &Node) {
        let mut turn = Turn::new(std::time::Instant::now());
        let waiting = &mut *self.0.lock();
        for subscriber in waiting.remove(topic).into_iter().flatten() {
            node.router.subscribe(topic, subscriber, &mut turn);
        }
        // Under the lock: who comes now finds either that the node listens, or that it waits.
        node.upstreams.listening(topic);
    }

    /// Those who wait are refused.
    pub(super) fn forget(&self, topic: &Destination) {
        self.0.lock().remove(topic);
    }
}
