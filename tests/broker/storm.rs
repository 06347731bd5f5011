//! Many subscribers to one destination: what they cost is counted, not timed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use allocation_counter::measure;
use stompbox::broker::{DestinationRules, Router, Subscriber};

use crate::recorder::{Nowhere, Recorder, delivery, destination, id, subscriber, turn};

const ROOM: &str = "/topic/room";

/// How many bytes are allocated for each of so many who join, twenty of them while each message is
/// being delivered.
fn allocated_for_each(subscribers: u64) -> u64 {
    let router = Arc::new(Router::new());
    let outlet = Arc::new(Nowhere);
    let next = AtomicU64::new(1);
    let inviting = {
        let router: Weak<Router> = Arc::downgrade(&router);
        Recorder::reacting(move |_| {
            for connection in (0..20).map(|_| next.fetch_add(1, Ordering::Relaxed)) {
                let subscriber = Subscriber::new(id(connection), outlet.clone());
                router.upgrade().unwrap().subscribe(&destination(ROOM), subscriber, &mut turn());
            }
        })
    };
    router.subscribe(&destination(ROOM), subscriber(0, &inviting), &mut turn());
    let allocated = measure(|| {
        for _ in 0..subscribers / 20 {
            drop(router.route(&destination(ROOM), delivery(""), &mut turn()));
        }
    });
    assert_eq!(router.subscribers(&destination(ROOM)) as u64, subscribers + 1);
    allocated.bytes_total / subscribers
}

#[test]
fn a_subscribe_storm_costs_the_same_for_each() {
    let (few, many) = (allocated_for_each(2_000), allocated_for_each(20_000));
    // Copying all members for each message would be ten times as much.
    assert!(many < 2 * few, "{few} bytes for each of 2,000, {many} for each of 20,000");
}

/// What is allocated for one message when there are so many subscribers, half of them by a pattern.
fn allocations(subscribers: u64, router: &Router) -> u64 {
    let outlet = Arc::new(Nowhere);
    for connection in 0..subscribers {
        let name = if connection % 2 == 0 { ROOM } else { "/topic/*" };
        let subscriber = Subscriber::new(id(connection), outlet.clone());
        router.subscribe(&destination(name), subscriber, &mut turn());
    }
    let name = destination(ROOM);
    let message = delivery("hello");
    let publish = || drop(router.route(&name, message.clone(), &mut turn()));
    (0..20).for_each(|_| publish());
    measure(publish).count_total
}

#[test]
fn a_delivery_allocates_nothing() {
    let keeping = || {
        let mut rules = DestinationRules::default();
        rules.add("/topic/**,history=10".parse().unwrap());
        Router::with_history(Arc::new(rules), 1 << 20)
    };
    assert_eq!(allocations(2, &Router::new()), allocations(1_000, &Router::new()));
    assert_eq!(allocations(2, &keeping()), allocations(1_000, &keeping()));
    // The list of those patterns that match.
    assert!(allocations(1_000, &keeping()) <= 1);
}
