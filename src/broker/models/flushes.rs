//! Flushes that others go on with, or that are lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use loom::thread;

use super::super::{Destination, Host, Message, Router, Subscriber, Turn, Work};
use super::{Recorder, id, join, model, route, router_with_a_member, turn};
use crate::session::Delivery;

/// A host that loses what it is handed over: as one whose runtime is shut down.
struct Losing;

impl Host for Losing {
    fn hand_over(&self, work: Work) {
        drop(work);
    }
}

/// A host that keeps what it is handed over until somebody runs it.
#[derive(Default)]
struct Keeping(Mutex<Vec<Work>>);

impl Keeping {
    /// Runs what it was handed over by now.
    fn run(&self) {
        let works = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for work in works {
            let mut work = Some(work);
            while let Some(more) = work {
                work = more.run(Instant::now());
            }
        }
    }
}

impl Host for Keeping {
    fn hand_over(&self, work: Work) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(work);
    }
}

#[test]
fn a_flush_that_is_deferred_takes_along_what_others_publish() {
    model(2, || {
        let (router, room, member) = router_with_a_member();
        let other = Arc::<Recorder>::default();
        router.subscribe(&room, Subscriber::new(id(2), other.clone()), &mut turn());
        let (host, now) = (Arc::<Keeping>::default(), Instant::now());
        router.attach(host.clone());
        route_as(1, &router, &room, "1", now);
        let publisher = {
            let (router, room) = (Arc::clone(&router), room.clone());
            thread::spawn(move || route_as(2, &router, &room, "2", now))
        };
        let runtime = {
            let host = host.clone();
            thread::spawn(move || host.run())
        };
        route_as(1, &router, &room, "3", now);
        join(vec![publisher, runtime]);
        host.run();
        for mut got in [member.bodies(), other.bodies()] {
            let of_one: Vec<_> = got.iter().filter(|body| *body != "2").collect();
            assert_eq!(of_one, ["1", "3"]);
            got.sort();
            assert_eq!(got, ["1", "2", "3"]);
        }
    });
}

/// What a flush left over that was lost in its middle outlives others that are lost before they
/// begin.
#[test]
fn a_flush_that_is_lost_leaves_nothing_behind() {
    model(2, || {
        let (router, room, member) = router_with_a_member();
        let now = Instant::now();
        router.attach(Arc::new(Losing));
        // More members than one turn's budget: the rest is handed over, and lost there.
        let crowd = Arc::<Recorder>::default();
        for connection in 2..4 {
            router.subscribe(&room, Subscriber::new(id(connection), crowd.clone()), &mut turn());
        }
        let other = {
            let (router, room) = (Arc::clone(&router), room.clone());
            thread::spawn(move || route_as(1, &router, &room, "1", now))
        };
        route_as(2, &router, &room, "2", now);
        join(vec![other]);
        // Each publishing takes up what another left over, a budget's worth of it; the first may be
        // deferred as well.
        for _ in 0..7 {
            route_as(2, &router, &room, "last", now);
        }
        let got = member.bodies();
        for body in ["1", "2"] {
            assert_eq!(got.iter().filter(|it| *it == body).count(), 1, "{got:?}");
        }
        let count = |body: &str| crowd.bodies().iter().filter(|it| *it == body).count();
        assert_eq!((count("1"), count("2")), (2, 2));
    });
}

#[test]
fn an_outlet_that_panics_takes_nothing_from_the_others() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    model(2, || {
        let (router, room, member) = router_with_a_member();
        let bad = Arc::new(Recorder { panics_at: Some("1"), ..Recorder::default() });
        router.subscribe(&room, Subscriber::new(id(2), bad), &mut turn());
        let other = {
            let (router, room) = (Arc::clone(&router), room.clone());
            thread::spawn(move || route(&router, &room, &["1"]))
        };
        route(&router, &room, &["2"]);
        join(vec![other]);
        let mut got = member.bodies();
        got.sort();
        assert_eq!(got, ["1", "2"]);
    });
    std::panic::set_hook(hook);
}

/// Publishes one message in a turn whose publisher is known: its flush may be deferred.
fn route_as(publisher: u64, router: &Router, to: &Destination, body: &str, now: Instant) {
    let message = Message::builder(to.clone()).body(body);
    let mut turn = Turn::new(now).with_publisher(publisher);
    drop(router.route(to, Delivery::new(message.into_shared()), &mut turn));
}
