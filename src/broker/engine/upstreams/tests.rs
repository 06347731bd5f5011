use std::sync::Arc;

use crate::session::{Delivery, SubscriptionKey};

use super::super::super::{Outlet, Taken};
use super::*;

/// What a connection was told.
#[derive(Default)]
struct Told(Mutex<Vec<BrokerError>>);

impl Outlet for Told {
    fn deliver(&self, _: SubscriptionKey, _: &[Delivery], _: Instant) -> Taken {
        Taken::Gone
    }

    fn refuse(&self, _: SubscriptionKey, error: &BrokerError) {
        self.0.lock().push(error.clone());
    }
}

fn room(number: u32) -> Destination {
    format!("/topic/room/{number}").parse().unwrap()
}

fn id(connection: u64) -> SubscriberId {
    SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) }
}

fn who(connection: u64) -> Subscriber {
    Subscriber::new(id(connection), Arc::new(Told::default()))
}

fn next(upstreams: &Upstreams) -> Option<Change> {
    upstreams.state.lock().next_change()
}

#[test]
fn a_thousand_listeners_are_one_subscription() {
    let upstreams = Upstreams::default();
    let mut outcomes: Vec<_> = (0..1_000).map(|one| upstreams.join(&room(5), &who(one))).collect();
    assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
    assert_eq!(next(&upstreams), None);
    assert!(outcomes.iter_mut().all(|outcome| outcome.take_ready().is_none()));
    #[cfg(feature = "rabbitmq")]
    assert!(upstreams.is_awaited(&room(5)));
    upstreams.listening(&room(5));
    #[cfg(feature = "rabbitmq")]
    assert!(!upstreams.is_awaited(&room(5)));
    assert!(outcomes.iter_mut().all(|outcome| outcome.take_ready() == Some(Ok(()))));
    assert_eq!(upstreams.join(&room(5), &who(1_000)).take_ready(), Some(Ok(())));
    for who in 0..1_000 {
        upstreams.leave(&room(5), id(who));
        assert_eq!(next(&upstreams), None);
    }
    upstreams.leave(&room(5), id(1_000));
    assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
    upstreams.stopped(&room(5));
    assert_eq!((next(&upstreams), upstreams.count()), (None, 0));
}

#[test]
fn nobody_counts_twice() {
    let upstreams = Upstreams::default();
    let mut outcomes = [upstreams.join(&room(5), &who(1)), upstreams.join(&room(5), &who(1))];
    assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
    upstreams.listening(&room(5));
    assert!(outcomes.iter_mut().all(|outcome| outcome.take_ready() == Some(Ok(()))));
    drop(upstreams.join(&room(5), &who(2)));
    // Nor does who was never there.
    for who in [1, 1, 3] {
        assert!(!upstreams.leave(&room(5), id(who)));
    }
    assert_eq!(next(&upstreams), None);
    upstreams.leave(&room(5), id(2));
    assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
}

#[test]
fn who_comes_back_while_it_stops_is_listened_for_again() {
    let upstreams = Upstreams::default();
    drop(upstreams.join(&room(5), &who(1)));
    assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
    upstreams.listening(&room(5));
    upstreams.leave(&room(5), id(1));
    assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
    let mut again = upstreams.join(&room(5), &who(1));
    assert_eq!(next(&upstreams), None);
    upstreams.stopped(&room(5));
    assert_eq!(again.take_ready(), None);
    assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
    upstreams.listening(&room(5));
    assert_eq!(again.take_ready(), Some(Ok(())));
}

#[test]
fn who_leaves_before_it_began_is_stopped_afterwards() {
    let upstreams = Upstreams::default();
    drop(upstreams.join(&room(5), &who(1)));
    assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
    upstreams.leave(&room(5), id(1));
    assert_eq!(next(&upstreams), None);
    upstreams.listening(&room(5));
    assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
}

#[test]
fn after_a_loss_all_that_is_wanted_is_asked_for_again() {
    let upstreams = Upstreams::default();
    drop(upstreams.join(&room(1), &who(1)));
    let mut unconfirmed = upstreams.join(&room(2), &who(1));
    drop(upstreams.join(&room(3), &who(1)));
    while next(&upstreams).is_some() {}
    upstreams.listening(&room(1));
    upstreams.listening(&room(3));
    upstreams.leave(&room(3), id(1));
    upstreams.lost();
    let mut changes: Vec<_> = std::iter::from_fn(|| next(&upstreams)).collect();
    changes.sort_by_key(|change| format!("{change:?}"));
    assert_eq!(changes, [Change::Listen(room(1)), Change::Listen(room(2))]);
    assert_eq!(unconfirmed.take_ready(), None);
    upstreams.listening(&room(2));
    assert_eq!(unconfirmed.take_ready(), Some(Ok(())));
}

#[test]
fn a_refusal_reaches_all_who_wait() {
    let upstreams = Upstreams::default();
    let mut outcomes = [upstreams.join(&room(1), &who(1)), upstreams.join(&room(1), &who(2))];
    assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
    upstreams.refused(&room(1), &BrokerError::Closed);
    for outcome in &mut outcomes {
        assert_eq!(outcome.take_ready(), Some(Err(BrokerError::Closed)));
    }
    // Nobody asks for ever; the next one who comes does, and so does another connection.
    assert_eq!(next(&upstreams), None);
    assert!(!upstreams.leave(&room(1), id(1)));
    let mut third = upstreams.join(&room(1), &who(3));
    assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
    upstreams.refused(&room(1), &BrokerError::Closed);
    assert_eq!(third.take_ready(), Some(Err(BrokerError::Closed)));
    upstreams.lost();
    assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
    upstreams.refused(&room(1), &BrokerError::Closed);
    assert!(!upstreams.leave(&room(1), id(2)));
    assert!(upstreams.leave(&room(1), id(3)));
    assert_eq!((next(&upstreams), upstreams.count()), (None, 0));
}

#[test]
fn who_was_confirmed_is_told_of_a_refusal_once() {
    let upstreams = Upstreams::default();
    let (told, waits) = (Arc::new(Told::default()), Arc::new(Told::default()));
    let confirmed = Subscriber::new(id(1), told.clone());
    drop(upstreams.join(&room(1), &confirmed));
    assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
    upstreams.listening(&room(1));
    upstreams.lost();
    let mut waiting = upstreams.join(&room(1), &Subscriber::new(id(2), waits.clone()));
    assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
    upstreams.refused(&room(1), &BrokerError::Closed);
    assert_eq!(*told.0.lock(), [BrokerError::Closed]);
    assert_eq!(waiting.take_ready(), Some(Err(BrokerError::Closed)));
    assert_eq!(*waits.0.lock(), []);
    // Both are taken back as if nothing had been.
    assert!(!upstreams.leave(&room(1), id(1)));
    assert!(upstreams.leave(&room(1), id(2)));
    assert_eq!((next(&upstreams), upstreams.count()), (None, 0));
}

#[test]
fn who_is_refused_after_leaving_leaves_nothing() {
    let upstreams = Upstreams::default();
    drop(upstreams.join(&room(1), &who(1)));
    assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
    assert!(!upstreams.leave(&room(1), id(1)));
    upstreams.refused(&room(1), &BrokerError::Closed);
    assert_eq!((next(&upstreams), upstreams.count()), (None, 0));
}

#[test]
fn who_waits_too_long_is_refused_and_leaves_nothing() {
    const AWAY: BrokerError = BrokerError::Unavailable { engine: "an engine" };
    let (upstreams, began) = (Upstreams::default(), Instant::now());
    let mut outcomes = [upstreams.join(&room(1), &who(1)), upstreams.join(&room(2), &who(1))];
    while next(&upstreams).is_some() {}
    upstreams.listening(&room(2));
    upstreams.expire("an engine", began);
    assert_eq!(outcomes[0].take_ready(), None);
    upstreams.expire("an engine", Instant::now() + TIME);
    assert_eq!(outcomes.each_mut().map(Outcome::take_ready), [Some(Err(AWAY)), Some(Ok(()))]);
    // It was asked for, and whoever comes next waits for the same.
    let mut later = upstreams.join(&room(1), &who(2));
    upstreams.listening(&room(1));
    assert_eq!(later.take_ready(), Some(Ok(())));
    assert!(!upstreams.leave(&room(1), id(1)));
    assert_eq!(next(&upstreams), None);
    upstreams.leave(&room(1), id(2));
    assert_eq!(next(&upstreams), Some(Change::Stop(room(1))));
    // With an engine that is away nothing is left.
    let mut away = upstreams.join(&room(3), &who(1));
    upstreams.expire("an engine", Instant::now() + TIME);
    assert_eq!(away.take_ready(), Some(Err(AWAY)));
    assert_eq!((next(&upstreams), upstreams.count()), (None, 2));
}

#[tokio::test]
async fn the_task_is_woken() {
    let upstreams = Arc::new(Upstreams::default());
    let waiting = {
        let upstreams = Arc::clone(&upstreams);
        tokio::spawn(async move { upstreams.change().await })
    };
    tokio::task::yield_now().await;
    drop(upstreams.join(&room(1), &who(1)));
    assert_eq!(waiting.await.unwrap(), Change::Listen(room(1)));
}

#[test]
fn who_comes_while_it_stops_is_routed_to_when_it_has_begun_again() {
    let (upstreams, router) = (Upstreams::default(), Router::new());
    let mut turn = Turn::new(Instant::now());
    let mut join =
        |number| upstreams.join_router(&room(5), &room(5), who(number), &router, &mut turn);
    drop(join(1));
    assert_eq!(
        (next(&upstreams), router.subscribers(&room(5))),
        (Some(Change::Listen(room(5))), 0)
    );
    upstreams.listening_with(&room(5), &router, &mut Turn::new(Instant::now()));
    assert_eq!((join(2).take_ready(), router.subscribers(&room(5))), (Some(Ok(())), 2));
    for number in [1, 2] {
        upstreams.leave(&room(5), id(number));
        router.unsubscribe(&room(5), id(number));
    }
    assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
    let mut outcomes = [join(3), join(4)];
    // One of them does not stay.
    upstreams.leave(&room(5), id(4));
    router.unsubscribe(&room(5), id(4));
    upstreams.stopped(&room(5));
    assert_eq!(
        (next(&upstreams), router.subscribers(&room(5))),
        (Some(Change::Listen(room(5))), 0)
    );
    upstreams.listening_with(&room(5), &router, &mut Turn::new(Instant::now()));
    assert_eq!(router.subscribers(&room(5)), 1);
    assert_eq!(outcomes[0].take_ready(), Some(Ok(())));
}
