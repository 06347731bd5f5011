//! The router: order, joining and leaving, and what one delivery must not do to the others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use stompbox::broker::{Host, Router, Turn, Work};

use crate::recorder::{Recorder, delivery, destination, id, subscriber, turn};

const ROOM: &str = "/topic/room/5";

fn route(router: &Router, name: &str, body: &str) {
    drop(router.route(&destination(name), delivery(body), &mut turn()));
}

fn join(router: &Router, connection: u64, outlet: &Arc<Recorder>) -> bool {
    router.subscribe(&destination(ROOM), subscriber(connection, outlet), &mut turn())
}

fn recorders(count: usize) -> Vec<Arc<Recorder>> {
    std::iter::repeat_with(Recorder::new).take(count).collect()
}

/// A router whose room these outlets listen to, as connections 0, 1, 2, ….
fn room(outlets: &[Arc<Recorder>]) -> Router {
    let router = Router::new();
    for (connection, outlet) in (0..).zip(outlets) {
        join(&router, connection, outlet);
    }
    router
}

#[test]
fn every_subscriber_gets_every_message_once_and_in_order() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 500;
    let outlets = recorders(8);
    let router = room(&outlets);
    let start = Barrier::new(PUBLISHERS);
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (router, start) = (&router, &start);
            scope.spawn(move || {
                start.wait();
                for number in 0..EACH {
                    route(router, ROOM, &format!("{publisher} {number}"));
                }
            });
        }
    });
    let first = outlets[0].bodies();
    assert_eq!(first.len(), PUBLISHERS * EACH);
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{publisher} ");
        let of_it: Vec<_> = first.iter().filter_map(|body| body.strip_prefix(&prefix)).collect();
        let sent: Vec<_> = (0..EACH).map(|number| number.to_string()).collect();
        assert_eq!(of_it, sent, "publisher {publisher}");
    }
    for outlet in &outlets {
        assert_eq!(outlet.bodies(), first, "all see the same order");
    }
}

#[test]
fn who_joins_within_a_turn_gets_what_is_routed_after_that() {
    let outlets = recorders(2);
    let router = room(&outlets[..1]);
    let mut open = turn();
    drop(router.route(&destination(ROOM), delivery("before"), &mut open));
    join(&router, 1, &outlets[1]);
    drop(router.route(&destination(ROOM), delivery("after"), &mut open));
    drop(open);
    assert_eq!(outlets[0].bodies(), ["before", "after"]);
    assert_eq!(outlets[1].bodies(), ["after"]);
}

#[test]
fn who_joins_while_others_publish_gets_a_suffix() {
    const MESSAGES: usize = 2_000;
    let outlets = recorders(5);
    let router = room(&outlets[..1]);
    let start = Barrier::new(outlets.len());
    std::thread::scope(|scope| {
        let (router, start) = (&router, &start);
        scope.spawn(move || {
            start.wait();
            (0..MESSAGES).for_each(|number| route(router, ROOM, &number.to_string()));
        });
        for (connection, outlet) in (1..).zip(&outlets[1..]) {
            scope.spawn(move || {
                start.wait();
                join(router, connection, outlet);
            });
        }
    });
    route(&router, ROOM, "last");
    let all = outlets[0].bodies();
    assert_eq!(all.len(), MESSAGES + 1);
    for outlet in &outlets[1..] {
        let got = outlet.bodies();
        assert_eq!(got, all[all.len() - got.len()..]);
        assert_eq!(got.last().map(String::as_str), Some("last"));
    }
}

#[test]
fn who_left_gets_nothing_more() {
    let outlets = recorders(3);
    let router = room(&outlets);
    route(&router, ROOM, "1");
    assert!(!router.unsubscribe(&destination(ROOM), id(0)));
    route(&router, ROOM, "2");
    assert_eq!(outlets[0].bodies(), ["1"]);
    assert_eq!(outlets[1].bodies(), ["1", "2"]);
    assert_eq!(outlets[2].bodies(), ["1", "2"]);
}

#[test]
fn a_destination_vanishes_with_its_last_subscriber() {
    let outlets = recorders(2);
    let router = Router::new();
    assert!(join(&router, 0, &outlets[0]), "the first");
    assert!(!join(&router, 1, &outlets[1]), "not the first");
    assert_eq!((router.destinations(), router.subscribers(&destination(ROOM))), (1, 2));
    assert!(!router.unsubscribe(&destination(ROOM), id(7)), "was not there");
    assert!(!router.unsubscribe(&destination(ROOM), id(0)), "one is left");
    assert!(router.unsubscribe(&destination(ROOM), id(1)), "the last");
    assert!(!router.unsubscribe(&destination(ROOM), id(1)), "not again");
    assert_eq!((router.destinations(), router.subscribers(&destination(ROOM))), (0, 0));
    assert_eq!(Arc::strong_count(&outlets[0]), 1, "nothing holds its outlet");
    route(&router, ROOM, "to nobody");
    assert!(outlets.iter().all(|outlet| outlet.bodies().is_empty()));
}

#[test]
fn an_id_that_joins_again_replaces_itself() {
    let outlets = recorders(2);
    let router = room(&outlets[..1]);
    route(&router, ROOM, "1");
    join(&router, 0, &outlets[1]);
    route(&router, ROOM, "2");
    assert_eq!((outlets[0].bodies(), outlets[1].bodies()), (vec!["1".into()], vec!["2".into()]));
    assert!(router.unsubscribe(&destination(ROOM), id(0)));
    assert_eq!(router.destinations(), 0);
}

#[test]
fn many_come_and_go_in_any_order() {
    const MANY: u64 = 20_000;
    let outlet = Recorder::new();
    let router = Router::new();
    for connection in 0..MANY {
        join(&router, connection, &outlet);
    }
    assert_eq!(router.subscribers(&destination(ROOM)), 20_000);
    // A walk that visits every number below MANY once, since 7,919 has no factor in common with it.
    for step in 0..MANY {
        let last = router.unsubscribe(&destination(ROOM), id(step * 7_919 % MANY));
        assert_eq!(last, step == MANY - 1);
    }
    assert_eq!(router.destinations(), 0);
}

#[test]
fn what_an_outlet_publishes_is_taken_along_and_not_nested() {
    let router = Arc::new(Router::new());
    let depth = Arc::new(AtomicUsize::new(0));
    let answering = {
        let (router, depth): (Weak<Router>, _) = (Arc::downgrade(&router), Arc::clone(&depth));
        Recorder::reacting(move |got| {
            assert_eq!(depth.fetch_add(1, Ordering::SeqCst), 0, "deliveries are not nested");
            let number: u32 = got.body.parse().unwrap();
            if number < 5 {
                route(&router.upgrade().unwrap(), ROOM, &(number + 1).to_string());
            }
            depth.fetch_sub(1, Ordering::SeqCst);
        })
    };
    let listening = Recorder::new();
    join(&router, 0, &answering);
    join(&router, 1, &listening);
    route(&router, ROOM, "0");
    assert_eq!(answering.bodies(), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(listening.bodies(), ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn an_outlet_that_panics_harms_nobody_else() {
    let panicking = Recorder::reacting(|_| panic!("on purpose, in a test"));
    let outlets = [Recorder::new(), panicking, Recorder::new()];
    let router = room(&outlets);
    route(&router, ROOM, "1");
    route(&router, ROOM, "2");
    assert_eq!(outlets[0].bodies(), ["1", "2"]);
    assert_eq!(outlets[2].bodies(), ["1", "2"]);
}

#[test]
fn an_outlet_that_is_gone_is_passed_over() {
    let outlets = recorders(3);
    let router = room(&outlets);
    outlets[1].go();
    route(&router, ROOM, "1");
    assert_eq!(outlets[0].bodies(), ["1"]);
    assert_eq!(outlets[2].bodies(), ["1"]);
    assert_eq!(router.subscribers(&destination(ROOM)), 3, "it leaves by itself");
}

/// A host that keeps what it is handed.
#[derive(Default)]
struct Keeping(Mutex<Vec<Work>>);

impl Host for Keeping {
    fn hand_over(&self, work: Work) {
        self.0.lock().push(work);
    }
}

/// More subscribers than one turn delivers to, each with an outlet of its own.
fn crowd() -> (Router, Arc<Keeping>, Vec<Arc<Recorder>>) {
    let outlets = recorders(2_500);
    let router = room(&outlets);
    let host = Arc::new(Keeping::default());
    router.attach(host.clone());
    (router, host, outlets)
}

fn reached(outlets: &[Arc<Recorder>]) -> usize {
    outlets.iter().filter(|outlet| !outlet.bodies().is_empty()).count()
}

#[test]
fn a_long_flush_is_handed_over_and_goes_on_in_turns() {
    let (router, host, outlets) = crowd();
    route(&router, ROOM, "1");
    let first_turn = reached(&outlets);
    assert!(first_turn > 0 && first_turn < outlets.len(), "{first_turn}");

    // Whoever publishes meanwhile leaves it with the flush that is under way.
    route(&router, ROOM, "2");
    assert_eq!(reached(&outlets), first_turn);
    assert_eq!(host.0.lock().len(), 1);

    let mut work = host.0.lock().pop();
    let mut turns = 1;
    while let Some(more) = work {
        work = more.run(Instant::now());
        turns += 1;
    }
    assert_eq!(turns, (2 * outlets.len()).div_ceil(first_turn));
    assert!(host.0.lock().is_empty());
    assert!(outlets.iter().all(|outlet| outlet.bodies() == ["1", "2"]));

    route(&router, ROOM, "3");
    assert_eq!(host.0.lock().len(), 1, "the flush had ended");
}

#[test]
fn where_several_publish_to_many_a_flush_gathers() {
    let publish = |router: &Router, publisher: u64, body: &str, now: Instant| {
        let mut turn = Turn::new(now).with_publisher(publisher);
        drop(router.route(&destination(ROOM), delivery(body), &mut turn));
    };
    let (outlets, now) = (recorders(8), Instant::now());
    let router = room(&outlets);
    let host = Arc::new(Keeping::default());
    router.attach(host.clone());
    for body in ["1", "2", "3"] {
        publish(&router, 1, body, now);
    }
    assert_eq!(reached(&outlets), 8, "one publisher waits for nobody");
    publish(&router, 2, "4", now);
    publish(&router, 3, "5", now);
    assert!(outlets.iter().all(|outlet| outlet.bodies() == ["1", "2", "3"]));
    let work = host.0.lock().pop().expect("one flush for both");
    assert!(work.run(now).is_none());
    assert!(host.0.lock().is_empty());
    assert!(outlets.iter().all(|outlet| outlet.bodies() == ["1", "2", "3", "4", "5"]));
}

#[test]
fn work_that_is_dropped_leaves_the_rest_to_the_next_publisher() {
    let (router, host, outlets) = crowd();
    route(&router, ROOM, "1");
    host.0.lock().clear();
    route(&router, ROOM, "2");
    let mut work = host.0.lock().pop();
    while let Some(more) = work {
        work = more.run(Instant::now());
    }
    assert!(outlets.iter().all(|outlet| outlet.bodies() == ["1", "2"]));
}

/// A flush that is lost before it has begun takes along nothing of one that was lost in its middle.
#[test]
fn work_that_is_dropped_twice_leaves_all_of_it_to_the_next_publisher() {
    let ((router, host, outlets), now) = (crowd(), Instant::now());
    for publisher in 1..=3 {
        host.0.lock().clear();
        let mut turn = Turn::new(now).with_publisher(publisher);
        drop(router.route(&destination(ROOM), delivery(&publisher.to_string()), &mut turn));
    }
    let mut work = host.0.lock().pop();
    while let Some(more) = work {
        work = more.run(now);
    }
    assert!(outlets.iter().all(|outlet| outlet.bodies() == ["1", "2", "3"]));
}

#[test]
fn without_a_host_the_publisher_does_all_of_it() {
    let outlets = recorders(2_500);
    let router = room(&outlets);
    route(&router, ROOM, "1");
    assert_eq!(reached(&outlets), outlets.len());
}

#[test]
fn a_turn_delivers_to_each_of_its_destinations() {
    let outlets = recorders(3);
    let router = Router::new();
    for (connection, outlet) in (0..).zip(&outlets) {
        let name = destination(&format!("/topic/{connection}"));
        router.subscribe(&name, subscriber(connection, outlet), &mut turn());
    }
    let mut turn = turn();
    for body in ["a", "b"] {
        for connection in 0..outlets.len() {
            let name = destination(&format!("/topic/{connection}"));
            drop(router.route(&name, delivery(body), &mut turn));
        }
    }
    assert_eq!(reached(&outlets), 0, "not before the turn ends");
    drop(turn);
    assert!(outlets.iter().all(|outlet| outlet.bodies() == ["a", "b"]));
}
