use std::sync::Arc;
use std::time::Instant;

use super::dispatch::{ASSIGNED_AT_ONCE, RUN_BYTES};
use super::*;
use crate::broker::{Outlet, Taken};
use crate::session::{Delivery, Settlement, SubscriptionKey};

/// A connection whose answer the test gives.
struct Connection {
    answer: Mutex<Taken>,
    /// The bodies that came, and how often each was delivered with that.
    received: Mutex<Vec<(u64, String, u32)>>,
    /// How many came together.
    together: Mutex<Vec<usize>>,
}

impl Outlet for Connection {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        let answer = *self.answer.lock();
        if answer != Taken::Gone {
            let received = deliveries.iter().map(|it| {
                let body = String::from_utf8_lossy(it.message().body()).into_owned();
                (it.tag(), body, it.attempt())
            });
            self.received.lock().extend(received);
            self.together.lock().push(deliveries.len());
        }
        answer
    }
}

impl Connection {
    fn new(answer: Taken) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(answer),
            received: Mutex::default(),
            together: Mutex::default(),
        })
    }

    fn bodies(&self) -> Vec<(String, u32)> {
        let received = self.received.lock();
        received.iter().map(|(_, body, attempt)| (body.clone(), *attempt)).collect()
    }

    fn tags(&self) -> Vec<u64> {
        self.received.lock().iter().map(|(tag, ..)| *tag).collect()
    }
}

struct Queue {
    consumers: Consumers<u64>,
    now: Instant,
}

impl Queue {
    fn new() -> Self {
        Self { consumers: Consumers::new(), now: Instant::now() }
    }

    fn join(&self, number: u64, outlet: &Arc<Connection>, settles: bool, prefetch: usize) {
        let subscriber = Subscriber::new(id(number), outlet.clone()).with_settles(settles);
        self.consumers.join(subscriber.with_prefetch(Some(prefetch)));
        self.consumers.dispatch(self.now);
    }

    /// Messages whose bodies are their keys.
    fn arrive(&self, keys: std::ops::Range<u64>) {
        for key in keys {
            let none: [(&str, &str); 0] = [];
            let message = SharedMessage::new("/queue/a", none, key.to_string().as_bytes());
            self.consumers.arrived(key, message, 0);
        }
        self.consumers.dispatch(self.now);
    }

    fn settle(&self, number: u64, tags: &[u64], settlement: Settlement) {
        self.consumers.settle(&settle(number, tags, settlement));
        self.consumers.dispatch(self.now);
    }
}

fn settle(number: u64, tags: &[u64], settlement: Settlement) -> Settle {
    Settle {
        destination: "/queue/a".parse().unwrap(),
        subscriber: id(number),
        tags: tags.to_vec(),
        settlement,
    }
}

fn id(connection: u64) -> SubscriberId {
    SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) }
}

fn firsts(bodies: &[&str]) -> Vec<(String, u32)> {
    bodies.iter().map(|body| ((*body).to_owned(), 1)).collect()
}

#[test]
fn it_asks_for_what_its_consumers_may_hold_and_pauses_there() {
    let (queue, one) = (Queue::new(), Connection::new(Taken::Written));
    assert_eq!((queue.consumers.credit(), queue.consumers.is_empty()), (0, true));
    queue.join(1, &one, true, 2);
    assert_eq!(queue.consumers.credit(), 2);
    queue.arrive(0..3);
    assert_eq!(one.bodies(), firsts(&["0", "1"]));
    queue.settle(1, &one.tags()[..1], Settlement::Acknowledged);
    assert_eq!(queue.consumers.take_settled(), [Settled::Done(0)]);
    assert_eq!(one.bodies(), firsts(&["0", "1", "2"]));
    queue.settle(1, &one.tags()[1..2], Settlement::Rejected);
    assert_eq!(queue.consumers.take_settled(), [Settled::Requeue(1)]);
    // By somebody else, or twice, it is ignored.
    queue.settle(2, &one.tags()[2..], Settlement::Acknowledged);
    queue.settle(1, &one.tags()[..1], Settlement::Acknowledged);
    assert_eq!(queue.consumers.take_settled(), []);
}

#[test]
fn in_mode_auto_what_is_written_is_done() {
    let (queue, one) = (Queue::new(), Connection::new(Taken::Queued));
    queue.join(1, &one, false, 10);
    queue.arrive(0..1);
    queue.arrive(1..2);
    assert_eq!(one.bodies(), firsts(&["0"]), "it is blocked");
    assert_eq!(queue.consumers.take_settled(), []);
    *one.answer.lock() = Taken::Written;
    queue.consumers.resume(id(1));
    queue.consumers.dispatch(queue.now);
    assert_eq!(one.bodies(), firsts(&["0", "1"]));
    assert_eq!(queue.consumers.take_settled(), [Settled::Done(0), Settled::Done(1)]);
}

#[test]
fn what_is_ready_is_delivered_together_and_shared_in_turn() {
    let (queue, one, other) =
        (Queue::new(), Connection::new(Taken::Written), Connection::new(Taken::Written));
    queue.join(1, &one, true, 100);
    queue.join(2, &other, true, 2);
    queue.arrive(0..6);
    assert_eq!(one.bodies(), firsts(&["1", "3", "4", "5"]));
    assert_eq!(other.bodies(), firsts(&["0", "2"]));
    assert_eq!((&*one.together.lock(), &*other.together.lock()), (&vec![4], &vec![2]));
    queue.arrive(6..6 + 2 * ASSIGNED_AT_ONCE as u64);
    let received = one.bodies().len();
    assert_eq!(received, 100, "as many as it may hold");
    assert_eq!(one.together.lock()[1], ASSIGNED_AT_ONCE);
}

#[test]
fn a_run_fits_one_write() {
    let (queue, one) = (Queue::new(), Connection::new(Taken::Queued));
    queue.join(1, &one, true, 100);
    let none: [(&str, &str); 0] = [];
    for key in 0..10 {
        let message = SharedMessage::new("/queue/a", none, &[b'-'; RUN_BYTES / 4]);
        queue.consumers.arrived(key, message, 0);
    }
    queue.consumers.dispatch(queue.now);
    assert_eq!(*one.together.lock(), [4], "and whoever does not take it gets no more");
}

#[test]
fn what_one_leaves_unsettled_another_gets_in_order_and_marked() {
    let (queue, one) = (Queue::new(), Connection::new(Taken::Written));
    queue.join(1, &one, true, 10);
    queue.arrive(0..3);
    assert!(queue.consumers.leave(id(1)));
    assert!(!queue.consumers.leave(id(1)));
    let other = Connection::new(Taken::Written);
    queue.join(2, &other, true, 10);
    let again: Vec<_> = ["0", "1", "2"].map(|body| (body.to_owned(), 2)).into();
    assert_eq!(other.bodies(), again);
}

#[test]
fn what_nobody_has_credit_for_goes_back_the_latest_first() {
    let (queue, one) = (Queue::new(), Connection::new(Taken::Written));
    let blocked = Connection::new(Taken::Queued);
    queue.join(1, &one, true, 3);
    queue.join(2, &blocked, true, 1);
    queue.arrive(0..4);
    assert!(queue.consumers.leave(id(1)));
    assert_eq!(queue.consumers.credit(), 1);
    let surplus = queue.consumers.take_surplus();
    assert_eq!(surplus.len(), 3);
    assert!(
        surplus.iter().all(|(_, attempts)| *attempts == 1),
        "the one that left may have had it"
    );
    assert!(surplus.is_sorted_by(|one, next| one > next));
    assert!(queue.consumers.take_surplus().is_empty());
}

#[test]
fn who_is_blocked_wants_nothing() {
    let (queue, one) = (Queue::new(), Connection::new(Taken::Queued));
    queue.join(1, &one, true, 3);
    assert_eq!(queue.consumers.wanted(), 3);
    queue.arrive(0..1);
    assert_eq!(queue.consumers.wanted(), 0);
    queue.join(2, &Connection::new(Taken::Written), true, 2);
    assert_eq!(queue.consumers.wanted(), 2);
    queue.arrive(1..2);
    assert_eq!(queue.consumers.wanted(), 1);
    queue.consumers.resume(id(1));
    assert_eq!(queue.consumers.wanted(), 3);
}

#[test]
fn what_is_withdrawn_says_how_often_it_was_out() {
    let (queue, one) = (Queue::new(), Connection::new(Taken::Written));
    queue.join(1, &one, true, 3);
    queue.arrive(0..2);
    queue.consumers.leave(id(1));
    queue.join(2, &one, true, 3);
    let (rejected, tag) = (Settlement::Rejected, &one.tags()[2..3]);
    let withdrawn = queue.consumers.withdraw(&settle(2, tag, rejected));
    assert_eq!(withdrawn, [(Settled::Requeue(0), 2)]);
    assert_eq!(queue.consumers.withdraw(&settle(2, tag, rejected)), []);
    assert_eq!(queue.consumers.take_settled(), [], "the task need not be told");
}

#[test]
fn a_tag_of_before_a_loss_settles_nothing() {
    let (queue, one) = (Queue::new(), Connection::new(Taken::Written));
    queue.join(1, &one, true, 1);
    queue.arrive(0..1);
    queue.consumers.lost();
    queue.arrive(0..1);
    assert_eq!(one.bodies().len(), 2, "the credit is back");
    queue.settle(1, &one.tags()[..1], Settlement::Acknowledged);
    assert_eq!(queue.consumers.take_settled(), []);
    queue.settle(1, &one.tags()[1..], Settlement::Acknowledged);
    assert_eq!(queue.consumers.take_settled(), [Settled::Done(0)]);
}

#[test]
fn one_that_is_gone_gets_nothing_more_and_counts_as_no_delivery() {
    let (queue, gone) = (Queue::new(), Connection::new(Taken::Gone));
    queue.join(1, &gone, true, 10);
    queue.arrive(0..1);
    let other = Connection::new(Taken::Written);
    queue.join(2, &other, true, 10);
    assert_eq!(other.bodies(), firsts(&["0"]));
    assert!(queue.consumers.leave(id(1)), "until it unsubscribes it is there");
}

#[test]
fn it_stops_when_it_is_told_to() {
    let queue = Queue::new();
    let one = Connection::new(Taken::Written);
    queue.consumers.stop();
    assert!(queue.consumers.is_stopping());
    queue.join(1, &one, true, 1);
    queue.arrive(0..1);
    assert_eq!(one.bodies(), firsts(&[]), "what is about to be given back is handed out to nobody");
    queue.consumers.begin();
    assert!(!queue.consumers.is_stopping());
    queue.consumers.dispatch(queue.now);
    assert_eq!(one.bodies(), firsts(&["0"]));
}

#[cfg(feature = "kafka")]
#[test]
fn an_engine_that_takes_nothing_back_is_not_told_of_what_is_rejected() {
    let (mut queue, one) = (Queue::new(), Connection::new(Taken::Written));
    queue.consumers = Consumers::with_requeue();
    queue.join(1, &one, true, 2);
    queue.arrive(0..3);
    assert_eq!(queue.consumers.ready(), 1);
    queue.settle(1, &one.tags()[..1], Settlement::Rejected);
    assert_eq!(queue.consumers.take_settled(), []);
    let again = ("0".to_owned(), 2);
    assert_eq!(one.bodies(), [firsts(&["0", "1"]), vec![again]].concat(), "in its old place");
}

#[cfg(feature = "kafka")]
#[test]
fn what_the_engine_takes_back_is_settled_by_nobody() {
    let (queue, one) = (Queue::new(), Connection::new(Taken::Written));
    queue.join(1, &one, true, 2);
    queue.arrive(0..6);
    assert_eq!(queue.consumers.forget(|key| key != 1), [0]);
    assert_eq!(queue.consumers.ready(), 0);
    queue.settle(1, &one.tags(), Settlement::Acknowledged);
    assert_eq!(queue.consumers.take_settled(), [Settled::Done(1)]);
    queue.arrive(6..9);
    assert_eq!(one.bodies().len(), 4, "the credit is back");
}
