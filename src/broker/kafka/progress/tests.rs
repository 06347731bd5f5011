use super::super::super::{Outlet, Taken};
use super::*;
use crate::session::{Delivery, SubscriptionKey};
use std::sync::Arc;

struct Nowhere;

impl Outlet for Nowhere {
    fn deliver(&self, _: SubscriptionKey, _: &[Delivery], _: Instant) -> Taken {
        Taken::Gone
    }
}

fn room() -> Destination {
    "/topic/a".parse().unwrap()
}

fn subscriber(connection: u64) -> Subscriber {
    let id = SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) };
    Subscriber::new(id, Arc::new(Nowhere))
}

fn confirmed(partition: i32) -> Until<'static> {
    Until::Confirmed { topic: "t", partition }
}

fn progress() -> Progress {
    let progress = Progress::default();
    progress.add("t", 5, 8);
    progress.add("t", 0, 0);
    progress
}

#[test]
fn one_joins_when_what_was_confirmed_is_read() {
    let (progress, router, now) = (progress(), Router::new(), Instant::now());
    let mut turn = Turn::new(now);
    assert!(progress.join(confirmed(1), &room(), subscriber(1), now).is_ok());
    assert!(progress.confirm("t", 1, 3));
    assert!(!progress.confirm("t", 2, 3), "nobody reads that");
    let mut waits = progress.join(confirmed(1), &room(), subscriber(2), now).err().unwrap();
    progress.reach("t", 1, 3);
    assert!(progress.take_ready().is_empty());
    assert!(!progress.is_from_before("t", 1, 7), "records may be missing in between");
    let ready = progress.take_ready();
    assert_eq!((ready.len(), waits.take_ready()), (1, None));
    progress.finish(ready[0], &router, &mut turn);
    assert_eq!((waits.take_ready(), router.subscribers(&room())), (Some(Ok(())), 1));
    assert!(!progress.is_awaited());
}

#[test]
fn a_pattern_waits_for_what_was_there_in_every_partition() {
    let (progress, now) = (progress(), Instant::now());
    progress.add("u", 0, 2);
    drop(progress.join(Until::Start, &room(), subscriber(1), now).err().unwrap());
    assert!(progress.is_from_before("t", 0, 7));
    progress.reach("t", 0, 8);
    assert!(progress.take_ready().is_empty());
    progress.reach("u", 0, 2);
    assert_eq!(progress.take_ready(), [1]);
    assert!(progress.join(Until::Start, &room(), subscriber(2), now).is_ok());
}

#[test]
fn who_leaves_before_does_not_join() {
    let (progress, router, now) = (progress(), Router::new(), Instant::now());
    let (number, mut outcome) = progress.hold(&room(), subscriber(1), now);
    progress.wait(number, Vec::new());
    assert!(progress.leave(&room(), subscriber(1).id));
    assert!(!progress.leave(&room(), subscriber(1).id));
    assert_eq!(outcome.take_ready(), Some(Ok(())));
    for number in progress.take_ready() {
        progress.finish(number, &router, &mut Turn::new(now));
    }
    assert_eq!(router.subscribers(&room()), 0);
}

#[test]
fn nobody_waits_for_ever() {
    let (progress, now) = (progress(), Instant::now());
    let mut waits = progress.join(confirmed(0), &room(), subscriber(1), now).err().unwrap();
    progress.expire(now + PATIENCE / 2);
    assert_eq!(waits.take_ready(), None);
    progress.expire(now + PATIENCE);
    let refused = BrokerError::Unavailable { engine: ENGINE };
    assert_eq!(waits.take_ready(), Some(Err(refused)));
    assert!(!progress.is_awaited());
    progress.reach("t", 0, 8);
    assert!(progress.take_ready().is_empty());
}

#[test]
fn who_asks_for_a_span_of_time_loses_none_of_it_by_waiting() {
    let (progress, now) = (progress(), Instant::now());
    let (span, waited) = (Duration::from_secs(5), Duration::from_secs(2));
    let one = subscriber(1).with_history(Some(HistoryRequest::Within(span)));
    let (number, _outcome) = progress.hold(&room(), one, now);
    let (_, asked) = progress.asked(number, now + waited).unwrap();
    assert_eq!(asked, Some(HistoryRequest::Within(span + waited)));
}
