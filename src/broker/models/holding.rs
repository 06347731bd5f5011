//! Subscribers that hold publishers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use loom::sync::Notify;
use loom::thread;

use super::super::{Destination, Message, Outcome, Outlet, Router, Subscriber, Taken};
use super::{destination, id, join, model, turn};
use crate::session::{Delivery, SubscriptionKey};

/// Is full from its first delivery on, and wakes its connection's task, until that has resumed it.
#[derive(Default)]
struct FullAtFirst {
    full: Notify,
    answered: AtomicBool,
    written: AtomicBool,
}

impl Outlet for FullAtFirst {
    fn deliver(&self, _to: SubscriptionKey, _deliveries: &[Delivery], _now: Instant) -> Taken {
        if self.written.load(Ordering::SeqCst) {
            return Taken::Written;
        }
        if !self.answered.swap(true, Ordering::SeqCst) {
            self.full.notify();
        }
        Taken::Full
    }
}

#[test]
fn who_is_resumed_before_its_answer_is_known_holds_nobody() {
    model(2, || {
        let (router, room) = (Arc::new(Router::new()), destination("/topic/room"));
        let member = Arc::<FullAtFirst>::default();
        router.subscribe(&room, Subscriber::new(id(1), member.clone()), &mut turn());
        let owner = {
            let (router, room) = (Arc::clone(&router), room.clone());
            thread::spawn(move || {
                // loom also wakes up for nothing.
                while !member.answered.load(Ordering::SeqCst) {
                    member.full.wait();
                }
                member.written.store(true, Ordering::SeqCst);
                router.resume(&room, id(1), &mut turn());
            })
        };
        let waiting: Vec<_> = (0..2).map(|_| send(&router, &room)).collect();
        join(vec![owner]);
        assert!(waiting.into_iter().all(|mut outcome| outcome.take_ready().is_some()));
        assert!(send(&router, &room).take_ready().is_some());
        router.unsubscribe(&room, id(1));
        assert_eq!(router.destinations(), 0);
    });
}

#[test]
fn who_leaves_before_its_answer_is_known_holds_nobody() {
    for pattern in ["/topic/room", "/topic/*"] {
        model(2, move || {
            let (router, room) = (Arc::new(Router::new()), destination("/topic/room"));
            let to = destination(pattern);
            let member = Arc::<FullAtFirst>::default();
            router.subscribe(&to, Subscriber::new(id(1), member), &mut turn());
            let leaver = {
                let router = Arc::clone(&router);
                thread::spawn(move || {
                    router.unsubscribe(&to, id(1));
                })
            };
            let waiting: Vec<_> = (0..2).map(|_| send(&router, &room)).collect();
            join(vec![leaver]);
            assert!(waiting.into_iter().all(|mut outcome| outcome.take_ready().is_some()));
            assert_eq!(router.destinations(), 0);
        });
    }
}

fn send(router: &Router, to: &Destination) -> Outcome {
    let message = Message::builder(to.clone()).body("x");
    router.route(to, Delivery::new(message.into_shared()), &mut turn())
}
