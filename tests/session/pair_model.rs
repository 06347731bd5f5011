//! Both ends against a simple model, whatever is asked for and however the wire cuts it.
//!
//! A server does what it is asked in the order in which it was asked, so the model does each thing
//! at once; in the end both must have come to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use stompbox::frame::Version;
use stompbox::session::{AckMode, Confirm};

use crate::pair::Pair;

const JOBS: &str = "/queue/jobs";
const NEWS: &str = "/topic/news";

#[derive(Debug, Clone)]
enum Step {
    Listen,
    Consume(bool),
    Unsubscribe(Index),
    Send {
        queue: bool,
        transaction: Option<Index>,
    },
    Ack {
        which: Index,
        transaction: Option<Index>,
    },
    Nack(Index),
    Begin,
    End {
        which: Index,
        commits: bool,
    },
    /// So many milliseconds pass.
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let transaction = || prop::option::weighted(0.4, any::<Index>());
    let step = prop_oneof![
        1 => Just(Step::Listen),
        2 => any::<bool>().prop_map(Step::Consume),
        1 => index().prop_map(Step::Unsubscribe),
        6 => (any::<bool>(), transaction())
            .prop_map(|(queue, transaction)| Step::Send { queue, transaction }),
        4 => (index(), transaction()).prop_map(|(which, transaction)| Step::Ack { which, transaction }),
        1 => index().prop_map(Step::Nack),
        2 => Just(Step::Begin),
        2 => (index(), any::<bool>()).prop_map(|(which, commits)| Step::End { which, commits }),
        6 => (0..40_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..60)
}

/// Something that a transaction holds back.
enum Held {
    Send { queue: bool, body: String },
    Ack { subscription: String, delivery: Delivered },
}

/// One delivery: what was rejected comes again as another one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Delivered {
    number: usize,
    body: String,
}

#[derive(Default)]
struct Model {
    /// What each live or ended subscription to the topic is to be sent.
    news: BTreeMap<String, Vec<String>>,
    /// The consumers that are live, and whether each is cumulative.
    consumers: BTreeMap<String, bool>,
    listeners: BTreeSet<String>,
    transactions: BTreeMap<String, Vec<Held>>,
    /// What each consumer was delivered and the model has not settled, oldest first.
    unsettled: BTreeMap<String, Vec<Delivered>>,
    /// What the queue was sent.
    queued: BTreeSet<String>,
    /// What was acknowledged: it never comes again.
    settled: BTreeSet<String>,
    requests: Vec<String>,
    last: usize,
}

impl Model {
    fn name(&mut self, prefix: &str) -> String {
        self.last += 1;
        format!("{prefix}{}", self.last)
    }

    fn sent(&mut self, queue: bool, body: String) {
        if queue {
            self.queued.insert(body);
        } else {
            for listener in &self.listeners {
                self.news.get_mut(listener).expect("it listens").push(body.clone());
            }
        }
    }

    /// Settles what the subscription still holds: up to this one, or it alone.
    fn takes(&mut self, subscription: &str, delivery: &Delivered) -> Vec<Delivered> {
        let Some(cumulative) = self.consumers.get(subscription) else { return Vec::new() };
        let unsettled = self.unsettled.get_mut(subscription).expect("it consumes");
        let Some(place) = unsettled.iter().position(|held| held == delivery) else {
            return Vec::new();
        };
        let first = if *cumulative { 0 } else { place };
        unsettled.drain(first..=place).collect()
    }

    fn acked(&mut self, subscription: &str, delivery: &Delivered) {
        let settled = self.takes(subscription, delivery);
        self.settled.extend(settled.into_iter().map(|delivery| delivery.body));
    }
}

struct Run {
    pair: Pair,
    model: Model,
    /// All that the client was told.
    told: Vec<String>,
}

fn pick<T: Clone>(which: Index, from: impl Iterator<Item = T>) -> Option<T> {
    let all: Vec<_> = from.collect();
    (!all.is_empty()).then(|| which.get(&all).clone())
}

impl Run {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Listen => {
                let id = self.model.name("t");
                let request = self.pair.subscribe(&id, NEWS, AckMode::Auto);
                self.model.requests.push(request.to_string());
                self.model.listeners.insert(id.clone());
                self.model.news.insert(id, Vec::new());
            }
            Step::Consume(cumulative) => self.consume(cumulative),
            Step::Unsubscribe(which) => self.unsubscribe(which),
            Step::Send { queue, transaction } => self.send(queue, transaction),
            Step::Ack { which, transaction } => self.ack(which, transaction),
            Step::Nack(which) => self.nack(which),
            Step::Begin => {
                let id = self.model.name("x");
                let request = self.pair.client.begin(&id, Confirm::Receipt).unwrap();
                self.model.requests.push(request.to_string());
                self.model.transactions.insert(id, Vec::new());
            }
            Step::End { which, commits } => self.end(which, commits),
            Step::Pass(milliseconds) => {
                self.pair.passes(Duration::from_millis(milliseconds));
                self.hear();
            }
        }
    }

    fn consume(&mut self, cumulative: bool) {
        let individual = !cumulative && self.pair.client.version() != Version::V1_0;
        let ack = if individual { AckMode::ClientIndividual } else { AckMode::Client };
        let id = self.model.name("q");
        let request = self.pair.subscribe(&id, JOBS, ack);
        self.model.requests.push(request.to_string());
        self.model.consumers.insert(id.clone(), !individual);
        self.model.unsettled.insert(id, Vec::new());
    }

    fn unsubscribe(&mut self, which: Index) {
        let live = self.model.consumers.keys().chain(&self.model.listeners).cloned();
        let Some(id) = pick(which, live) else { return };
        let request = self.pair.client.unsubscribe(&id, Confirm::Receipt).unwrap();
        self.model.requests.push(request.to_string());
        self.model.consumers.remove(&id);
        self.model.unsettled.remove(&id);
        self.model.listeners.remove(&id);
    }

    fn send(&mut self, queue: bool, transaction: Option<Index>) {
        let body = self.model.name("m");
        let destination = if queue { JOBS } else { NEWS };
        let open = self.model.transactions.keys().cloned();
        let transaction = transaction.and_then(|which| pick(which, open));
        let request = if let Some(id) = transaction {
            let held = Held::Send { queue, body: body.clone() };
            self.model.transactions.get_mut(&id).expect("it is open").push(held);
            self.pair.send_in(&id, destination, &body)
        } else {
            self.model.sent(queue, body.clone());
            self.pair.send(destination, &body)
        };
        self.model.requests.push(request.to_string());
    }

    /// A delivery that its consumer has not settled, as far as the model knows.
    fn delivered(&self, which: Index) -> Option<(String, Delivered)> {
        let of_all = self.model.unsettled.iter().flat_map(|(id, deliveries)| {
            deliveries.iter().map(move |delivery| (id.clone(), delivery.clone()))
        });
        pick(which, of_all)
    }

    fn ack(&mut self, which: Index, transaction: Option<Index>) {
        let Some((subscription, delivery)) = self.delivered(which) else { return };
        let open = self.model.transactions.keys().cloned();
        let transaction = transaction.and_then(|which| pick(which, open));
        let request = self.pair.ack(&delivery.body, transaction.as_deref());
        self.model.requests.push(request.to_string());
        match transaction {
            None => self.model.acked(&subscription, &delivery),
            Some(id) => {
                let held = self.model.transactions.get_mut(&id).expect("it is open");
                held.push(Held::Ack { subscription, delivery });
            }
        }
    }

    fn nack(&mut self, which: Index) {
        if self.pair.client.version() == Version::V1_0 {
            return;
        }
        let Some((subscription, delivery)) = self.delivered(which) else { return };
        let request = self.pair.nack(&delivery.body);
        self.model.requests.push(request.to_string());
        // They come again, to whichever consumer.
        self.model.takes(&subscription, &delivery);
    }

    fn end(&mut self, which: Index, commits: bool) {
        let Some(id) = pick(which, self.model.transactions.keys().cloned()) else { return };
        let held = self.model.transactions.remove(&id).expect("it is open");
        let request = if commits {
            for held in held {
                match held {
                    Held::Send { queue, body } => self.model.sent(queue, body),
                    Held::Ack { subscription, delivery } => {
                        self.model.acked(&subscription, &delivery);
                    }
                }
            }
            self.pair.client.commit(&id, Confirm::Receipt)
        } else {
            self.pair.client.abort(&id, Confirm::Receipt)
        };
        self.model.requests.push(request.unwrap().to_string());
    }

    /// Notes what was delivered meanwhile.
    fn hear(&mut self) {
        for told in self.pair.tells() {
            if let Some((id, body)) = told.split_once(": ")
                && let Some(unsettled) = self.model.unsettled.get_mut(id)
            {
                let body = body.trim_end_matches(" again").to_owned();
                assert!(!self.model.settled.contains(&body), "{body} was settled");
                self.model.last += 1;
                unsettled.push(Delivered { number: self.model.last, body });
            }
            self.told.push(told);
        }
    }

    fn finish(mut self) {
        self.pair.rests();
        self.hear();
        assert!(!self.pair.is_closed(), "{:?}: {:?}", self.pair.failure, self.told);
        self.receipts();
        self.topics();
        self.queue();
    }

    /// Each request was confirmed, once and in its order.
    fn receipts(&self) {
        let confirmed = self.told.iter().filter_map(|told| told.strip_prefix("confirmed "));
        assert_eq!(confirmed.collect::<Vec<_>>(), self.model.requests);
        assert_eq!(self.pair.client.unconfirmed().count(), 0);
    }

    /// Each subscription was sent what was published while it was live, in order; an ended one up to
    /// some point.
    fn topics(&self) {
        for (id, expected) in &self.model.news {
            let (live, stray) = (format!("{id}: "), format!("stray {id}: "));
            let strip = |told: &str| {
                told.strip_prefix(&live).or(told.strip_prefix(&stray)).map(str::to_owned)
            };
            let got: Vec<_> = self.told.iter().filter_map(|told| strip(told)).collect();
            if self.model.listeners.contains(id) {
                assert_eq!(&got, expected, "{id}");
            } else {
                assert!(expected.starts_with(&got), "{id}: {got:?} of {expected:?}");
            }
        }
    }

    /// The queue holds what was sent to it and never acknowledged: nothing is lost, nothing doubled.
    fn queue(mut self) {
        for id in self.model.consumers.keys() {
            self.pair.client.unsubscribe(id, Confirm::No).unwrap();
        }
        self.pair.rests();
        self.pair.tells();
        self.pair.subscribe("rest", JOBS, AckMode::Auto);
        self.pair.rests();
        let told = self.pair.tells();
        let left: Vec<_> = told.iter().filter_map(|told| told.strip_prefix("rest: ")).collect();
        let expected: BTreeSet<_> = self.model.queued.difference(&self.model.settled).collect();
        let bodies = left.iter().map(|left| left.trim_end_matches(" again").to_owned());
        let unique: BTreeSet<_> = bodies.collect();
        assert_eq!(unique.len(), left.len(), "each once: {left:?}");
        assert_eq!(unique.iter().collect::<BTreeSet<_>>(), expected);
        assert_eq!(self.pair.queued(JOBS), 0);
        for left in left {
            let (body, again) =
                left.split_once(' ').map_or((left, false), |(body, _)| (body, true));
            let seen = |told: &String| {
                told.split_once(": ")
                    .is_some_and(|(_, said)| said.trim_end_matches(" again") == body)
            };
            // What was offered and had not set out yet may say so as well.
            assert!(again || !self.told.iter().any(seen), "{body} was delivered before");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn both_ends_come_to_the_same(
        steps in steps(),
        version in prop::sample::select(&Version::ALL[..]),
        chunk in 1..200_usize,
        window in 40..1_000_usize,
        latency in 0..30_u64,
    ) {
        let mut pair = Pair::connected(version);
        for wire in [&mut pair.up, &mut pair.down] {
            (wire.chunk, wire.window) = (chunk, window);
            wire.latency = Duration::from_millis(latency);
        }
        let mut run = Run { pair, model: Model::default(), told: Vec::new() };
        for step in &steps {
            run.step(step);
        }
        run.finish();
    }
}
