//! The router against a naive model: lists of messages, and for each subscription how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use stompbox::broker::{DestinationRules, HistoryRequest, Outcome, Router, SubscriberId, Taken};

use crate::recorder::{Recorder, delivery, destination, id, subscriber, turn};

const DESTINATIONS: [&str; 3] = ["/t/a", "/t/b", "/t/a/x"];

/// Each with the destinations that it matches.
const PATTERNS: [(&str, [bool; 3]); 3] =
    [("/t/*", [true, true, false]), ("/t/a/#", [true, false, true]), ("/**", [true, true, true])];

/// What a subscription is to: one of the destinations or one of the patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Destination(usize),
    Pattern(usize),
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe(To, u8, Request),
    Unsubscribe(To, u8),
    Route(usize),
    /// What the outlet of a subscription says from now on.
    Answer(To, u8, Taken),
    Resume(To, u8),
    /// The turn ends, and another begins.
    EndTurn,
}

/// What is asked for of history.
#[derive(Debug, Clone, Copy)]
enum Request {
    Nothing,
    Last(usize),
    After(usize),
}

impl To {
    fn name(self) -> &'static str {
        match self {
            Self::Destination(number) => DESTINATIONS[number],
            Self::Pattern(number) => PATTERNS[number].0,
        }
    }

    fn matches(self, destination: usize) -> bool {
        match self {
            Self::Destination(number) => number == destination,
            Self::Pattern(number) => PATTERNS[number].1[destination],
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let to = || {
        prop_oneof![
            3 => (0..DESTINATIONS.len()).prop_map(To::Destination),
            1 => (0..PATTERNS.len()).prop_map(To::Pattern),
        ]
    };
    let connection = || 0..4u8;
    let request = prop_oneof![
        Just(Request::Nothing),
        (0..6usize).prop_map(Request::Last),
        (0..12usize).prop_map(Request::After),
    ];
    let answer = prop_oneof![Just(Taken::Written), Just(Taken::Queued), Just(Taken::Full)];
    let step = prop_oneof![
        3 => (to(), connection(), request).prop_map(|(to, c, it)| Step::Subscribe(to, c, it)),
        1 => (to(), connection()).prop_map(|(to, c)| Step::Unsubscribe(to, c)),
        6 => (0..DESTINATIONS.len()).prop_map(Step::Route),
        1 => (to(), connection(), answer).prop_map(|(to, c, it)| Step::Answer(to, c, it)),
        1 => (to(), connection()).prop_map(|(to, c)| Step::Resume(to, c)),
        3 => Just(Step::EndTurn),
    ];
    prop::collection::vec(step, 0..100)
}

type Who = (To, u8);

/// Each subscription has an id of its own.
fn id_of((to, connection): Who) -> SubscriberId {
    let place = match to {
        To::Destination(number) => number,
        To::Pattern(number) => DESTINATIONS.len() + number,
    };
    id(place as u64 * 4 + u64::from(connection))
}

/// A message goes to whoever was there when it was routed and still is when the turn ends. Whoever
/// asked for history reads what is kept at the end of the turn, unless its outlet kept something of
/// that and was not resumed. Whoever is full by its answer to what is live holds the publishers of
/// that destination, until it is resumed or leaves.
struct Model {
    /// How many messages each destination keeps.
    kept: usize,
    routed: [Vec<String>; DESTINATIONS.len()],
    live: BTreeMap<Who, Subscription>,
    /// What each got; a `!` is before what said that messages are missing.
    delivered: BTreeMap<Who, Vec<String>>,
    full: BTreeSet<(usize, Who)>,
}

struct Subscription {
    /// The next message of each destination that it is delivered.
    next: [usize; DESTINATIONS.len()],
    gap: bool,
    reads: bool,
    waits: bool,
    answer: Taken,
}

impl Model {
    fn first_kept(&self, destination: usize) -> usize {
        self.routed[destination].len().saturating_sub(self.kept)
    }

    fn subscribe(&mut self, who: Who, request: Request, answer: Taken) {
        let mut next = std::array::from_fn(|destination| self.routed[destination].len());
        let mut gap = false;
        let mut reads = false;
        if let To::Destination(destination) = who.0 {
            let (first, end) = (self.first_kept(destination), next[destination]);
            next[destination] = match request {
                Request::Nothing => end,
                Request::Last(count) => end.saturating_sub(count).max(first),
                Request::After(last) if self.kept > 0 && (first..=end).contains(&(last + 1)) => {
                    last + 1
                }
                Request::After(_) => {
                    gap = true;
                    first
                }
            };
            reads = next[destination] < end;
        }
        self.live.insert(who, Subscription { next, gap, reads, waits: false, answer });
    }

    fn end_turn(&mut self) {
        for ((to, connection), live) in &mut self.live {
            for (destination, routed) in self.routed.iter().enumerate() {
                if !to.matches(destination) || live.waits {
                    continue;
                }
                let next = &mut live.next[destination];
                let first = routed.len().saturating_sub(self.kept);
                if live.reads && *next < first {
                    *next = first;
                    live.gap = true;
                }
                let who = (*to, *connection);
                if live.answer == Taken::Full && !live.reads && *next < routed.len() {
                    self.full.insert((destination, who));
                }
                let delivered = self.delivered.entry(who).or_default();
                for body in &routed[*next..] {
                    let gap = if std::mem::take(&mut live.gap) { "!" } else { "" };
                    delivered.push(format!("{gap}{body}"));
                }
                // Everything that is kept fits one slice.
                live.waits = live.reads && *next < routed.len() && live.answer != Taken::Written;
                live.reads = live.waits;
                *next = routed.len();
            }
        }
    }

    fn release(&mut self, who: Who) {
        self.full.retain(|(_, full)| *full != who);
    }

    fn holds(&self, destination: usize) -> bool {
        self.full.iter().any(|(held, _)| *held == destination)
    }

    fn others(&self, who: Who) -> usize {
        self.live.keys().filter(|other| other.0 == who.0 && **other != who).count()
    }
}

fn subscription(
    who: Who,
    outlet: &Arc<Recorder>,
    request: Request,
) -> stompbox::broker::Subscriber {
    let is_pattern = matches!(who.0, To::Pattern(_));
    let request = match request {
        Request::Nothing => None,
        _ if is_pattern => None,
        Request::Last(count) => Some(HistoryRequest::Last(count as u64)),
        Request::After(last) => Some(HistoryRequest::After(format!("0-{last}").into())),
    };
    subscriber(id_of(who).connection, outlet).with_history(request)
}

proptest! {
    #[test]
    fn the_router_does_what_a_list_would_do(
        kept in prop_oneof![Just(0usize), Just(3)],
        mut steps in steps(),
    ) {
        steps.push(Step::EndTurn);
        let mut rules = DestinationRules::default();
        rules.add(format!("/t/**,history={kept}").parse().unwrap());
        let router = Router::with_history(Arc::new(rules), usize::MAX);
        let mut outlets: BTreeMap<Who, Arc<Recorder>> = BTreeMap::new();
        let (routed, live) = (std::array::from_fn(|_| Vec::new()), BTreeMap::new());
        let (delivered, full) = (BTreeMap::new(), BTreeSet::new());
        let mut model = Model { kept, routed, live, delivered, full };
        let mut waiting: Vec<(usize, Outcome)> = Vec::new();
        let mut current = turn();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Subscribe(to, c, _) if model.live.contains_key(&(to, c)) => {}
                Step::Subscribe(to, c, request) => {
                    let who = (to, c);
                    let outlet = outlets.entry(who).or_insert_with(Recorder::new);
                    outlet.answer(Taken::Written);
                    let first = router.subscribe(
                        &destination(to.name()),
                        subscription(who, outlet, request),
                        &mut current,
                    );
                    prop_assert_eq!(first, model.others(who) == 0);
                    model.subscribe(who, request, Taken::Written);
                }
                Step::Unsubscribe(to, c) => {
                    let there = model.live.remove(&(to, c)).is_some();
                    model.release((to, c));
                    let last = there && model.others((to, c)) == 0;
                    let left = router.unsubscribe(&destination(to.name()), id_of((to, c)));
                    prop_assert_eq!(left, last);
                }
                Step::Route(to) => {
                    let body = number.to_string();
                    let name = destination(DESTINATIONS[to]);
                    waiting.push((to, router.route(&name, delivery(&body), &mut current)));
                    model.routed[to].push(body);
                }
                Step::Answer(to, c, answer) => {
                    if let Some(live) = model.live.get_mut(&(to, c)) {
                        live.answer = answer;
                        outlets[&(to, c)].answer(answer);
                    }
                }
                Step::Resume(to, c) => {
                    router.resume(&destination(to.name()), id_of((to, c)), &mut current);
                    if let Some(live) = model.live.get_mut(&(to, c)) {
                        live.waits = false;
                    }
                    model.release((to, c));
                }
                Step::EndTurn => {
                    drop(std::mem::replace(&mut current, turn()));
                    model.end_turn();
                }
            }
            for (to, outcome) in &mut waiting {
                prop_assert_eq!(outcome.take_ready().is_none(), model.holds(*to), "{}", number);
            }
            waiting.retain(|(to, _)| model.holds(*to));
        }
        for (who, outlet) in outlets {
            let got = outlet.got();
            let got: Vec<_> =
                got.iter().map(|it| format!("{}{}", if it.gap { "!" } else { "" }, it.body)).collect();
            let mut expected = model.delivered.remove(&who).unwrap_or_default();
            let mut got = got;
            if matches!(who.0, To::Pattern(_)) {
                // Between destinations there is no order.
                expected.sort();
                got.sort();
            }
            prop_assert_eq!(got, expected, "{:?}", who);
        }
        let in_use = |destination: usize| {
            let listened = model.live.keys().any(|who| who.0 == To::Destination(destination));
            let kept = kept > 0 && !model.routed[destination].is_empty();
            listened || kept || model.holds(destination)
        };
        prop_assert_eq!(router.destinations(), (0..DESTINATIONS.len()).filter(|it| in_use(*it)).count());
    }
}
