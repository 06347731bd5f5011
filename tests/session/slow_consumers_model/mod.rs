//! What becomes of deliveries to slow consumers against a naive model, whatever is done in whichever
//! order: what is dropped, what is said about it, what is counted, and when the client is closed.

mod steps;
mod subscribed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proptest::prelude::*;
use proptest::sample::Index;
use stompbox::frame::{Command, Decoder, Leniency, Limits};
use stompbox::session::{
    Bare, Delivery, Leaving, Limit, MessageName, Receipt, SessionError, SettleFrame, Settlement,
    SlowConsumer, SlowConsumerAction,
};

use crate::client::{settings, subscribe_frame};
use steps::{Step, What, actions, steps};
use subscribed::{Stage, Subscribed, TIME, Waits, costs, delivery};

const UNSETTLED: usize = 4;

#[derive(Debug, PartialEq, Eq, Default, Clone, Copy)]
struct Counts {
    oldest: u64,
    newest: u64,
    superseded: u64,
    holds: u64,
}

struct Model {
    leaving: Leaving<Bare>,
    now: Instant,
    subscriptions: Vec<Subscribed>,
    counts: Counts,
    /// What was encoded, as the client will read it.
    decoder: Decoder,
    /// How much of what was encoded the socket has not taken.
    left_over: usize,
    unsettled: Vec<(usize, String)>,
    receipts: Vec<String>,
    bodies: usize,
    /// What a delivery costs beside its message, and beside its key.
    cost: usize,
    key_cost: usize,
    over: bool,
}

impl Model {
    fn new() -> Self {
        let now = Instant::now();
        let mut settings = settings();
        settings.unsettled = UNSETTLED;
        let (cost, key_cost) = costs();
        Self {
            leaving: Leaving::new(Bare, Arc::new(settings), now),
            now,
            subscriptions: Vec::new(),
            counts: Counts::default(),
            decoder: Decoder::new(Limits::default(), Leniency::strict()),
            left_over: 0,
            unsettled: Vec::new(),
            receipts: Vec::new(),
            bodies: 0,
            cost,
            key_cost,
            over: false,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Subscribe { settles, policy } => self.subscribe(*settles, *policy),
            Step::Receipt => {
                self.bodies += 1;
                let id = self.bodies.to_string();
                self.leaving.receipt(&Receipt::new(&id));
                self.receipts.push(id);
            }
            Step::Take(most, part) => self.take(*most, Some(*part)),
            Step::Settle(_) if self.unsettled.is_empty() => {}
            Step::Settle(which) => self.settle(which.index(self.unsettled.len())),
            Step::Pass(milliseconds) => {
                self.now += Duration::from_millis(*milliseconds);
                self.keep_deadline();
            }
            _ if self.subscriptions.is_empty() => {}
            Step::Activate(which) => self.activate(which.index(self.subscriptions.len())),
            Step::Unsubscribe(which) => self.unsubscribe(which.index(self.subscriptions.len())),
            Step::Deliver(which, what, direct) => {
                let place = which.index(self.subscriptions.len());
                let deliveries: Vec<_> = what.iter().map(|what| self.delivery(what)).collect();
                self.deliver(place, what, &deliveries, *direct);
            }
        }
        if !self.over {
            self.check();
        }
    }

    fn check(&mut self) {
        let counters = self.leaving.counters();
        let counted = Counts {
            oldest: counters.dropped_oldest,
            newest: counters.dropped_newest,
            superseded: counters.superseded,
            holds: counters.holds,
        };
        assert_eq!(counted, self.counts);
        for subscribed in &self.subscriptions {
            assert_eq!(self.leaving.is_full(subscribed.key), subscribed.full_since.is_some());
            if let Some(due) = subscribed.due() {
                let next = self.leaving.next_overdue().expect("there is a deadline");
                assert!(next <= due, "the deadline is {:?} late", next - due);
            }
        }
        let waits = self.subscriptions.iter().flat_map(|subscribed| &subscribed.waits);
        let cost: usize = waits.map(|waits| waits.cost).sum();
        let held = self.leaving.waiting_bytes() + self.leaving.held_bytes();
        assert!(held >= cost + self.left_over, "{held} for {cost} and {}", self.left_over);
        if cost == 0 && self.receipts.is_empty() {
            // Nothing but what the socket left over, and tickets that were not taken yet.
            assert!(held <= self.left_over + 64 * self.bodies);
        }
    }

    fn subscribe(&mut self, settles: bool, policy: Option<Index>) {
        let it = subscribe_frame(self.subscriptions.len(), settles);
        let key = self.leaving.subscribe(&it).unwrap();
        let policy = policy.map(|policy| {
            let mut slow = SlowConsumer::new(policy.get(&actions()).clone());
            slow.bytes = 2_000;
            slow.time = TIME;
            self.leaving.set_slow_consumer(key, Arc::new(slow.clone()));
            slow
        });
        self.subscriptions.push(Subscribed {
            key,
            settles,
            policy,
            stage: Stage::Unconfirmed,
            waits: Vec::new(),
            gap: false,
            full_since: None,
        });
    }

    fn activate(&mut self, place: usize) {
        let subscribed = &mut self.subscriptions[place];
        if subscribed.stage == Stage::Unconfirmed {
            subscribed.stage = Stage::Confirmed;
            self.leaving.activate(subscribed.key, None);
        }
    }

    fn unsubscribe(&mut self, place: usize) {
        let subscribed = &mut self.subscriptions[place];
        assert_eq!(
            self.leaving.unsubscribe(subscribed.key).is_some(),
            subscribed.stage != Stage::Ended
        );
        subscribed.stage = Stage::Ended;
        subscribed.waits.clear();
        subscribed.full_since = None;
        self.unsettled.retain(|(holder, _)| *holder != place);
    }

    fn delivery(&mut self, what: &What) -> Delivery {
        self.bodies += 1;
        let body = format!("{} {}", self.bodies, "x".repeat(what.padding));
        let delivery = delivery(what.key, &body);
        match (what.pulled, self.bodies % 2) {
            (false, _) => delivery,
            (true, 0) => delivery.with_tag(1),
            (true, _) => delivery.with_retained(true),
        }
    }

    fn deliver(&mut self, place: usize, what: &[What], deliveries: &[Delivery], direct: bool) {
        let Subscribed { key, stage, .. } = self.subscriptions[place];
        let direct =
            direct && !self.leaving.is_waiting() && !self.leaving.holds(key, deliveries.len());
        if direct {
            let mut out = BytesMut::new();
            self.leaving.deliver_into(key, deliveries, &mut out, usize::MAX, self.now);
            if stage != Stage::Ended {
                for (what, delivery) in what.iter().zip(deliveries) {
                    let waits = self.waits(what, delivery, false);
                    self.subscriptions[place].push(waits);
                }
            }
            self.encoded(&out, None);
            return;
        }
        let delivered = self.leaving.deliver(key, deliveries, self.now);
        if stage == Stage::Ended {
            assert_eq!(delivered, Ok(false));
            return;
        }
        for (what, delivery) in what.iter().zip(deliveries) {
            if let Err(limit) = self.admit(place, what, delivery) {
                assert_eq!(delivered.unwrap_err().limit(), Some(limit));
                self.over = true;
                return;
            }
        }
        assert_eq!(delivered, Ok(true));
    }

    fn waits(&self, what: &What, delivery: &Delivery, keyed: bool) -> Waits {
        let key = what.key.filter(|_| keyed);
        let cost = self.cost + delivery.message().size() + key.map_or(0, |_| self.key_cost);
        let body = String::from_utf8(delivery.message().body().to_vec()).unwrap();
        Waits { body, live: !what.pulled, key, cost, since: self.now, gap: false }
    }

    /// What is to become of one delivery.
    fn admit(&mut self, place: usize, what: &What, delivery: &Delivery) -> Result<(), Limit> {
        let now = self.now;
        let policy = self.subscriptions[place].policy.clone();
        let latest = matches!(
            policy.as_ref().map(|policy| &policy.action),
            Some(SlowConsumerAction::KeepLatest { .. })
        );
        let policy =
            policy.filter(|_| self.subscriptions[place].stage == Stage::Confirmed && !what.pulled);
        let waits = self.waits(what, delivery, latest && policy.is_some());
        let subscribed = &mut self.subscriptions[place];
        let Some(SlowConsumer { action, bytes, .. }) = policy else {
            subscribed.push(waits);
            self.counts.holds += u64::from(subscribed.begins_to_hold(now));
            return Ok(());
        };
        match action {
            SlowConsumerAction::Close => {
                if subscribed.is_oldest_overdue(now) {
                    return Err(Limit::SlowConsumerTime);
                }
                if subscribed.exceeds(waits.cost, bytes) {
                    return Err(Limit::SlowConsumerBytes);
                }
            }
            SlowConsumerAction::HoldPublisher => {
                if subscribed.full_since.is_some_and(|since| since + TIME <= now) {
                    return Err(Limit::SlowConsumerTime);
                }
            }
            SlowConsumerAction::DropNewest => {
                if subscribed.is_oldest_overdue(now) || subscribed.exceeds(waits.cost, bytes) {
                    subscribed.gap = true;
                    self.counts.newest += 1;
                    return Ok(());
                }
            }
            SlowConsumerAction::KeepLatest { .. } => {
                let same = |other: &&mut Waits| {
                    other.live && other.key.is_some() && other.key == waits.key
                };
                if let Some(old) = subscribed.waits.iter_mut().find(same) {
                    *old = Waits { gap: true, ..waits };
                    self.counts.superseded += 1;
                    while subscribed.live().count() > 1 && subscribed.bytes() > bytes {
                        subscribed.drop_oldest();
                        self.counts.oldest += 1;
                    }
                    return Ok(());
                }
            }
            _ => {
                while subscribed.is_oldest_overdue(now) {
                    subscribed.drop_oldest();
                    self.counts.oldest += 1;
                }
            }
        }
        while action != SlowConsumerAction::HoldPublisher && subscribed.exceeds(waits.cost, bytes) {
            subscribed.drop_oldest();
            self.counts.oldest += 1;
        }
        subscribed.push(waits);
        self.counts.holds += u64::from(subscribed.begins_to_hold(now));
        Ok(())
    }

    fn keep_deadline(&mut self) {
        if self.over || self.leaving.next_overdue().is_none_or(|due| due > self.now) {
            return;
        }
        let mut refused = None;
        for subscribed in &mut self.subscriptions {
            let Some(due) = subscribed.due() else { continue };
            let drops = subscribed
                .policy
                .as_ref()
                .is_some_and(|policy| policy.action == SlowConsumerAction::DropOldest);
            while drops && subscribed.is_oldest_overdue(self.now) {
                subscribed.drop_oldest();
                self.counts.oldest += 1;
            }
            if !drops && due <= self.now {
                refused = Some(subscribed.key);
                break;
            }
        }
        let done = self.leaving.handle_overdue(self.now);
        assert_eq!(done.is_err(), refused.is_some());
        if let (Err(refusal), Some(key)) = (done, refused) {
            let id = self.leaving.subscription_id(key).unwrap();
            assert!(refusal.headers().any(|header| header == ("subscription", id)));
            assert!(matches!(refusal.error(), Some(SessionError::OverdueSubscription { .. })));
            self.over = true;
        }
    }

    fn settle(&mut self, place: usize) {
        let (_, ack) = self.unsettled.remove(place);
        let settle = SettleFrame {
            message: MessageName::Ack(ack.into()),
            settlement: Settlement::Acknowledged,
            receipt: None,
        };
        assert!(self.leaving.settle(&settle).unwrap().is_some());
    }

    fn take(&mut self, most: usize, part: Option<Index>) {
        let mut out = BytesMut::new();
        self.leaving.take(&mut out, most, self.now);
        self.encoded(&out, part);
    }

    /// Looks at what was encoded, of which the socket takes a part.
    fn encoded(&mut self, bytes: &[u8], part: Option<Index>) {
        let again = self.left_over.min(bytes.len());
        self.left_over -= again;
        let took = part.map_or(bytes.len(), |part| part.index(bytes.len() + 1));
        self.leaving.put_back(&bytes[took..]);
        self.left_over += bytes.len() - took;
        self.decoder.feed_slice(&bytes[again..]);
        while let Some(frame) = self.decoder.next_frame().expect("whole frames, in their order") {
            if frame.command() == Command::Receipt {
                assert_eq!(frame.header("receipt-id").as_deref(), Some(&*self.receipts.remove(0)));
                continue;
            }
            let place: usize = frame.header("subscription").unwrap().parse().unwrap();
            let subscribed = &mut self.subscriptions[place];
            assert_eq!(subscribed.stage, Stage::Confirmed);
            let waits = subscribed.waits.remove(0);
            assert_eq!(frame.body(), waits.body.as_bytes());
            assert_eq!(frame.header("gap").as_deref() == Some("true"), waits.gap);
            if let Some(policy) = &subscribed.policy
                && subscribed.bytes() <= policy.bytes / 2
            {
                subscribed.full_since = None;
            }
            if subscribed.settles {
                self.unsettled.push((place, frame.header("ack").unwrap().into_owned()));
            }
        }
        assert!(self.unsettled.len() <= UNSETTLED);
    }

    /// Confirms, reads and settles until nothing is left.
    fn finish(mut self) {
        if self.over {
            return;
        }
        for place in 0..self.subscriptions.len() {
            self.activate(place);
        }
        self.take(usize::MAX, None);
        while !self.unsettled.is_empty() {
            while !self.unsettled.is_empty() {
                self.settle(0);
            }
            self.take(usize::MAX, None);
        }
        self.check();
        assert!(self.receipts.is_empty());
        assert!(self.subscriptions.iter().all(|subscribed| subscribed.waits.is_empty()));
        for subscribed in &self.subscriptions {
            let key = subscribed.key;
            assert!(!self.leaving.holds(key, UNSETTLED), "something that was dropped is unsettled");
        }
        assert_eq!((self.leaving.waiting_bytes(), self.leaving.held_bytes()), (0, 0));
        assert!(!self.leaving.is_waiting());
    }
}
proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_becomes_of_deliveries_is_what_the_policy_says(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
            if model.over {
                break;
            }
        }
        model.finish();
    }
}
