//! Subscriptions to patterns of destinations.

use std::sync::{Arc, Barrier};

use stompbox::broker::{Broker, BrokerError, Capability, MemoryBroker, Router};

use crate::recorder::{Calls, Recorder, delivery, destination, id, subscriber, turn};

fn route(router: &Router, name: &str, body: &str) {
    drop(router.route(&destination(name), delivery(body), &mut turn()));
}

#[test]
fn a_pattern_gets_what_it_matches() {
    let names = ["/topic/a", "/topic/a/x", "/topic/a/x/y", "/topic/b/x", "/topic/ax"];
    let rows: [(&str, &[&str]); 6] = [
        ("/topic/*", &["/topic/a", "/topic/ax"]),
        ("/topic/a/**", &["/topic/a", "/topic/a/x", "/topic/a/x/y"]),
        ("/topic/a/#", &["/topic/a", "/topic/a/x", "/topic/a/x/y"]),
        ("/topic/*/x", &["/topic/a/x", "/topic/b/x"]),
        ("/topic/**/x", &["/topic/a/x", "/topic/b/x"]),
        ("/topic/**", &names),
    ];
    for (pattern, expected) in rows {
        let broker = MemoryBroker::new();
        let outlet = Recorder::new();
        broker.joins(pattern, subscriber(0, &outlet)).unwrap();
        for name in names {
            broker.sends(name, name).unwrap();
        }
        assert_eq!(outlet.bodies(), expected, "{pattern}");
        broker.leaves(pattern, 0);
        broker.sends("/topic/a", "nobody is there").unwrap();
        assert_eq!(outlet.bodies(), expected, "{pattern}");
        assert_eq!(broker.router().destinations(), 0);
    }
}

#[test]
fn each_subscription_gets_its_own_copy() {
    let broker = MemoryBroker::new();
    let outlets: [_; 4] = std::array::from_fn(|_| Recorder::new());
    let names = ["/topic/a/b", "/topic/a/*", "/topic/a/**", "/topic/a/#"];
    for ((connection, outlet), name) in (0..).zip(&outlets).zip(names) {
        broker.joins(name, subscriber(connection, outlet)).unwrap();
    }
    broker.sends("/topic/a/b", "1").unwrap();
    broker.sends("/topic/a/c", "2").unwrap();
    assert_eq!(outlets[0].bodies(), ["1"]);
    for outlet in &outlets[1..] {
        assert_eq!(outlet.bodies(), ["1", "2"]);
    }
}

#[test]
fn who_joins_a_pattern_within_a_turn_gets_what_is_routed_after_that() {
    for listened in [true, false] {
        let router = Router::new();
        let (exact, outlets) = (Recorder::new(), [Recorder::new(), Recorder::new()]);
        if listened {
            router.subscribe(&destination("/topic/a"), subscriber(9, &exact), &mut turn());
        }
        router.subscribe(&destination("/**"), subscriber(0, &outlets[0]), &mut turn());
        let mut open = turn();
        let mut send =
            |body| drop(router.route(&destination("/topic/a"), delivery(body), &mut open));
        send("1");
        send("2");
        router.subscribe(&destination("/topic/*"), subscriber(1, &outlets[1]), &mut turn());
        send("3");
        send("4");
        assert_eq!(outlets[0].bodies(), [""; 0]);
        drop(open);
        assert_eq!(outlets[0].bodies(), ["1", "2", "3", "4"]);
        assert_eq!(outlets[1].bodies(), ["3", "4"]);
        assert_eq!(router.destinations(), usize::from(listened));
    }
}

#[test]
fn the_first_and_the_last_of_a_pattern_are_told() {
    let router = Router::new();
    let outlet = Recorder::new();
    let (pattern, same) = (destination("/topic/**"), destination("/topic/#"));
    assert!(router.subscribe(&pattern, subscriber(0, &outlet), &mut turn()));
    assert!(!router.subscribe(&pattern, subscriber(1, &outlet), &mut turn()));
    assert!(
        router.subscribe(&same, subscriber(2, &outlet), &mut turn()),
        "it is upstream's to say that it is one"
    );
    assert_eq!((router.subscribers(&pattern), router.subscribers(&same)), (2, 1));
    assert!(!router.unsubscribe(&pattern, id(2)), "was not there");
    assert!(!router.unsubscribe(&pattern, id(0)));
    assert!(router.unsubscribe(&pattern, id(1)));
    assert!(!router.unsubscribe(&pattern, id(1)));
    route(&router, "/topic/a", "1");
    assert_eq!(outlet.bodies(), ["1"]);
    assert!(router.unsubscribe(&same, id(2)));
    assert_eq!(router.subscribers(&pattern), 0);
}

#[test]
fn only_destinations_are_sent_to_and_only_topics_have_patterns() {
    let broker = MemoryBroker::new();
    assert!(broker.capabilities().supports(Capability::Patterns));
    for name in ["/topic/*", "/queue/#", "/topic/**/x"] {
        let refused = BrokerError::SentToPattern { destination: name.to_owned() };
        assert_eq!(broker.sends(name, "x"), Err(refused));
    }
    let outlet = Recorder::new();
    let refused = broker.joins("/queue/#", subscriber(0, &outlet));
    let unsupported = BrokerError::Unsupported {
        capability: Capability::Patterns,
        destination: "/queue/#".to_owned(),
    };
    assert_eq!(refused, Err(unsupported));
    let refused = broker.joins("/**", subscriber(0, &outlet));
    assert!(matches!(refused, Err(BrokerError::UnknownDestination { .. })), "{refused:?}");
}

/// Publishers, and patterns that come and go: nothing is lost, doubled or out of order for those
/// that stay, and who joins meanwhile gets a suffix.
#[test]
fn patterns_come_and_go_while_others_publish() {
    const MESSAGES: usize = 2_000;
    let router = Router::new();
    let (stays, joins) = (Recorder::new(), [Recorder::new(), Recorder::new()]);
    router.subscribe(&destination("/topic/*"), subscriber(0, &stays), &mut turn());
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        let (router, start) = (&router, &start);
        scope.spawn(move || {
            start.wait();
            (0..MESSAGES).for_each(|number| route(router, "/topic/a", &number.to_string()));
        });
        for (connection, outlet) in (1..).zip(&joins) {
            scope.spawn(move || {
                start.wait();
                router.subscribe(&destination("/**"), subscriber(connection, outlet), &mut turn());
            });
        }
        scope.spawn(move || {
            start.wait();
            let brief = Recorder::new();
            for _ in 0..500 {
                router.subscribe(&destination("/topic/#"), subscriber(9, &brief), &mut turn());
                router.unsubscribe(&destination("/topic/#"), id(9));
            }
        });
    });
    route(&router, "/topic/a", "last");
    let all = stays.bodies();
    let sent = (0..MESSAGES).map(|number| number.to_string()).chain(["last".to_owned()]);
    assert!(all.iter().cloned().eq(sent));
    for outlet in &joins {
        let got = outlet.bodies();
        assert!(!got.is_empty());
        assert_eq!(got, all[all.len() - got.len()..]);
    }
    assert_eq!(router.destinations(), 0);
    assert_eq!(Arc::strong_count(&stays), 2, "the router and the test");
}
