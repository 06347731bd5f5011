//! Queues of the in-memory broker.

use std::sync::{Arc, Barrier};

use stompbox::broker::{Broker, BrokerError, MemoryBroker, Message, Taken};
use stompbox::frame::Version;

use crate::recorder::{
    Calls, Recorder, destination, done, id, message, queue_of, settling, subscriber, turn,
};

const JOBS: &str = "/queue/jobs";

fn queued(broker: &MemoryBroker) -> usize {
    broker.queued(&destination(JOBS))
}

fn send_all(broker: &MemoryBroker, bodies: &[&str]) {
    for body in bodies {
        broker.sends(JOBS, body).unwrap();
    }
}

#[test]
fn messages_wait_while_nobody_is_there_and_keep_their_order() {
    let broker = MemoryBroker::new();
    send_all(&broker, &["1", "2", "3"]);
    assert_eq!(queued(&broker), 3);
    let outlet = Recorder::new();
    broker.joins(JOBS, subscriber(0, &outlet)).unwrap();
    send_all(&broker, &["4"]);
    assert_eq!(outlet.bodies(), ["1", "2", "3", "4"]);
    assert_eq!(queued(&broker), 0, "in mode auto a delivery settles itself");
}

#[test]
fn each_message_goes_to_one_consumer_in_turn() {
    let broker = MemoryBroker::new();
    let outlets = [Recorder::new(), Recorder::new(), Recorder::new()];
    for (connection, outlet) in (0..).zip(&outlets) {
        broker.joins(JOBS, subscriber(connection, outlet)).unwrap();
    }
    let sent: Vec<_> = (0..9).map(|number| number.to_string()).collect();
    for body in &sent {
        broker.sends(JOBS, body).unwrap();
    }
    for outlet in &outlets {
        assert_eq!(outlet.bodies().len(), 3);
    }
    let mut all: Vec<_> = outlets.iter().flat_map(|outlet| outlet.bodies()).collect();
    all.sort_unstable();
    assert_eq!(all, sent);
}

#[test]
fn delivery_pauses_at_the_prefetch() {
    let broker = MemoryBroker::new();
    let outlet = Recorder::new();
    broker.joins(JOBS, settling(0, &outlet, 2)).unwrap();
    send_all(&broker, &["1", "2", "3", "4"]);
    assert_eq!(outlet.bodies(), ["1", "2"]);
    broker.acks(JOBS, 0, &[outlet.tag_of("2")]);
    assert_eq!(outlet.bodies(), ["1", "2", "3"]);
    assert_eq!(queued(&broker), 3, "2 is gone, and only 2");
}

#[test]
fn a_consumer_without_credit_is_passed_over() {
    let broker = MemoryBroker::new();
    let outlets = [Recorder::new(), Recorder::new()];
    broker.joins(JOBS, settling(0, &outlets[0], 1)).unwrap();
    broker.joins(JOBS, settling(1, &outlets[1], 10)).unwrap();
    send_all(&broker, &["1", "2", "3", "4", "5"]);
    assert_eq!(outlets[0].bodies().len(), 1);
    assert_eq!(outlets[1].bodies().len(), 4);
}

#[test]
fn s4_what_is_rejected_comes_again_from_its_old_place() {
    let broker = MemoryBroker::new();
    let outlet = Recorder::new();
    broker.joins(JOBS, settling(0, &outlet, 2)).unwrap();
    send_all(&broker, &["1", "2", "3"]);
    let first = outlet.got();
    assert!(first.iter().all(|got| !got.redelivered && got.tag != 0), "{first:?}");
    broker.nacks(JOBS, 0, &[first[0].tag]);
    let again = outlet.got().last().cloned().unwrap();
    assert_eq!((&*again.body, again.redelivered), ("1", true), "before 3, which came later");
    assert_eq!(queued(&broker), 3);
}

#[test]
fn s7_what_a_consumer_leaves_unsettled_goes_back_in_order() {
    let broker = MemoryBroker::new();
    let outlets = [Recorder::new(), Recorder::new()];
    broker.joins(JOBS, settling(0, &outlets[0], 3)).unwrap();
    send_all(&broker, &["1", "2", "3", "4"]);
    broker.acks(JOBS, 0, &[outlets[0].tag_of("2")]);
    assert_eq!(outlets[0].bodies(), ["1", "2", "3", "4"]);
    broker.leaves(JOBS, 0);
    send_all(&broker, &["5"]);
    broker.joins(JOBS, settling(1, &outlets[1], 10)).unwrap();
    let got: Vec<_> = outlets[1].got().into_iter().map(|it| (it.body, it.redelivered)).collect();
    let expected = [("1", true), ("3", true), ("4", true), ("5", false)];
    assert_eq!(got, expected.map(|(body, redelivered)| (body.to_owned(), redelivered)));
}

#[test]
fn only_its_consumer_settles_a_message_and_only_once() {
    let broker = MemoryBroker::new();
    let outlets = [Recorder::new(), Recorder::new()];
    broker.joins(JOBS, settling(0, &outlets[0], 10)).unwrap();
    send_all(&broker, &["1"]);
    let tag = outlets[0].tag_of("1");
    broker.acks(JOBS, 1, &[tag]);
    assert_eq!(queued(&broker), 1);
    broker.leaves(JOBS, 0);
    broker.joins(JOBS, settling(1, &outlets[1], 10)).unwrap();
    broker.acks(JOBS, 0, &[tag]);
    assert_eq!(queued(&broker), 1, "it is another's by now");
    broker.acks(JOBS, 1, &[tag, tag, 77]);
    broker.nacks(JOBS, 1, &[tag]);
    assert_eq!(queued(&broker), 0);
    assert_eq!(outlets[1].bodies(), ["1"]);
}

#[test]
fn what_a_gone_consumer_did_not_take_is_not_marked() {
    let broker = MemoryBroker::new();
    let outlets = [Recorder::new(), Recorder::new()];
    broker.joins(JOBS, settling(0, &outlets[0], 10)).unwrap();
    send_all(&broker, &["1"]);
    outlets[0].go();
    send_all(&broker, &["2", "3"]);
    broker.joins(JOBS, settling(1, &outlets[1], 10)).unwrap();
    let got: Vec<_> = outlets[1].got().into_iter().map(|it| (it.body, it.redelivered)).collect();
    let expected = [("1", true), ("2", false), ("3", false)];
    assert_eq!(got, expected.map(|(body, redelivered)| (body.to_owned(), redelivered)));
}

#[test]
fn a_consumer_that_panics_is_gone_and_the_others_go_on() {
    let broker = MemoryBroker::new();
    let panicking = Recorder::reacting(|_| panic!("on purpose, in a test"));
    let outlet = Recorder::new();
    broker.joins(JOBS, settling(0, &panicking, 10)).unwrap();
    send_all(&broker, &["1"]);
    broker.joins(JOBS, subscriber(1, &outlet)).unwrap();
    send_all(&broker, &["2"]);
    assert_eq!(outlet.bodies(), ["1", "2"]);
    assert_eq!(queued(&broker), 0);
}

#[test]
fn a_consumer_may_publish_while_it_is_delivered_to() {
    let broker = Arc::new(MemoryBroker::new());
    let publishing = {
        let broker = Arc::downgrade(&broker);
        Recorder::reacting(move |got| {
            if got.body == "1" {
                broker.upgrade().unwrap().sends(JOBS, "2").unwrap();
            }
        })
    };
    broker.joins(JOBS, subscriber(0, &publishing)).unwrap();
    broker.sends(JOBS, "1").unwrap();
    assert_eq!(publishing.bodies(), ["1", "2"]);
}

#[test]
fn threads_publish_and_consume_each_message_once() {
    const PUBLISHERS: usize = 3;
    const EACH: usize = 300;
    let broker = MemoryBroker::new();
    let outlets = [Recorder::new(), Recorder::new(), Recorder::new()];
    let start = Barrier::new(PUBLISHERS + outlets.len());
    std::thread::scope(|scope| {
        let (broker, start) = (&broker, &start);
        for publisher in 0..PUBLISHERS {
            scope.spawn(move || {
                start.wait();
                for number in 0..EACH {
                    broker.sends(JOBS, &format!("{publisher} {number}")).unwrap();
                }
            });
        }
        for (connection, outlet) in (0..).zip(&outlets) {
            scope.spawn(move || {
                start.wait();
                broker.joins(JOBS, subscriber(connection, outlet)).unwrap();
            });
        }
    });
    let mut all: Vec<_> = outlets.iter().flat_map(|outlet| outlet.bodies()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), PUBLISHERS * EACH);
    assert_eq!(queued(&broker), 0);
}

/// What a queue counts for a message of this body.
fn size_of(body: &str) -> usize {
    Message::builder(destination(JOBS)).body(body).shared().size()
}

#[test]
fn a_full_queue_refuses_and_takes_again_what_was_settled() {
    let broker = MemoryBroker::builder().otherwise(queue_of(2 * size_of("1"))).build();
    let outlet = Recorder::new();
    broker.joins(JOBS, settling(0, &outlet, 1)).unwrap();
    send_all(&broker, &["1", "2"]);
    let (bytes, limit) = (2 * size_of("1"), 2 * size_of("1"));
    let full = BrokerError::Full { destination: JOBS.to_owned(), bytes, limit };
    assert_eq!(broker.sends(JOBS, "3"), Err(full.clone()));
    broker.sends("/queue/others", "3").unwrap();
    broker.nacks(JOBS, 0, &[outlet.tag_of("1")]);
    assert_eq!(broker.sends(JOBS, "3"), Err(full), "a rejected message is still there");
    broker.acks(JOBS, 0, &[outlet.tag_of("1")]);
    broker.sends(JOBS, "3").unwrap();
}

/// What a queue takes beside its messages.
fn taken_by_a_queue() -> usize {
    let broker = MemoryBroker::new();
    broker.sends(JOBS, "1").unwrap();
    let one = broker.queued_bytes();
    broker.sends(JOBS, "2").unwrap();
    assert_eq!(broker.queued_bytes(), one + size_of("2"), "only the first message makes a queue");
    one - size_of("1")
}

#[test]
fn all_queues_together_are_bounded() {
    let limit = 2 * (size_of("1") + taken_by_a_queue());
    let broker = MemoryBroker::builder().total_bytes(limit).build();
    broker.sends("/queue/job1", "1").unwrap();
    broker.sends("/queue/job2", "1").unwrap();
    let refused = broker.sends("/queue/job3", "1");
    assert_eq!(refused, Err(BrokerError::AllFull { bytes: limit, limit }));
    let outlet = Recorder::new();
    broker.joins("/queue/job1", subscriber(0, &outlet)).unwrap();
    broker.sends("/queue/job3", "1").unwrap();
}

#[test]
fn names_of_queues_without_end_are_bounded_by_what_the_queues_take() {
    let limit = 1 << 20;
    let broker = MemoryBroker::builder().total_bytes(limit).build();
    let made = (0..limit).take_while(|i| broker.sends(&format!("/queue/{i}"), "").is_ok()).count();
    assert!(made > 100 && made < limit / 512, "{made} queues in {limit} bytes");
    assert_eq!(broker.queues(), made);
}

#[test]
fn a_message_counts_the_same_when_it_comes_and_when_it_goes() {
    let broker = MemoryBroker::new();
    let message = Message::builder(destination(JOBS)).header("a:b", "c").body("x");
    let shared = message.shared().clone();
    done(broker.publish(message, &mut turn())).unwrap();
    // A consumer of STOMP 1.1 has it encoded once more, so that it takes more memory than before.
    let before = shared.size();
    shared.tail(Version::V1_1);
    assert!(shared.size() > before);
    broker.joins(JOBS, subscriber(0, &Recorder::new())).unwrap();
    broker.sends(JOBS, "and the queue goes on").unwrap();
}

#[test]
fn a_turn_publishes_to_no_queue_that_vanished_since_it_began() {
    let broker = MemoryBroker::new();
    let mut first = turn();
    done(broker.subscribe(&destination(JOBS), subscriber(0, &Recorder::new()), &mut first))
        .unwrap();
    broker.leaves(JOBS, 0);
    assert_eq!(broker.queues(), 0);
    done(broker.publish(message(JOBS, "1"), &mut first)).unwrap();
    drop(first);
    assert_eq!((broker.queues(), queued(&broker)), (1, 1));
    let outlet = Recorder::new();
    broker.joins(JOBS, subscriber(1, &outlet)).unwrap();
    assert_eq!(outlet.bodies(), ["1"]);
}

#[test]
fn idle_queues_vanish() {
    let broker = MemoryBroker::builder().otherwise(queue_of(0)).build();
    for number in 0..100 {
        assert!(broker.sends(&format!("/queue/{number}"), "refused").is_err());
    }
    assert_eq!(broker.queues(), 0, "a refused SEND leaves nothing behind");

    let broker = MemoryBroker::new();
    broker.sends(JOBS, "1").unwrap();
    let bytes = size_of("1") + taken_by_a_queue();
    assert_eq!((broker.queues(), broker.queued_bytes()), (1, bytes));
    broker.joins(JOBS, subscriber(0, &Recorder::new())).unwrap();
    broker.leaves(JOBS, 0);
    broker.leaves(JOBS, 0);
    broker.acks(JOBS, 0, &[1]);
    assert_eq!((broker.queues(), broker.queued_bytes()), (0, 0));
}

#[test]
fn what_one_turn_brings_comes_in_one_run_and_in_equal_parts() {
    let broker = MemoryBroker::new();
    let outlets = [Recorder::new(), Recorder::new(), Recorder::new()];
    for (connection, outlet) in (0..).zip(&outlets) {
        broker.joins(JOBS, settling(connection, outlet, 100)).unwrap();
    }
    let mut turn = turn();
    for number in 0..30 {
        done(broker.publish(message(JOBS, &number.to_string()), &mut turn)).unwrap();
    }
    assert!(outlets.iter().all(|outlet| outlet.runs().is_empty()), "the turn goes on");
    drop(turn);
    assert!(outlets.iter().all(|outlet| outlet.runs() == [10]));
}

#[test]
fn a_backlog_goes_to_consumers_in_small_runs() {
    let broker = MemoryBroker::new();
    for number in 0..1_000 {
        broker.sends(JOBS, &number.to_string()).unwrap();
    }
    let outlets = [Recorder::new(), Recorder::new()];
    let mut turn = turn();
    for (connection, outlet) in (0..).zip(&outlets) {
        let joining = settling(connection, outlet, 400);
        done(broker.subscribe(&destination(JOBS), joining, &mut turn)).unwrap();
    }
    drop(turn);
    let expected = [&[64; 6][..], &[16]].concat();
    assert!(outlets.iter().all(|outlet| outlet.runs() == expected), "{:?}", outlets[0].runs());
}

#[test]
fn a_run_of_large_messages_is_short() {
    let broker = MemoryBroker::new();
    let outlet = Recorder::new();
    for _ in 0..8 {
        broker.sends(JOBS, &"x".repeat(20_000)).unwrap();
    }
    outlet.answer(Taken::Queued);
    broker.joins(JOBS, settling(0, &outlet, 100)).unwrap();
    assert_eq!(outlet.runs(), [2], "a consumer that does not read is kept no more than 32 KiB");
    broker.resume(&destination(JOBS), id(0), &mut turn());
    assert_eq!(outlet.runs(), [2, 2]);
}

#[test]
fn in_mode_auto_what_is_kept_is_settled_when_it_is_written() {
    let broker = MemoryBroker::new();
    let outlet = Recorder::new();
    outlet.answer(Taken::Queued);
    broker.joins(JOBS, subscriber(0, &outlet)).unwrap();
    send_all(&broker, &["1", "2"]);
    assert_eq!((outlet.bodies().len(), queued(&broker)), (1, 2));
    outlet.answer(Taken::Written);
    broker.resume(&destination(JOBS), id(0), &mut turn());
    assert_eq!((outlet.bodies().len(), queued(&broker)), (2, 0));
}

#[test]
fn who_leaves_while_it_is_delivered_to_gives_back_what_it_got() {
    let broker = Arc::new(MemoryBroker::new());
    let leaving = {
        let broker = Arc::downgrade(&broker);
        Recorder::reacting(move |got| {
            if got.body == "2" {
                broker.upgrade().unwrap().leaves(JOBS, 0);
            }
        })
    };
    broker.joins(JOBS, settling(0, &leaving, 10)).unwrap();
    let mut turn = turn();
    for body in ["1", "2", "3"] {
        done(broker.publish(message(JOBS, body), &mut turn)).unwrap();
    }
    drop(turn);
    assert_eq!(leaving.bodies(), ["1", "2", "3"], "it was being delivered");
    let outlet = Recorder::new();
    broker.joins(JOBS, settling(1, &outlet, 10)).unwrap();
    assert_eq!(outlet.bodies(), ["1", "2", "3"]);
    assert_eq!(outlet.attempts(), [2, 2, 2]);
}

#[test]
fn many_without_credit_do_not_slow_down_the_others() {
    const IDLE: u64 = 20_000;
    let broker = MemoryBroker::new();
    let idle = Recorder::new();
    for connection in 1..=IDLE {
        broker.joins(JOBS, settling(connection, &idle, 1)).unwrap();
    }
    for number in 0..IDLE {
        broker.sends(JOBS, &number.to_string()).unwrap();
    }
    assert_eq!(idle.bodies().len(), 20_000);
    let outlet = Recorder::new();
    broker.joins(JOBS, subscriber(0, &outlet)).unwrap();
    // With a look at all of them for each message, this would take minutes.
    for number in 0..IDLE {
        broker.sends(JOBS, &number.to_string()).unwrap();
    }
    assert_eq!(outlet.bodies().len(), 20_000);
    for connection in 1..=IDLE {
        broker.leaves(JOBS, connection);
    }
    assert_eq!(queued(&broker), 0);
}
