//! A queue against a naive model: a list of messages, each with what is known of it.
//!
//! Who of several consumers gets a message is the queue's affair, so the model follows what was
//! delivered and says whether it was allowed: the oldest message that waits, to somebody who may
//! have more, with the right count. When a turn has ended, nothing may be left that could have been
//! delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proptest::prelude::*;
use stompbox::broker::{
    Broker, MemoryBroker, Message, Outlet, QueueOverflow, QueuePolicy, RejectedPolicy, Settlement,
    Subscriber, Taken, Turn,
};
use stompbox::session::{Delivery, SubscriptionKey};

use crate::recorder::{Calls, Recorder, destination, done, id, queue_policy, settle, subscriber};

const QUEUE: &str = "/queue/a";
const DEAD: &str = "/queue/dead";

#[derive(Debug, Clone)]
enum Step {
    /// With an expiration in milliseconds, perhaps.
    Send(Option<u64>),
    /// With a prefetch.
    Join(u8, usize),
    Leave(u8),
    /// Settles the unsettled message at this place of a consumer.
    Ack(u8, usize),
    Nack(u8, usize),
    Advance(u64),
}

fn steps(expires: bool) -> impl Strategy<Value = Vec<Step>> {
    let expiration = prop::option::of(0..3_000u64).prop_map(move |it| it.filter(|_| expires));
    let step = prop_oneof![
        4 => expiration.prop_map(Step::Send),
        1 => (0..3u8, 1..4usize).prop_map(|(c, prefetch)| Step::Join(c, prefetch)),
        1 => (0..3u8).prop_map(Step::Leave),
        2 => (0..3u8, 0..4usize).prop_map(|(c, place)| Step::Ack(c, place)),
        2 => (0..3u8, 0..4usize).prop_map(|(c, place)| Step::Nack(c, place)),
        1 => (1..2_000u64).prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 0..80)
}

/// Bounds and times are not put to the test together: what has expired counts until it is looked
/// for, which is the queue's affair as well.
fn policies() -> impl Strategy<Value = QueuePolicy> {
    let rejected = prop_oneof![
        Just(RejectedPolicy::Requeue),
        Just(RejectedPolicy::Discard),
        Just(RejectedPolicy::DeadLetter),
        (1..3_000u64).prop_map(|time| RejectedPolicy::Delay(Duration::from_millis(time))),
    ];
    let bound = prop::option::of((1..6usize, any::<bool>()));
    let parts = (rejected, bound, prop::option::of(1..4u32), any::<bool>());
    parts.prop_map(|(rejected, bound, deliveries, dead_letter)| {
        let mut policy = QueuePolicy::default();
        policy.rejected = rejected;
        policy.deliveries = deliveries;
        policy.dead_letter = dead_letter.then(|| destination(DEAD));
        if let Some((messages, drops_oldest)) = bound {
            policy.messages = messages;
            if drops_oldest {
                policy.overflow = QueueOverflow::DropOldest;
            }
        }
        policy
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Ready,
    Delayed(Instant),
    With(u8),
}

#[derive(Debug)]
struct Known {
    body: String,
    attempts: u32,
    expires: Option<Instant>,
    at: Where,
    tag: u64,
}

struct Model {
    policy: QueuePolicy,
    /// In their order.
    messages: Vec<Known>,
    /// With their prefetch.
    consumers: BTreeMap<u8, usize>,
    dead: Vec<(String, &'static str)>,
    refused: u64,
    dropped: u64,
    discarded: u64,
    now: Instant,
}

impl Model {
    fn send(&mut self, body: String, expiration: Option<u64>) -> bool {
        if self.messages.len() >= self.policy.messages {
            let oldest = self.messages.iter().position(|it| !matches!(it.at, Where::With(_)));
            match (self.policy.overflow, oldest) {
                (QueueOverflow::DropOldest, oldest) => {
                    self.dropped += 1;
                    match oldest {
                        Some(oldest) => drop(self.messages.remove(oldest)),
                        None => return true,
                    }
                }
                _ => {
                    self.refused += 1;
                    return false;
                }
            }
        }
        let expires = expiration.map(|time| self.now + Duration::from_millis(time));
        self.messages.push(Known { body, attempts: 0, expires, at: Where::Ready, tag: 0 });
        true
    }

    /// The message at this place of those that a consumer has.
    fn with(&self, consumer: u8, place: usize) -> Option<usize> {
        let has = |(_, known): &(usize, &Known)| known.at == Where::With(consumer);
        self.messages.iter().enumerate().filter(has).nth(place).map(|(index, _)| index)
    }

    fn nack(&mut self, index: usize) {
        match self.policy.rejected {
            RejectedPolicy::Requeue => self.put_back(index, Where::Ready),
            RejectedPolicy::Delay(time) => self.put_back(index, Where::Delayed(self.now + time)),
            RejectedPolicy::Discard => {
                self.discarded += 1;
                self.messages.remove(index);
            }
            RejectedPolicy::DeadLetter => self.die(index, "rejected"),
            other => panic!("{other:?} is not modelled"),
        }
    }

    fn put_back(&mut self, index: usize, at: Where) {
        if self.policy.deliveries.is_some_and(|most| self.messages[index].attempts >= most) {
            self.die(index, "too many deliveries");
        } else {
            self.messages[index].at = at;
        }
    }

    fn die(&mut self, index: usize, reason: &'static str) {
        let known = self.messages.remove(index);
        if self.policy.dead_letter.is_some() {
            self.dead.push((known.body, reason));
        } else if reason != "expired" {
            self.discarded += 1;
        }
    }

    fn leave(&mut self, consumer: u8) {
        self.consumers.remove(&consumer);
        while let Some(index) = self.with(consumer, 0) {
            self.put_back(index, Where::Ready);
        }
    }

    fn may_have_more(&self, consumer: u8) -> bool {
        let has = self.messages.iter().filter(|known| known.at == Where::With(consumer)).count();
        self.consumers.get(&consumer).is_some_and(|prefetch| has < *prefetch)
    }

    /// The oldest message that must be delivered if somebody waits for it. At the very instant at
    /// which one expires it may have been found already.
    fn next(&self) -> Option<usize> {
        self.messages.iter().position(|known| {
            known.at == Where::Ready && known.expires.is_none_or(|expires| expires > self.now)
        })
    }

    fn delivered(&mut self, consumer: u8, delivery: &Delivery) {
        assert!(self.may_have_more(consumer), "{consumer} has enough");
        let body = delivery.message().body();
        let place = self.messages.iter().position(|known| known.body.as_bytes() == body).unwrap();
        assert!(self.next().is_none_or(|next| place <= next), "an older one waits");
        let known = &mut self.messages[place];
        assert_eq!(known.at, Where::Ready);
        assert!(known.expires.is_none_or(|expires| expires >= self.now), "it has expired");
        known.attempts += 1;
        assert_eq!(delivery.attempt(), known.attempts);
        known.at = Where::With(consumer);
        known.tag = delivery.tag();
    }

    fn advance(&mut self, time: u64) {
        self.now += Duration::from_millis(time);
        for known in &mut self.messages {
            if matches!(known.at, Where::Delayed(until) if until <= self.now) {
                known.at = Where::Ready;
            }
        }
    }

    /// All that expires has expired, and all consumers have left.
    fn end(&mut self) -> u64 {
        let has_time = |known: &Known| known.expires.is_some();
        let mut expired = 0;
        while let Some(index) = self.messages.iter().position(has_time) {
            self.die(index, "expired");
            expired += 1;
        }
        expired
    }
}

/// What all consumers were delivered, in one order.
#[derive(Default)]
struct Log(Mutex<Vec<(u8, Delivery)>>);

struct Consumer(u8, Arc<Log>);

impl Outlet for Consumer {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        self.1.0.lock().extend(deliveries.iter().map(|delivery| (self.0, delivery.clone())));
        Taken::Written
    }
}

struct Pair {
    broker: MemoryBroker,
    log: Arc<Log>,
    model: Model,
}

impl Pair {
    fn new(policy: QueuePolicy) -> Self {
        let rule = queue_policy(QUEUE, |set| *set = policy.clone());
        let model = Model {
            policy,
            messages: Vec::new(),
            consumers: BTreeMap::new(),
            dead: Vec::new(),
            refused: 0,
            dropped: 0,
            discarded: 0,
            now: Instant::now(),
        };
        Self { broker: MemoryBroker::builder().rule(rule).build(), log: Arc::default(), model }
    }

    fn turn(&self) -> Turn {
        Turn::new(self.model.now)
    }

    fn step(&mut self, step: &Step, number: usize) {
        match *step {
            Step::Send(expiration) => self.send(number, expiration),
            Step::Join(c, _) if self.model.consumers.contains_key(&c) => {}
            Step::Join(c, prefetch) => self.join(c, prefetch),
            Step::Leave(c) => self.leave(c),
            Step::Ack(c, place) => self.settle(c, place, Settlement::Acknowledged),
            Step::Nack(c, place) => self.settle(c, place, Settlement::Rejected),
            Step::Advance(time) => {
                self.model.advance(time);
                self.handle_deadlines();
            }
        }
        for (consumer, delivery) in std::mem::take(&mut *self.log.0.lock()) {
            self.model.delivered(consumer, &delivery);
        }
        let idle = self.model.consumers.keys().any(|consumer| self.model.may_have_more(*consumer));
        assert!(!idle || self.model.next().is_none(), "a message waits for a consumer that waits");
    }

    fn send(&mut self, number: usize, expiration: Option<u64>) {
        let mut message = Message::builder(destination(QUEUE));
        if let Some(expiration) = expiration {
            message = message.header("expiration", expiration.to_string());
        }
        let message = message.body(number.to_string());
        let sent = done(self.broker.publish(message, &mut self.turn())).is_ok();
        assert_eq!(self.model.send(number.to_string(), expiration), sent);
    }

    fn join(&mut self, c: u8, prefetch: usize) {
        let outlet = Arc::new(Consumer(c, Arc::clone(&self.log)));
        let joining =
            Subscriber::new(id(c.into()), outlet).with_settles(true).with_prefetch(Some(prefetch));
        let turn = &mut self.turn();
        done(self.broker.subscribe(&destination(QUEUE), joining, turn)).unwrap();
        self.model.consumers.insert(c, prefetch);
    }

    fn leave(&mut self, c: u8) {
        let turn = &mut self.turn();
        done(self.broker.unsubscribe(&destination(QUEUE), id(c.into()), turn)).unwrap();
        self.model.leave(c);
    }

    fn settle(&mut self, c: u8, place: usize, settlement: Settlement) {
        let Some(index) = self.model.with(c, place) else { return };
        let tag = self.model.messages[index].tag;
        let settled = settle(QUEUE, c.into(), &[tag], settlement);
        done(Broker::settle(&self.broker, settled, &mut self.turn())).unwrap();
        match settlement {
            Settlement::Acknowledged => drop(self.model.messages.remove(index)),
            Settlement::Rejected => self.model.nack(index),
        }
    }

    fn handle_deadlines(&self) {
        while self.broker.next_deadline().is_some_and(|next| next <= self.model.now) {
            self.broker.handle_deadline(&mut self.turn());
        }
    }

    /// All consumers leave, and all that expires does.
    fn end(mut self) {
        for consumer in 0..3 {
            self.step(&Step::Leave(consumer), 0);
        }
        self.step(&Step::Advance(3_001), 0);
        self.step(&Step::Advance(1_001), 0);
        let expired = self.model.end();
        let counters = self.broker.counters();
        let Model { refused, dropped, discarded, dead, messages, .. } = self.model;
        assert_eq!((counters.refused, counters.dropped), (refused, dropped));
        assert_eq!((counters.discarded, counters.expired), (discarded, expired));
        assert_eq!(self.broker.queued(&destination(QUEUE)), messages.len());
        let mut dead: Vec<_> =
            dead.into_iter().map(|(body, reason)| (body, reason.into())).collect();
        dead.sort_unstable();
        assert_eq!(letters(&self.broker), dead);
        let outlet = Recorder::new();
        self.broker.joins(QUEUE, subscriber(9, &outlet)).unwrap();
        let left: Vec<_> = messages.into_iter().map(|known| known.body).collect();
        assert_eq!(outlet.bodies(), left);
        self.broker.leaves(QUEUE, 9);
        assert_eq!((self.broker.queues(), self.broker.queued_bytes()), (0, 0));
    }
}

/// The dead letters and why they are dead, in no particular order; afterwards there are none.
fn letters(broker: &MemoryBroker) -> Vec<(String, String)> {
    let outlet = Recorder::new();
    broker.joins(DEAD, subscriber(9, &outlet)).unwrap();
    broker.leaves(DEAD, 9);
    let messages = outlet.messages();
    let mut letters: Vec<_> = messages
        .iter()
        .map(|message| {
            let frame = message.frame().unwrap();
            let reason = frame.header("dead-letter-reason").unwrap().into_owned();
            (String::from_utf8(message.body().to_vec()).unwrap(), reason)
        })
        .collect();
    letters.sort_unstable();
    letters
}

/// With times where there are no bounds, and bounds where there are no times.
fn cases() -> impl Strategy<Value = (QueuePolicy, Vec<Step>)> {
    policies().prop_flat_map(|policy| {
        let bounded = policy.messages < QueuePolicy::default().messages;
        (Just(policy), steps(!bounded))
    })
}

proptest! {
    #[test]
    fn a_queue_does_what_a_list_would_do((policy, steps) in cases()) {
        let mut pair = Pair::new(policy);
        for (number, step) in steps.iter().enumerate() {
            pair.step(step, number);
        }
        pair.end();
    }
}
