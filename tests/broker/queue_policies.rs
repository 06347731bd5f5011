//! What a queue does at its bounds, and with messages that nobody consumes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stompbox::broker::{
    Broker, BrokerError, Host, MemoryBroker, Message, QueueOverflow, QueuePolicy, RejectedPolicy,
    Settlement, Turn, Work,
};

use crate::recorder::{
    Calls, Recorder, destination, done, message, queue_policy, settle, settling, subscriber,
};

const JOBS: &str = "/queue/jobs";
const DEAD: &str = "/queue/dead";
const SECOND: Duration = Duration::from_secs(1);

/// A broker whose jobs have a policy; all else has the default.
fn broker(set: impl FnOnce(&mut QueuePolicy)) -> MemoryBroker {
    let rule = queue_policy(JOBS, set);
    MemoryBroker::builder().rule(rule).build()
}

fn send_all(broker: &MemoryBroker, bodies: &[&str]) {
    for body in bodies {
        broker.sends(JOBS, body).unwrap();
    }
}

/// Sends with an `expiration` header, at an instant.
fn send_expiring(broker: &MemoryBroker, expiration: &str, now: Instant) -> Result<(), BrokerError> {
    let message = Message::builder(destination(JOBS)).header("expiration", expiration);
    done(broker.publish(message.body(expiration), &mut Turn::new(now)))
}

/// Handles the deadlines until `now`.
fn handle_deadlines(broker: &MemoryBroker, now: Instant) {
    while broker.next_deadline().is_some_and(|next| next <= now) {
        broker.handle_deadline(&mut Turn::new(now));
    }
}

fn join_at(broker: &MemoryBroker, name: &str, outlet: &Arc<Recorder>, now: Instant) {
    let subscriber = settling(0, outlet, 10);
    done(broker.subscribe(&destination(name), subscriber, &mut Turn::new(now))).unwrap();
}

/// What is in the queue of dead letters: body, reason and origin.
fn dead(broker: &MemoryBroker) -> Vec<(String, String, String)> {
    let outlet = Recorder::new();
    broker.joins(DEAD, subscriber(9, &outlet)).unwrap();
    broker.leaves(DEAD, 9);
    let header = |message: &stompbox::frame::SharedMessage, name: &str| {
        let frame = message.frame().unwrap();
        frame.header(name).unwrap_or_default().into_owned()
    };
    let letter = |message: stompbox::frame::SharedMessage| {
        let body = String::from_utf8(message.body().to_vec()).unwrap();
        assert_eq!(header(&message, "destination"), DEAD);
        (body, header(&message, "dead-letter-reason"), header(&message, "dead-letter-from"))
    };
    outlet.messages().into_iter().map(letter).collect()
}

fn letter(body: &str, reason: &str) -> (String, String, String) {
    (body.to_owned(), reason.to_owned(), JOBS.to_owned())
}

#[test]
fn a_queue_holds_no_more_messages_than_it_may() {
    let broker = broker(|policy| policy.messages = 2);
    send_all(&broker, &["1", "2"]);
    let refused = Err(BrokerError::TooManyMessages { destination: JOBS.to_owned(), limit: 2 });
    assert_eq!(broker.sends(JOBS, "3"), refused);
    assert_eq!(broker.counters().refused, 1);
    broker.joins(JOBS, subscriber(0, &Recorder::new())).unwrap();
    broker.sends(JOBS, "3").unwrap();
}

#[test]
fn the_oldest_that_no_consumer_has_make_room() {
    let broker = broker(|policy| {
        policy.messages = 3;
        policy.overflow = QueueOverflow::DropOldest;
    });
    let outlet = Recorder::new();
    broker.joins(JOBS, settling(0, &outlet, 1)).unwrap();
    send_all(&broker, &["1", "2", "3", "4", "5"]);
    assert_eq!((broker.queued(&destination(JOBS)), broker.counters().dropped), (3, 2));
    for expected in [&["1"][..], &["1", "4"], &["1", "4", "5"]] {
        assert_eq!(outlet.bodies(), expected);
        broker.acks(JOBS, 0, &[outlet.tag_of(expected.last().unwrap())]);
    }
    assert_eq!((broker.queued_bytes(), broker.counters().refused), (0, 0));
}

#[test]
fn what_consumers_have_never_makes_room() {
    let broker = broker(|policy| {
        policy.messages = 2;
        policy.overflow = QueueOverflow::DropOldest;
    });
    let outlet = Recorder::new();
    broker.joins(JOBS, settling(0, &outlet, 10)).unwrap();
    send_all(&broker, &["1", "2", "3"]);
    assert_eq!(outlet.bodies(), ["1", "2"]);
    assert_eq!((broker.queued(&destination(JOBS)), broker.counters().dropped), (2, 1));
}

#[test]
fn a_message_that_never_fits_is_refused_even_where_the_oldest_make_room() {
    let broker = broker(|policy| {
        policy.bytes = message(JOBS, "1").shared().size();
        policy.overflow = QueueOverflow::DropOldest;
    });
    send_all(&broker, &["1", "2"]);
    assert!(matches!(broker.sends(JOBS, &"x".repeat(100)), Err(BrokerError::Full { .. })));
    assert_eq!((broker.queued(&destination(JOBS)), broker.counters().dropped), (1, 1));
}

#[test]
fn what_has_expired_is_not_delivered() {
    let (broker, outlet) = (broker(|policy| policy.expiration = Some(3 * SECOND)), Recorder::new());
    let start = Instant::now();
    for expiration in ["1000", "2000", "9000"] {
        send_expiring(&broker, expiration, start).unwrap();
    }
    join_at(&broker, JOBS, &outlet, start + 2 * SECOND);
    assert_eq!(outlet.bodies(), ["2000", "9000"], "at the very instant it still may be");
    assert_eq!(broker.counters().expired, 1);
    // Given back, they go on waiting for as long as is left to them: the policy says three seconds.
    let turn = &mut Turn::new(start + 4 * SECOND);
    done(broker.unsubscribe(&destination(JOBS), crate::recorder::id(0), turn)).unwrap();
    let turn = &mut Turn::new(start + 4 * SECOND);
    broker.handle_deadline(turn);
    join_at(&broker, JOBS, &outlet, start + 4 * SECOND);
    assert_eq!(outlet.bodies().len(), 2, "the policy's time counts where the header says more");
}

#[test]
fn what_expires_at_once_reaches_a_consumer_that_waits() {
    let (broker, outlet) = (MemoryBroker::new(), Recorder::new());
    let start = Instant::now();
    send_expiring(&broker, "0", start).unwrap();
    assert_eq!((broker.counters().expired, broker.queues()), (1, 0));
    join_at(&broker, JOBS, &outlet, start);
    send_expiring(&broker, "0", start).unwrap();
    assert_eq!(outlet.bodies(), ["0"]);
}

#[test]
fn an_expiration_that_is_no_number_is_refused() {
    let broker = MemoryBroker::new();
    for bad in ["", "soon", "-1", "+1", "1.5"] {
        let refused = send_expiring(&broker, bad, Instant::now());
        assert!(matches!(refused, Err(BrokerError::InvalidHeader { .. })), "{bad}: {refused:?}");
    }
    assert_eq!(broker.queues(), 0);
}

/// Counts what a broker asks of it.
#[derive(Default)]
struct Counting {
    deadlines: AtomicUsize,
    work: parking_lot::Mutex<Vec<Work>>,
}

impl Host for Counting {
    fn hand_over(&self, work: Work) {
        self.work.lock().push(work);
    }

    fn deadline_changed(&self) {
        self.deadlines.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_expires_is_removed_though_nobody_comes_for_it() {
    let broker = broker(|policy| policy.dead_letter = Some(destination(DEAD)));
    let host = Arc::new(Counting::default());
    broker.attach(host.clone());
    let start = Instant::now();
    assert_eq!(broker.next_deadline(), None);
    for expiration in ["500", "100", "600", "900000"] {
        send_expiring(&broker, expiration, start).unwrap();
    }
    assert_eq!(broker.next_deadline(), Some(start + Duration::from_millis(100)));
    assert_eq!(host.deadlines.load(Ordering::Relaxed), 2, "only what comes first is new to it");
    handle_deadlines(&broker, start + Duration::from_millis(100));
    assert_eq!(broker.queued(&destination(JOBS)), 3);
    // The next look is a second later and finds both.
    handle_deadlines(&broker, start + Duration::from_millis(1_099));
    assert_eq!(broker.queued(&destination(JOBS)), 3);
    handle_deadlines(&broker, start + Duration::from_millis(1_100));
    assert_eq!(broker.queued(&destination(JOBS)), 1);
    assert_eq!(broker.next_deadline(), Some(start + Duration::from_secs(900)));
    let expired = ["100", "500", "600"].map(|body| letter(body, "expired"));
    assert_eq!(dead(&broker), expired);
    handle_deadlines(&broker, start + Duration::from_secs(900));
    assert_eq!(broker.next_deadline(), None);
    assert_eq!(broker.counters().expired, 4);
}

#[test]
fn a_rejected_message_waits_for_its_time_and_keeps_its_place() {
    let broker = broker(|policy| policy.rejected = RejectedPolicy::Delay(SECOND));
    let outlet = Recorder::new();
    let start = Instant::now();
    join_at(&broker, JOBS, &outlet, start);
    broker.sends(JOBS, "1").unwrap();
    let nack = settle(JOBS, 0, &[outlet.tag_of("1")], Settlement::Rejected);
    done(Broker::settle(&broker, nack, &mut Turn::new(start))).unwrap();
    broker.leaves(JOBS, 0);
    broker.sends(JOBS, "2").unwrap();
    assert_eq!(broker.next_deadline(), Some(start + SECOND));
    handle_deadlines(&broker, start + SECOND);
    join_at(&broker, JOBS, &outlet, start + SECOND);
    assert_eq!(outlet.bodies(), ["1", "1", "2"]);
    assert_eq!(outlet.attempts(), [1, 2, 1]);
}

#[test]
fn a_rejected_message_may_be_discarded_or_go_to_the_dead_letters() {
    for (rejected, reason) in
        [(RejectedPolicy::Discard, None), (RejectedPolicy::DeadLetter, Some("rejected"))]
    {
        let broker = broker(|policy| {
            policy.rejected = rejected;
            policy.dead_letter = Some(destination(DEAD));
        });
        let outlet = Recorder::new();
        broker.joins(JOBS, settling(0, &outlet, 10)).unwrap();
        send_all(&broker, &["1", "2"]);
        broker.nacks(JOBS, 0, &[outlet.tag_of("1")]);
        assert_eq!(broker.queued(&destination(JOBS)), 1);
        assert_eq!(dead(&broker), Vec::from_iter(reason.map(|reason| letter("1", reason))));
        let counters = broker.counters();
        let expected = if reason.is_some() { (0, 1) } else { (1, 0) };
        assert_eq!((counters.discarded, counters.dead_lettered), expected);
    }
}

#[test]
fn after_so_many_deliveries_a_message_is_dead() {
    let broker = broker(|policy| {
        policy.deliveries = Some(2);
        policy.dead_letter = Some(destination(DEAD));
    });
    let outlet = Recorder::new();
    broker.joins(JOBS, settling(0, &outlet, 10)).unwrap();
    send_all(&broker, &["1", "2"]);
    // A loss of the consumer counts as a NACK does.
    broker.nacks(JOBS, 0, &[outlet.tag_of("1")]);
    broker.leaves(JOBS, 0);
    assert_eq!(dead(&broker), [letter("1", "too many deliveries")]);
    broker.joins(JOBS, settling(1, &outlet, 10)).unwrap();
    assert_eq!(outlet.attempts(), [1, 1, 2, 2]);
    broker.nacks(JOBS, 1, &[outlet.tag_of("2")]);
    assert_eq!(dead(&broker), [letter("2", "too many deliveries")]);
    assert_eq!((broker.queued_bytes(), broker.counters().dead_lettered), (0, 2));
}

#[test]
fn what_never_reached_a_consumer_was_not_delivered() {
    let broker = broker(|policy| policy.deliveries = Some(1));
    let outlets = [Recorder::new(), Recorder::new()];
    outlets[0].go();
    broker.joins(JOBS, settling(0, &outlets[0], 10)).unwrap();
    send_all(&broker, &["1"]);
    broker.joins(JOBS, settling(1, &outlets[1], 10)).unwrap();
    assert_eq!(outlets[1].attempts(), [1]);
    assert_eq!(broker.counters().discarded, 0);
    broker.leaves(JOBS, 1);
    assert_eq!((broker.counters().discarded, broker.queues()), (1, 0));
}

#[test]
fn dead_letters_may_go_to_a_topic() {
    let broker = broker(|policy| {
        policy.rejected = RejectedPolicy::DeadLetter;
        policy.dead_letter = Some(destination("/topic/dead"));
    });
    let (outlet, listener) = (Recorder::new(), Recorder::new());
    broker.joins(JOBS, settling(0, &outlet, 10)).unwrap();
    broker.joins("/topic/dead", subscriber(1, &listener)).unwrap();
    send_all(&broker, &["1"]);
    broker.nacks(JOBS, 0, &[outlet.tag_of("1")]);
    assert_eq!(listener.bodies(), ["1"]);
}

#[test]
fn dead_letters_do_not_go_round_in_circles() {
    let dies = |name: &str, to: &str| {
        queue_policy(name, |policy| {
            policy.expiration = Some(Duration::ZERO);
            policy.dead_letter = Some(destination(to));
        })
    };
    let broker = MemoryBroker::builder()
        .rule(dies("/queue/a", "/queue/b"))
        .rule(dies("/queue/b", "/queue/c"))
        .rule(dies("/queue/c", "/queue/a"))
        .rule(dies("/queue/self", "/queue/self"))
        .rule(dies("/queue/lost", "/nowhere"))
        .build();
    for (name, deaths, dead_lettered) in
        [("/queue/a", 3, 2), ("/queue/self", 4, 2), ("/queue/lost", 5, 2)]
    {
        broker.sends(name, "x").unwrap();
        // The second look for expired messages is not before a second has passed.
        handle_deadlines(&broker, Instant::now() + 2 * SECOND);
        let counters = broker.counters();
        assert_eq!((counters.expired, counters.dead_lettered), (deaths, dead_lettered), "{name}");
    }
    assert_eq!(broker.counters().undeliverable, 3);
    assert_eq!((broker.queues(), broker.queued_bytes()), (0, 0));
}

#[test]
fn a_full_queue_of_dead_letters_takes_no_more() {
    let broker = MemoryBroker::builder()
        .rule(queue_policy(DEAD, |policy| policy.messages = 1))
        .rule(queue_policy(JOBS, |policy| {
            policy.rejected = RejectedPolicy::DeadLetter;
            policy.dead_letter = Some(destination(DEAD));
        }))
        .build();
    let outlet = Recorder::new();
    broker.joins(JOBS, settling(0, &outlet, 10)).unwrap();
    send_all(&broker, &["1", "2"]);
    broker.nacks(JOBS, 0, &[outlet.tag_of("1"), outlet.tag_of("2")]);
    let counters = broker.counters();
    assert_eq!((counters.dead_lettered, counters.undeliverable, counters.refused), (1, 1, 0));
    assert_eq!(dead(&broker), [letter("1", "rejected")]);
}

#[test]
fn a_long_backlog_is_handed_over_to_the_host() {
    const BACKLOG: usize = 2_500;
    let broker = MemoryBroker::new();
    let host = Arc::new(Counting::default());
    broker.attach(host.clone());
    for number in 0..BACKLOG {
        broker.sends(JOBS, &number.to_string()).unwrap();
    }
    let outlet = Recorder::new();
    broker.joins(JOBS, subscriber(0, &outlet)).unwrap();
    let mut work = host.work.lock().pop();
    assert_eq!(outlet.bodies().len(), 1_000, "a turn's budget");
    // Whoever comes meanwhile leaves it to the one who is at it.
    broker.sends(JOBS, "the last").unwrap();
    assert_eq!(outlet.bodies().len(), 1_000);
    while let Some(more) = work {
        work = more.run(Instant::now());
    }
    assert!(host.work.lock().is_empty());
    assert_eq!(outlet.bodies().len(), BACKLOG + 1);
    assert_eq!(outlet.bodies().last().map(String::as_str), Some("the last"));
}

#[test]
fn work_that_is_never_run_is_taken_up_by_the_next() {
    let broker = MemoryBroker::new();
    let host = Arc::new(Counting::default());
    broker.attach(host.clone());
    for number in 0..1_500 {
        broker.sends(JOBS, &number.to_string()).unwrap();
    }
    let outlet = Recorder::new();
    broker.joins(JOBS, subscriber(0, &outlet)).unwrap();
    host.work.lock().clear();
    broker.sends(JOBS, "the last").unwrap();
    assert_eq!(outlet.bodies().len(), 1_501);
}

#[test]
fn replies_are_there_for_as_long_as_somebody_waits_for_them() {
    const REPLIES: &str = "/temp-queue/0123/prices";
    let broker =
        MemoryBroker::builder().rule(queue_policy(REPLIES, |policy| policy.messages = 2)).build();
    broker.sends(REPLIES, "too early").unwrap();
    let outlet = Recorder::new();
    broker.joins(REPLIES, settling(0, &outlet, 1)).unwrap();
    for body in ["1", "2", "one too many"] {
        broker.sends(REPLIES, body).unwrap();
    }
    assert_eq!((outlet.bodies().len(), broker.counters().undeliverable), (1, 2));
    broker.leaves(REPLIES, 0);
    broker.sends(REPLIES, "too late").unwrap();
    assert_eq!((broker.queues(), broker.queued_bytes()), (0, 0));
    assert_eq!(broker.counters().undeliverable, 5);
    assert_eq!(broker.counters().refused, 0);
}
