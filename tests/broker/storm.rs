//! Many subscribers to one destination: what they cost is counted, not timed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use allocation_counter::measure;
use stompbox::broker::{DestinationRules, MemoryBroker, Router, Subscriber};

use crate::recorder::{Calls, Nowhere, Recorder, delivery, destination, id, subscriber, turn};

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

/// How many bytes are left of so many who come and go, while one stays.
fn left_of(names: impl Fn(u64) -> String, comings: u64) -> i64 {
    let broker = MemoryBroker::new();
    let outlet = Arc::new(Nowhere);
    broker.joins(&names(0), Subscriber::new(id(0), outlet.clone())).unwrap();
    let left = measure(|| {
        for n in 1..comings {
            broker.joins(&names(n), Subscriber::new(id(n), outlet.clone())).unwrap();
        }
        for n in 1..comings {
            broker.leaves(&names(n), n);
        }
    });
    left.bytes_current
}

#[test]
fn of_those_who_come_and_go_no_room_is_left() {
    // The table of topics has 64 parts, and a list of members keeps its last chunk.
    const MOST: i64 = 60_000;
    let left = [
        left_of(|n| format!("/topic/{n}"), 5_000),
        left_of(|n| format!("/queue/{n}"), 5_000),
        left_of(|n| format!("/topic/{n}/*"), 5_000),
        left_of(|_| ROOM.to_owned(), 5_000),
        left_of(|_| "/topic/*".to_owned(), 5_000),
    ];
    assert!(left.iter().all(|left| *left < MOST), "{left:?} bytes");
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
