//! Models of what publishers, subscribers and consumers do at the same time, tried by loom in every
//! order of their locks: `RUSTFLAGS="--cfg stompbox_loom" cargo test --lib models`.

mod flushes;
mod holding;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use loom::thread;

use crate::session::{Delivery, SubscriptionKey};

use super::{
    Broker, Destination, DestinationRules, HistoryRequest, MemoryBroker, Message, Outlet, Router,
    Settle, Settlement, Subscriber, SubscriberId, Taken, Turn,
};

/// Keeps the bodies and tags of what it is delivered. Its lock is none of loom's: nothing can come
/// between while it is held.
#[derive(Default)]
struct Recorder {
    got: Mutex<Vec<(String, u64)>>,
    /// Panics when it is delivered this.
    panics_at: Option<&'static str>,
}

impl Recorder {
    fn bodies(&self) -> Vec<String> {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.iter().map(|(body, _)| body.clone()).collect()
    }

    fn tags(&self) -> Vec<u64> {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.iter().map(|(_, tag)| *tag).collect()
    }
}

impl Outlet for Recorder {
    fn deliver(&self, _to: SubscriptionKey, deliveries: &[Delivery], _now: Instant) -> Taken {
        for delivery in deliveries {
            let body = String::from_utf8_lossy(delivery.message().body()).into_owned();
            assert_ne!(self.panics_at, Some(&*body), "an outlet that panics");
            let mut got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
            got.push((body, delivery.tag()));
        }
        Taken::Written
    }
}

#[test]
fn what_two_publishers_send_is_delivered_once_and_in_each_ones_order() {
    model(2, || {
        let (router, room, member) = router_with_a_member();
        let publishers: Vec<_> = ["a", "b"]
            .into_iter()
            .map(|name| {
                let (router, room) = (Arc::clone(&router), room.clone());
                thread::spawn(move || {
                    route(&router, &room, &[&format!("{name}1"), &format!("{name}2")]);
                    route(&router, &room, &[&format!("{name}3")]);
                })
            })
            .collect();
        join(publishers);
        let got = member.bodies();
        assert_eq!(got.len(), 6, "{got:?}");
        for name in ["a", "b"] {
            let of_one: Vec<_> = got.iter().filter(|body| body.starts_with(name)).collect();
            assert_eq!(of_one, [&format!("{name}1"), &format!("{name}2"), &format!("{name}3")]);
        }
    });
}

#[test]
fn who_joins_gets_a_whole_end_and_who_leaves_a_whole_beginning() {
    model(2, || {
        let (router, room, stays) = router_with_a_member();
        let publisher = {
            let (router, room) = (Arc::clone(&router), room.clone());
            thread::spawn(move || {
                for body in ["1", "2"] {
                    route(&router, &room, &[body]);
                }
            })
        };
        let late = Arc::<Recorder>::default();
        router.subscribe(&room, Subscriber::new(id(2), late.clone()), &mut turn());
        router.unsubscribe(&room, id(1));
        join(vec![publisher]);
        route(&router, &room, &["3"]);
        assert!(["1", "2"].starts_with(&texts(&stays.bodies())), "{:?}", stays.bodies());
        assert!(["1", "2", "3"].ends_with(&texts(&late.bodies())), "{:?}", late.bodies());
        assert_eq!(late.bodies().last().map(String::as_str), Some("3"));
    });
}

#[test]
fn the_last_one_leaving_and_the_first_one_joining_lose_no_message_between_them() {
    model(2, || {
        let (router, room, _) = router_with_a_member();
        let leaver = {
            let (router, room) = (Arc::clone(&router), room.clone());
            thread::spawn(move || router.unsubscribe(&room, id(1)))
        };
        let publisher = {
            let (router, room) = (Arc::clone(&router), room.clone());
            thread::spawn(move || route(&router, &room, &["1"]))
        };
        let late = Arc::<Recorder>::default();
        router.subscribe(&room, Subscriber::new(id(2), late.clone()), &mut turn());
        route(&router, &room, &["2"]);
        join(vec![publisher]);
        assert!(leaver.join().is_ok());
        let got = late.bodies();
        assert_eq!(got.iter().filter(|body| *body == "2").count(), 1, "{got:?}");
        router.unsubscribe(&room, id(2));
        assert_eq!(router.destinations(), 0);
    });
}

#[test]
fn who_joins_with_history_gets_everything_once() {
    model(2, || {
        let mut rules = DestinationRules::default();
        rules.add("/topic/**,history=10".parse().expect("a rule"));
        let router = Arc::new(Router::with_history(Arc::new(rules), 1 << 20));
        let room = destination("/topic/room");
        let publisher = {
            let (router, room) = (Arc::clone(&router), room.clone());
            thread::spawn(move || {
                for body in ["1", "2"] {
                    route(&router, &room, &[body]);
                }
            })
        };
        let late = Arc::<Recorder>::default();
        let subscriber = Subscriber::new(id(1), late.clone());
        let subscriber = subscriber.with_history(Some(HistoryRequest::Last(10)));
        router.subscribe(&room, subscriber, &mut turn());
        join(vec![publisher]);
        route(&router, &room, &["3"]);
        assert_eq!(late.bodies(), ["1", "2", "3"]);
    });
}

#[test]
fn who_joins_a_pattern_gets_a_whole_end() {
    model(2, || {
        let (router, room, stays) = router_with_a_member();
        let publisher = {
            let (router, room) = (Arc::clone(&router), room.clone());
            thread::spawn(move || {
                for body in ["1", "2"] {
                    route(&router, &room, &[body]);
                }
            })
        };
        let late = Arc::<Recorder>::default();
        let pattern = destination("/topic/*");
        router.subscribe(&pattern, Subscriber::new(id(2), late.clone()), &mut turn());
        join(vec![publisher]);
        route(&router, &room, &["3"]);
        assert_eq!(stays.bodies(), ["1", "2", "3"]);
        assert!(["1", "2", "3"].ends_with(&texts(&late.bodies())), "{:?}", late.bodies());
        assert_eq!(late.bodies().last().map(String::as_str), Some("3"));
    });
}

#[test]
fn a_queue_forgets_no_message_while_others_send_and_settle() {
    model(2, || {
        let broker = Arc::new(MemoryBroker::new());
        let queue: Destination = destination("/queue/a");
        let consumer = Arc::<Recorder>::default();
        let subscriber =
            Subscriber::new(id(1), consumer.clone()).with_settles(true).with_prefetch(Some(1));
        drop(broker.subscribe(&queue, subscriber, &mut turn()));
        publish(&broker, &queue, "1");
        let publisher = {
            let (broker, queue) = (Arc::clone(&broker), queue.clone());
            thread::spawn(move || publish(&broker, &queue, "2"))
        };
        let tags = consumer.tags();
        let settle = Settle {
            destination: queue.clone(),
            subscriber: id(1),
            tags,
            settlement: Settlement::Acknowledged,
        };
        drop(broker.settle(settle, &mut turn()));
        join(vec![publisher]);
        assert_eq!(consumer.bodies(), ["1", "2"]);
    });
}

/// Tries `body` in every order of at most so many switches between threads that need not be.
fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(body);
}

fn router_with_a_member() -> (Arc<Router>, Destination, Arc<Recorder>) {
    let (router, room) = (Arc::new(Router::new()), destination("/topic/room"));
    let member = Arc::<Recorder>::default();
    router.subscribe(&room, Subscriber::new(id(1), member.clone()), &mut turn());
    (router, room, member)
}

fn route(router: &Router, to: &Destination, bodies: &[&str]) {
    let mut turn = turn();
    for body in bodies {
        let message = Message::builder(to.clone()).body(body);
        drop(router.route(to, Delivery::new(message.into_shared()), &mut turn));
    }
}

fn publish(broker: &MemoryBroker, to: &Destination, body: &str) {
    drop(broker.publish(Message::builder(to.clone()).body(body), &mut turn()));
}

fn turn() -> Turn {
    Turn::new(Instant::now())
}

fn id(connection: u64) -> SubscriberId {
    SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) }
}

fn destination(name: &str) -> Destination {
    name.parse().expect("a destination")
}

fn texts(bodies: &[String]) -> Vec<&str> {
    bodies.iter().map(String::as_str).collect()
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        assert!(catch_unwind(AssertUnwindSafe(|| thread.join())).is_ok());
    }
}
