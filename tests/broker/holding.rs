//! Publishers are held while a subscriber of their topic is full.

use std::sync::{Arc, Weak};

use stompbox::broker::{Broker, MemoryBroker, Operation, Outcome, Taken};

use crate::recorder::{Calls, Recorder, destination, id, message, subscriber, turn};

const ROOM: &str = "/topic/room/5";

/// A broker with outlets at the room, as connections 0, 1, 2, …, which are full.
fn full_room(names: &[&str]) -> (Arc<MemoryBroker>, Vec<Arc<Recorder>>) {
    let broker = Arc::new(MemoryBroker::new());
    let outlets: Vec<_> = names.iter().map(|_| Recorder::new()).collect();
    for ((connection, outlet), name) in (0..).zip(&outlets).zip(names) {
        outlet.answer(Taken::Full);
        broker.joins(name, subscriber(connection, outlet)).unwrap();
    }
    (broker, outlets)
}

fn publish(broker: &MemoryBroker, name: &str) -> Outcome {
    broker.publish(message(name, "x"), &mut turn())
}

fn is_done(outcome: &mut Outcome) -> bool {
    outcome.take_ready().is_some()
}

fn resume(broker: &MemoryBroker, name: &str, connection: u64) {
    broker.resume(&destination(name), id(connection), &mut turn());
}

#[test]
fn publishers_wait_until_all_that_are_full_are_resumed() {
    let (broker, outlets) = full_room(&[ROOM, ROOM]);
    // The first one is delivered, and only then it is known who is full.
    assert!(is_done(&mut publish(&broker, ROOM)));
    let mut waiting = [publish(&broker, ROOM), publish(&broker, ROOM)];
    assert_eq!(outlets[0].bodies().len(), 3, "its place is taken all the same");
    assert!(is_done(&mut publish(&broker, "/topic/other")), "others are not concerned");
    resume(&broker, ROOM, 0);
    assert!(!waiting.iter_mut().any(is_done));
    resume(&broker, ROOM, 1);
    assert!(waiting.iter_mut().all(is_done));
}

#[test]
fn who_publishes_by_transactions_waits_too() {
    let (broker, _outlets) = full_room(&[ROOM, "/topic/other"]);
    let both = || [ROOM, ROOM, "/topic/other"].map(|name| Operation::Publish(message(name, "x")));
    let commit = || broker.commit(both().into(), &mut turn());
    assert!(is_done(&mut commit()));
    let mut waiting = commit();
    assert!(!is_done(&mut waiting));
    resume(&broker, "/topic/other", 1);
    assert!(!is_done(&mut waiting), "the room is behind yet");
    resume(&broker, ROOM, 0);
    assert!(is_done(&mut waiting));
}

#[test]
fn publishers_wait_no_more_for_who_has_left() {
    let (broker, outlets) = full_room(&[ROOM]);
    drop(publish(&broker, ROOM));
    let mut waiting = publish(&broker, ROOM);
    assert!(!is_done(&mut waiting));
    broker.leaves(ROOM, 0);
    assert!(is_done(&mut waiting));
    assert_eq!(broker.router().destinations(), 0);
    assert_eq!(Arc::strong_count(&outlets[0]), 1);
}

#[test]
fn one_that_listens_by_a_pattern_holds_them_too() {
    for leaves in [true, false] {
        let (broker, _outlets) = full_room(&["/topic/room/*"]);
        drop(publish(&broker, ROOM));
        let mut waiting = publish(&broker, ROOM);
        assert!(!is_done(&mut waiting));
        assert!(is_done(&mut publish(&broker, "/topic/other")));
        if leaves {
            broker.leaves("/topic/room/*", 0);
        } else {
            resume(&broker, "/topic/room/*", 0);
        }
        assert!(is_done(&mut waiting));
        assert_eq!(broker.router().destinations(), 0, "nothing is left of the room");
    }
}

/// An outlet that is full, and while it is being delivered this is resumed, with others before it.
fn resumed_while_it_is_delivered(others: u64) -> (Arc<MemoryBroker>, Arc<Recorder>) {
    let broker = Arc::new(MemoryBroker::new());
    let outlet = Arc::new_cyclic(|outlet: &Weak<Recorder>| {
        let (broker, outlet) = (Arc::downgrade(&broker), outlet.clone());
        Recorder::blank_reacting(move |got| {
            if got.body == "resumed" {
                outlet.upgrade().unwrap().answer(Taken::Written);
                let broker = broker.upgrade().unwrap();
                (0..=others).rev().for_each(|connection| resume(&broker, ROOM, connection));
            }
        })
    });
    outlet.answer(Taken::Full);
    broker.joins(ROOM, subscriber(0, &outlet)).unwrap();
    (broker, outlet)
}

#[test]
fn one_that_is_resumed_before_its_answer_is_known_holds_nobody() {
    for others in [0, 1, 1_000] {
        let (broker, outlet) = resumed_while_it_is_delivered(others);
        drop(broker.publish(message(ROOM, "resumed"), &mut turn()));
        assert!(is_done(&mut publish(&broker, ROOM)));

        // Full again, it holds them.
        outlet.answer(Taken::Full);
        drop(publish(&broker, ROOM));
        let mut waiting = publish(&broker, ROOM);
        assert!(!is_done(&mut waiting));
        outlet.answer(Taken::Written);
        resume(&broker, ROOM, 0);
        assert!(is_done(&mut waiting));
    }
}

#[test]
fn one_that_leaves_before_its_answer_is_known_holds_nobody() {
    for name in [ROOM, "/topic/**"] {
        let broker = Arc::new(MemoryBroker::new());
        let leaving = {
            let broker = Arc::downgrade(&broker);
            Recorder::reacting(move |_| broker.upgrade().unwrap().leaves(name, 0))
        };
        let stays = Recorder::new();
        leaving.answer(Taken::Full);
        broker.joins(name, subscriber(0, &leaving)).unwrap();
        broker.joins(ROOM, subscriber(1, &stays)).unwrap();
        drop(publish(&broker, ROOM));
        assert!(is_done(&mut publish(&broker, ROOM)), "{name}");
    }
}

/// However many others are resumed while a batch is delivered.
#[test]
fn after_many_resumptions_the_answer_counts() {
    let broker = Arc::new(MemoryBroker::new());
    let outlet = {
        let broker = Arc::downgrade(&broker);
        Recorder::reacting(move |_| {
            (1..200).for_each(|other| resume(&broker.upgrade().unwrap(), ROOM, other));
        })
    };
    outlet.answer(Taken::Full);
    broker.joins(ROOM, subscriber(0, &outlet)).unwrap();
    drop(publish(&broker, ROOM));
    let mut waiting = publish(&broker, ROOM);
    assert!(!is_done(&mut waiting));
    resume(&broker, ROOM, 0);
    assert!(is_done(&mut waiting));
}

/// Written at one destination of its pattern while it is being delivered there, it holds publishers of
/// another until it is resumed.
#[test]
fn one_that_is_let_go_at_one_destination_holds_publishers_of_another() {
    let other = "/topic/room/6";
    let broker = MemoryBroker::new();
    let outlet = Arc::new_cyclic(|outlet: &Weak<Recorder>| {
        let outlet = outlet.clone();
        Recorder::blank_reacting(move |got| {
            if got.body == "written" {
                outlet.upgrade().unwrap().answer(Taken::Written);
            }
        })
    });
    outlet.answer(Taken::Full);
    broker.joins("/topic/room/*", subscriber(0, &outlet)).unwrap();
    drop(publish(&broker, ROOM));
    let mut waiting = publish(&broker, ROOM);
    drop(broker.publish(message(other, "written"), &mut turn()));
    assert!(is_done(&mut publish(&broker, other)));
    assert!(!is_done(&mut waiting));
    resume(&broker, "/topic/room/*", 0);
    assert!(is_done(&mut waiting));
}
