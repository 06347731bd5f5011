use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::engine::{Consumers, Settled};
use super::super::{Destination, Settle};
use super::request::Step;
use super::{StreamId, payload};

/// What this node knows of a queue that it consumes from.
#[derive(Debug)]
pub(super) struct Queue {
    destination: Destination,
    pub(super) consumers: Consumers<StreamId>,
    /// What Redis has handed to this node, and has not been confirmed to be settled.
    held: Mutex<Held>,
    /// Whether the node may be in the queue's group at Redis.
    pub(super) joined: AtomicBool,
    /// Whether Redis may have messages that nobody was handed.
    more: AtomicBool,
    /// Whether Redis may have messages down as this node's that it does not know.
    stale: AtomicBool,
    changed: Notify,
    /// Held by whoever talks to Redis about this queue.
    pub(super) at_work: tokio::sync::Mutex<()>,
}

/// The messages that Redis has handed to this node.
#[derive(Debug, Default)]
struct Held {
    /// A consumer has them, or gets them.
    here: HashSet<StreamId>,
    /// They are being acknowledged.
    acknowledged: HashSet<StreamId>,
    /// They are on their way back.
    given_back: HashSet<StreamId>,
}

/// How many messages are acknowledged by one call of a script, which can have some 8,000 arguments.
const ACKNOWLEDGED_AT_ONCE: usize = 1_000;

impl Queue {
    pub(super) fn new(destination: Destination) -> Self {
        Self {
            destination,
            consumers: Consumers::new(),
            held: Mutex::default(),
            joined: AtomicBool::new(false),
            more: AtomicBool::new(true),
            stale: AtomicBool::new(false),
            changed: Notify::new(),
            at_work: tokio::sync::Mutex::default(),
        }
    }

    /// Whether it has no consumers here, and the node may be in its group still.
    pub(super) fn is_abandoned(&self) -> bool {
        self.consumers.is_empty() && self.joined.load(Ordering::Acquire)
    }

    /// Whether it has no consumers here, and the node is not in its group.
    pub(super) fn is_over(&self) -> bool {
        self.consumers.is_empty() && !self.joined.load(Ordering::Acquire)
    }

    /// A message came to the queue.
    pub(super) fn wake(&self) {
        self.more.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Whether Redis may have messages that nobody was handed. Asked once.
    pub(super) fn take_more(&self) -> bool {
        self.more.swap(false, Ordering::AcqRel)
    }

    /// Whether Redis may have messages down as this node's that it does not know. Asked once.
    pub(super) fn take_stale(&self) -> bool {
        self.stale.swap(false, Ordering::AcqRel)
    }

    /// Waits until there may be something to do.
    pub(super) async fn changed(&self) {
        tokio::select! {
            () = self.changed.notified() => {}
            () = self.consumers.changed() => {}
        }
    }

    /// Redis has handed a message to this node, and may have handed it to consumers so often before.
    pub(super) fn arrived(&self, id: StreamId, payload: &[u8], attempts: u32) {
        let new = {
            let held = &mut *self.held.lock();
            // It may have gone back, and come again, before that was confirmed.
            held.given_back.remove(&id);
            // A Redis that has lost its last seconds hands out again what is here.
            !held.acknowledged.contains(&id) && held.here.insert(id)
        };
        if new {
            let message = payload::read_kept(&self.destination, payload);
            self.consumers.arrived(id, message, attempts);
        }
    }

    /// Settles what was delivered here. Returns what Redis is to be told; it has to be
    /// [answered](Self::answered).
    pub(super) fn settle(&self, settle: &Settle) -> Vec<Step> {
        let (mut done, mut back) = (Vec::new(), Vec::new());
        for (settled, attempts) in self.consumers.withdraw(settle) {
            match settled {
                Settled::Done(id) => done.push(id),
                Settled::Requeue(id) => back.push((id, attempts)),
            }
        }
        self.steps(&done, back)
    }

    /// What has settled itself, as with [`settle`](Self::settle).
    pub(super) fn take_settled(&self) -> Vec<Step> {
        let settled = self.consumers.take_settled().into_iter();
        let done: Vec<_> = settled.map(|(Settled::Done(id) | Settled::Requeue(id))| id).collect();
        self.steps(&done, Vec::new())
    }

    fn steps(&self, done: &[StreamId], back: Vec<(StreamId, u32)>) -> Vec<Step> {
        let mut steps = Vec::new();
        let held = &mut *self.held.lock();
        for id in done {
            held.here.remove(id);
            held.acknowledged.insert(*id);
        }
        for (id, _) in &back {
            held.here.remove(id);
            held.given_back.insert(*id);
        }
        for ids in done.chunks(ACKNOWLEDGED_AT_ONCE) {
            steps.push(Step::Acknowledge(self.destination.clone(), ids.to_vec()));
        }
        if !back.is_empty() {
            steps.push(Step::GiveBack(self.destination.clone(), back));
        }
        steps
    }

    /// Redis has settled these, or was not reached in time: then they are this node's still, and are
    /// to be asked for again.
    pub(super) fn answered(&self, ids: impl IntoIterator<Item = StreamId>, settled: bool) {
        let held = &mut *self.held.lock();
        for id in ids {
            held.acknowledged.remove(&id);
            held.given_back.remove(&id);
        }
        if !settled {
            self.stale.store(true, Ordering::Release);
        }
        self.changed.notify_one();
    }

    /// What is ready and nobody here has credit for, in order: each with how often it may have
    /// reached a consumer. The node does not hold it any more.
    pub(super) fn take_surplus(&self) -> Vec<(StreamId, u32)> {
        let mut surplus = self.consumers.take_surplus();
        surplus.reverse();
        let held = &mut *self.held.lock();
        for (id, _) in &surplus {
            held.here.remove(id);
        }
        surplus
    }

    /// What the node holds.
    pub(super) fn held(&self) -> HashSet<StreamId> {
        let held = self.held.lock();
        held.here.iter().chain(&held.acknowledged).chain(&held.given_back).copied().collect()
    }

    /// Whether something is on its way back. What nobody was handed yet comes after it.
    pub(super) fn is_giving_back(&self) -> bool {
        !self.held.lock().given_back.is_empty()
    }

    /// Whether Redis is being told of something that was settled.
    pub(super) fn is_settling(&self) -> bool {
        let held = self.held.lock();
        !held.acknowledged.is_empty() || !held.given_back.is_empty()
    }

    /// What the node held is not its any more.
    pub(super) fn lost(&self) {
        self.consumers.lost();
        *self.held.lock() = Held::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::super::{Settlement, Subscriber, SubscriberId};
    use super::*;
    use crate::broker::{Outlet, Taken};
    use crate::session::{Delivery, SubscriptionKey};

    /// Keeps the tags and the attempts of what it is delivered.
    #[derive(Default)]
    struct Connection(Mutex<Vec<(u64, u32)>>);

    impl Outlet for Connection {
        fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
            self.0.lock().extend(deliveries.iter().map(|it| (it.tag(), it.attempt())));
            Taken::Written
        }
    }

    const WHO: SubscriberId =
        SubscriberId { connection: 1, subscription: SubscriptionKey::new(0, 0) };

    fn id(number: u64) -> StreamId {
        format!("1-{number}").parse().unwrap()
    }

    /// A queue with one consumer.
    fn queue(settles: bool, prefetch: usize) -> (Queue, Arc<Connection>) {
        let queue = Queue::new("/queue/a".parse().unwrap());
        let connection = Arc::<Connection>::default();
        let subscriber = Subscriber::new(WHO, connection.clone()).with_settles(settles);
        queue.consumers.join(subscriber.with_prefetch(Some(prefetch)));
        (queue, connection)
    }

    fn arrive(queue: &Queue, number: u64, attempts: u32) {
        queue.arrived(id(number), b"", attempts);
        queue.consumers.dispatch(Instant::now());
    }

    fn settle(queue: &Queue, tag: u64, settlement: Settlement) -> Vec<Step> {
        let destination = "/queue/a".parse().unwrap();
        queue.settle(&Settle { destination, subscriber: WHO, tags: vec![tag], settlement })
    }

    #[test]
    fn what_is_here_is_not_taken_twice() {
        let (queue, connection) = queue(true, 10);
        arrive(&queue, 1, 0);
        arrive(&queue, 1, 0);
        assert_eq!(*connection.0.lock(), [(1, 1)]);
        let steps = settle(&queue, 1, Settlement::Acknowledged);
        assert!(matches!(&steps[..], [Step::Acknowledge(_, ids)] if *ids == [id(1)]), "{steps:?}");
        arrive(&queue, 1, 1);
        assert_eq!(connection.0.lock().len(), 1, "Redis is about to forget it");
        assert!(queue.is_settling() && !queue.is_giving_back());
        queue.answered([id(1)], true);
        assert!(!queue.is_settling() && queue.held().is_empty() && !queue.take_stale());
    }

    #[test]
    fn what_was_given_back_may_come_again_before_that_is_confirmed() {
        let (queue, connection) = queue(true, 10);
        arrive(&queue, 1, 0);
        let steps = settle(&queue, 1, Settlement::Rejected);
        assert!(matches!(&steps[..], [Step::GiveBack(_, back)] if *back == [(id(1), 1)]));
        assert!(queue.is_giving_back());
        arrive(&queue, 1, 1);
        assert_eq!(*connection.0.lock(), [(1, 1), (2, 2)]);
        queue.answered([id(1)], true);
        assert_eq!(queue.held(), [id(1)].into(), "this time");
    }

    #[test]
    fn what_could_not_be_settled_is_to_be_found_again() {
        let (queue, connection) = queue(true, 10);
        arrive(&queue, 1, 0);
        drop(settle(&queue, 1, Settlement::Acknowledged));
        assert_eq!(queue.held(), [id(1)].into(), "until it is answered");
        queue.answered([id(1)], false);
        assert!(queue.take_stale() && !queue.take_stale());
        assert!(queue.held().is_empty());
        arrive(&queue, 1, 1);
        assert_eq!(*connection.0.lock(), [(1, 1), (2, 2)]);
    }

    #[test]
    fn what_settles_itself_is_acknowledged() {
        let (queue, _connection) = queue(false, 10);
        arrive(&queue, 1, 0);
        arrive(&queue, 2, 0);
        let steps = queue.take_settled();
        assert!(matches!(&steps[..], [Step::Acknowledge(_, ids)] if *ids == [id(1), id(2)]));
        assert!(queue.take_settled().is_empty());
    }

    #[test]
    fn a_thousand_are_acknowledged_at_once() {
        let (queue, _connection) = queue(false, 2_500);
        for number in 0..2_500 {
            arrive(&queue, number, 0);
        }
        let steps = queue.take_settled();
        let counts = steps.iter().map(|step| match step {
            Step::Acknowledge(_, ids) => ids.len(),
            _ => 0,
        });
        assert_eq!(counts.collect::<Vec<_>>(), [1_000, 1_000, 500]);
    }

    #[test]
    fn what_nobody_has_credit_for_is_let_go_in_order() {
        let (queue, _connection) = queue(true, 1);
        for number in 1..4 {
            arrive(&queue, number, 0);
        }
        assert_eq!(queue.take_surplus(), [(id(2), 0), (id(3), 0)]);
        assert_eq!(queue.held(), [id(1)].into());
        queue.consumers.leave(WHO);
        assert_eq!(queue.take_surplus(), [(id(1), 1)]);
        assert!(queue.held().is_empty());
    }
}
