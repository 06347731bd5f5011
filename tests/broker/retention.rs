//! What topics keep, and for how long.

use std::time::{Duration, Instant};

use stompbox::broker::{Broker, Capability, HistoryRequest, MemoryBroker, Retention, Turn};

use crate::history::{MINUTE, ROOM, after, asking, broker, joined, send, texts};
use crate::recorder::{Calls, Recorder, destination, done, message, subscriber};

#[test]
fn a_topic_keeps_no_more_than_each_of_its_bounds() {
    let start = Instant::now();
    let kept = |messages| {
        let broker = broker("history=9");
        send(&broker, 0..messages);
        broker.router().retained_bytes()
    };
    let room = kept(2) - kept(1);
    let rows: [(String, &[&str]); 4] = [
        ("history=2".to_owned(), &["3", "4"]),
        (format!("history-bytes={}", 3 * room), &["2", "3", "4"]),
        (format!("history-bytes={}", 3 * room - 1), &["3", "4"]),
        ("history-age=2m".to_owned(), &["3", "4"]),
    ];
    for (settings, expected) in rows {
        let broker = broker(&settings);
        for number in 0..5 {
            let mut turn = Turn::new(start + MINUTE * number);
            done(broker.publish(message(ROOM, &number.to_string()), &mut turn)).unwrap();
        }
        let outlet = Recorder::new();
        broker.joins(ROOM, asking(0, &outlet, HistoryRequest::Last(9))).unwrap();
        assert_eq!(outlet.bodies(), expected, "{settings}");
        assert_eq!(broker.router().retained_bytes(), kept(expected.len()), "{settings}");
    }
}

#[test]
fn what_expired_vanishes_in_time() {
    let start = Instant::now();
    let broker = broker("history-age=1m");
    let names = ["/topic/a", "/topic/b"];
    for (seconds, name) in [0, 20, 30].into_iter().zip(names.into_iter().cycle()) {
        let mut turn = Turn::new(start + Duration::from_secs(seconds));
        done(broker.publish(message(name, "x"), &mut turn)).unwrap();
    }
    assert_eq!(broker.router().destinations(), 2);
    assert_eq!(broker.next_deadline(), Some(start + MINUTE));
    // Called too early it does nothing, called late it does all.
    broker.handle_deadline(&mut Turn::new(start + Duration::from_secs(59)));
    assert_eq!(broker.router().destinations(), 2);
    broker.handle_deadline(&mut Turn::new(start + Duration::from_secs(80)));
    assert_eq!(broker.router().destinations(), 1, "b is gone, and a keeps its second");
    assert_eq!(broker.next_deadline(), Some(start + Duration::from_secs(90)));
    broker.handle_deadline(&mut Turn::new(start + Duration::from_secs(90)));
    assert_eq!((broker.router().destinations(), broker.router().retained_bytes()), (0, 0));
    assert_eq!(broker.next_deadline(), None);
}

#[test]
fn no_position_is_given_twice() {
    let start = Instant::now();
    let broker = broker("history-age=1m");
    let outlet = Recorder::new();
    for minute in [0, 5, 10] {
        let now = start + MINUTE * minute;
        let mut turn = Turn::new(now);
        done(broker.subscribe(&destination(ROOM), subscriber(0, &outlet), &mut turn)).unwrap();
        done(broker.publish(message(ROOM, &minute.to_string()), &mut turn)).unwrap();
        drop(turn);
        broker.leaves(ROOM, 0);
        broker.handle_deadline(&mut Turn::new(now + MINUTE));
        assert_eq!(broker.router().destinations(), 0);
    }
    let tokens: Vec<_> = ["0", "5", "10"].iter().map(|body| outlet.token_of(body)).collect();
    assert_eq!(tokens, ["0-0", "0-1", "0-2"]);
    let (got, gaps) = joined(&broker, after(&tokens[1]));
    assert_eq!((got, gaps), (texts(["live"]), texts(["live"])), "10 is missing");
}

#[test]
fn all_topics_together_keep_no_more_than_they_may() {
    let start = Instant::now();
    let rule = "/topic/**,history=1000".parse().unwrap();
    let limit = 20_000;
    let broker = MemoryBroker::builder().rule(rule).history_bytes(limit).build();
    let at = |second: u64, name: &str| {
        let mut turn = Turn::new(start + Duration::from_secs(second));
        done(broker.publish(message(name, &second.to_string()), &mut turn)).unwrap();
        assert!(broker.router().retained_bytes() <= limit);
    };
    let kept = |name: &str| {
        let outlet = Recorder::new();
        broker.joins(name, asking(0, &outlet, HistoryRequest::Last(u64::MAX))).unwrap();
        outlet.bodies()
    };
    at(0, "/topic/old");
    (1..500).for_each(|second| at(second, "/topic/busy"));
    at(500, "/topic/new");
    let busy = kept("/topic/busy");
    let oldest = 500 - busy.len();
    assert!(busy.len() > 20, "{busy:?}");
    assert!(busy.into_iter().eq((oldest..500).map(|second| second.to_string())));
    assert_eq!(kept("/topic/old"), [""; 0], "the oldest goes first, whoever published last");
    assert_eq!(kept("/topic/new"), ["500"]);
    // One that is larger than all may be pushes out everything, itself too.
    let mut turn = Turn::new(start + Duration::from_secs(501));
    done(broker.publish(message(ROOM, &"x".repeat(limit)), &mut turn)).unwrap();
    assert_eq!(broker.router().retained_bytes(), 0);
}

/// A message that is too large to be kept drives out what was there: nothing is left, neither of it
/// nor of the destination.
#[test]
fn what_is_too_large_to_be_kept_leaves_nothing_behind() {
    let broker = broker("history=9,history-bytes=1KiB");
    for number in 0..100 {
        let name = format!("/topic/{}", number % 10);
        broker.sends(&name, "small").unwrap();
        assert!(broker.next_deadline().is_some());
        broker.sends(&name, &"x".repeat(2_000)).unwrap();
        assert_eq!((broker.router().destinations(), broker.router().retained_bytes()), (0, 0));
        assert_eq!(broker.next_deadline(), None);
    }
}

#[test]
fn a_retention_with_a_bound_of_nothing_keeps_nothing() {
    assert!(Retention::NONE.is_none());
    let broker = broker("history=0");
    assert!(!broker.capabilities().supports(Capability::History));
    send(&broker, 0..3);
    assert_eq!((broker.router().destinations(), broker.router().retained_bytes()), (0, 0));
}
