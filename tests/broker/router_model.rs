//! The router against a naive model: a list of subscriptions, and a list of messages for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use stompbox::broker::Router;

use crate::recorder::{Recorder, delivery, destination, id, subscriber, turn};

#[derive(Debug, Clone)]
enum Step {
    Subscribe(u8, u8),
    Unsubscribe(u8, u8),
    Route(u8),
    /// The turn ends, and another begins.
    EndTurn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (destinations, connections) = (0..3u8, 0..5u8);
    let step = prop_oneof![
        2 => (destinations.clone(), connections.clone()).prop_map(|(d, c)| Step::Subscribe(d, c)),
        1 => (destinations.clone(), connections).prop_map(|(d, c)| Step::Unsubscribe(d, c)),
        3 => destinations.prop_map(Step::Route),
        1 => Just(Step::EndTurn),
    ];
    prop::collection::vec(step, 0..80)
}

/// What each subscriber got, by destination and connection.
type Delivered = BTreeMap<(u8, u8), Vec<String>>;

/// A message goes to whoever was there when it was routed and still is when the turn ends.
#[derive(Default)]
struct Model {
    /// What a live subscription will get at the end of the turn.
    live: BTreeMap<(u8, u8), Vec<String>>,
    delivered: Delivered,
}

impl Model {
    fn step(&mut self, step: &Step, body: &str) {
        match *step {
            Step::Subscribe(d, c) => drop(self.live.entry((d, c)).or_default()),
            Step::Unsubscribe(d, c) => drop(self.live.remove(&(d, c))),
            Step::Route(d) => {
                let those = self.live.iter_mut().filter(|((other, _), _)| *other == d);
                those.for_each(|(_, waiting)| waiting.push(body.to_owned()));
            }
            Step::EndTurn => {
                for (who, waiting) in &mut self.live {
                    self.delivered.entry(*who).or_default().append(waiting);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn the_router_does_what_a_list_would_do(mut steps in steps()) {
        steps.push(Step::EndTurn);
        let router = Router::new();
        let name = |d: u8| destination(&format!("/topic/{d}"));
        let mut outlets: BTreeMap<(u8, u8), Arc<Recorder>> = BTreeMap::new();
        let mut model = Model::default();
        let mut current = turn();
        for (number, step) in steps.iter().enumerate() {
            let body = number.to_string();
            match *step {
                Step::Subscribe(d, c) if model.live.contains_key(&(d, c)) => continue,
                Step::Subscribe(d, c) => {
                    let outlet = outlets.entry((d, c)).or_insert_with(Recorder::new);
                    let first = !model.live.keys().any(|(other, _)| *other == d);
                    prop_assert_eq!(router.subscribe(&name(d), subscriber(c.into(), outlet), &mut turn()), first);
                }
                Step::Unsubscribe(d, c) => {
                    let others = model.live.keys().filter(|who| who.0 == d && who.1 != c).count();
                    let last = model.live.contains_key(&(d, c)) && others == 0;
                    prop_assert_eq!(router.unsubscribe(&name(d), id(c.into())), last);
                }
                Step::Route(d) => drop(router.route(&name(d), delivery(&body), &mut current)),
                Step::EndTurn => current = turn(),
            }
            model.step(step, &body);
        }
        for (who, outlet) in outlets {
            let expected = model.delivered.remove(&who).unwrap_or_default();
            prop_assert_eq!(outlet.bodies(), expected, "{:?}", who);
        }
        let mut named: Vec<_> = model.live.keys().map(|(d, _)| *d).collect();
        named.dedup();
        prop_assert_eq!(router.destinations(), named.len());
    }
}
