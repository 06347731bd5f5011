//! What one connection may hold, and what happens beyond.

use std::time::Duration;

use bytes::BytesMut;
use stompbox::frame::Limits;
use stompbox::session::{Limit, SessionError};

use crate::client::{Client, connected_with, delivery, settings, shown};

#[test]
fn subscriptions_are_limited() {
    let mut settings = settings();
    settings.subscriptions = 2;
    let mut client = connected_with("1.2", settings);
    for id in 0..10 {
        client.says(&format!("SUBSCRIBE\nid:{id}\ndestination:/a\n\n^@"));
        client.says(&format!("UNSUBSCRIBE\nid:{id}\n\n^@"));
    }
    assert!(client.refusal.is_none());
    for id in 0..3 {
        client.says(&format!("SUBSCRIBE\nid:{id}\ndestination:/a\n\n^@"));
    }
    assert_eq!(*client.error(), SessionError::Limit { of: Limit::Subscriptions, limit: 2 });
}

#[test]
fn frames_are_limited() {
    let mut settings = settings();
    settings.frame_limits = Limits::default().with_body(10);
    let mut client = connected_with("1.2", settings);
    client.says("SEND\ndestination:/a\ncontent-length:18446744073709551615\n\n");
    assert!(matches!(client.error(), SessionError::Frame(_)));
}

/// What of a frame may be ten times larger once the client is known.
fn refused_before_and_not_after(head: &str, body: &str, limit: Limit) {
    let connect = format!("CONNECT\naccept-version:1.2\n{head}\n{body}^@");
    let mut early = Client::new(settings());
    early.says(&connect);
    assert_eq!(early.error().limit(), Some(limit));

    let mut client = connected_with("1.2", settings());
    client.says(&format!("SEND\ndestination:/a\n{head}\n{body}^@"));
    assert!(client.refusal.is_none(), "{:?}", client.refusal);
}

#[test]
fn frames_are_limited_ten_times_tighter_before_connect() {
    let (before, after) = (Limits::before_connect(), Limits::default());
    assert!(10 * before.headers() <= after.headers());
    assert!(10 * (before.head() + before.body()) <= after.head() + after.body());

    refused_before_and_not_after(&"x:y\n".repeat(100), "", Limit::FrameHeaders);
    refused_before_and_not_after("", &"x".repeat(1_000_000), Limit::FrameBody);
    let announced = format!("content-length:{}\n", 1_000_000);
    refused_before_and_not_after(&announced, &"x".repeat(1_000_000), Limit::FrameBody);
    // A bearer token stands in CONNECT, and so it has the same room there as elsewhere.
    let token = format!("CONNECT\nauthorization:{}\n\n^@", "x".repeat(10_000));
    assert!(Client::new(settings()).says(&token).starts_with("CONNECTED\n"));
    let too_long = format!("CONNECT\nauthorization:{}\n\n^@", "x".repeat(20_000));
    let mut client = Client::new(settings());
    client.says(&too_long);
    assert_eq!(client.error().limit(), Some(Limit::FrameHead));
}

#[test]
fn frames_before_connect_are_never_limited_less_than_those_after() {
    let mut settings = settings();
    settings.frame_limits = Limits::default().with_headers(3);
    let mut client = Client::new(settings);
    client.says("CONNECT\na:1\nb:2\nc:3\nd:4\n\n^@");
    assert_eq!(client.error().limit(), Some(Limit::FrameHeaders));
}

#[test]
fn the_first_frame_behind_connect_has_the_limits_of_one_who_is_known() {
    let mut client = Client::new(settings());
    let large = "x".repeat(1_000_000);
    let both = format!("CONNECT\naccept-version:1.2\n\n^@SEND\ndestination:/a\n\n{large}^@");
    client.says(&both);
    assert_eq!(client.done, [format!("send /a {large}")]);
}

#[test]
fn bytes_of_subscriptions_are_limited() {
    let mut settings = settings();
    settings.subscription_bytes = 1_000;
    let mut client = connected_with("1.2", settings);
    let long = "x".repeat(400);
    for id in 0..10 {
        client.says(&format!("SUBSCRIBE\nid:{id}\ndestination:/{long}\n\n^@"));
        client.says(&format!("UNSUBSCRIBE\nid:{id}\n\n^@"));
    }
    assert!(client.refusal.is_none(), "what has ended counts no more");
    for id in 0..3 {
        client.says(&format!("SUBSCRIBE\nid:{id}\ndestination:/{long}\n\n^@"));
    }
    assert_eq!(client.error().limit(), Some(Limit::SubscriptionBytes));
}

#[test]
fn what_is_too_slow_exceeds_a_limit_too() {
    let limit = Duration::from_secs(1);
    for (error, of) in [
        (SessionError::SlowConsumer { waiting: 2, limit: 1 }, Some(Limit::WaitingBytes)),
        (
            SessionError::SlowSubscription { id: String::new(), waiting: 2, limit: 1 },
            Some(Limit::SlowConsumerBytes),
        ),
        (
            SessionError::OverdueSubscription { id: String::new(), limit },
            Some(Limit::SlowConsumerTime),
        ),
        (SessionError::NotReading { limit }, Some(Limit::ReadTime)),
        (SessionError::ConnectTimeout { limit }, Some(Limit::ConnectTime)),
        (SessionError::HeartBeatMissed { silence: limit }, None),
    ] {
        assert_eq!(error.limit(), of, "{error}");
    }
}

#[test]
fn each_limit_has_a_name_of_its_own() {
    let mut names: Vec<_> = Limit::ALL.iter().map(|limit| limit.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Limit::ALL.len());
    assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
}

#[test]
fn what_waits_is_limited() {
    let one = delivery("/queue/a", &"x".repeat(1_000));
    let mut settings = settings();
    settings.waiting_bytes = 5_000;
    let mut client = connected_with("1.2", settings);
    client.says("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^@");
    let key = client.key("a");
    let mut taken = 0;
    let error = loop {
        match client.leaving.deliver(key, std::slice::from_ref(&one), client.now) {
            Ok(live) => assert!(live),
            Err(error) => break error,
        }
        taken += 1;
        assert!(client.leaving.waiting_bytes() <= 5_000);
    };
    assert!((3..5).contains(&taken), "{taken}");
    let SessionError::SlowConsumer { waiting, limit: 5_000 } = error else { panic!("{error}") };
    assert!(waiting > 5_000);
    let read = client.reads();
    assert_eq!(read.matches("MESSAGE\n").count(), taken, "the one that was too much is not taken");
    assert!(client.leaving.deliver(key, &[one], client.now).unwrap(), "and there is room again");
}

/// A client that may have this much unsettled, with two subscriptions.
fn limited(unsettled: usize) -> Client {
    let mut settings = settings();
    settings.unsettled = unsettled;
    let mut client = connected_with("1.2", settings);
    for id in ["a", "b"] {
        client.says(&format!("SUBSCRIBE\nid:{id}\nack:client-individual\ndestination:/a\n\n^@"));
    }
    client
}

fn bodies(text: &str) -> Vec<&str> {
    let frames = text.split_terminator("^@").filter(|frame| frame.starts_with("MESSAGE"));
    frames.filter_map(|frame| frame.split_once("\n\n")).map(|(_, body)| body).collect()
}

#[test]
fn delivery_pauses_at_the_limit_of_unsettled_and_goes_on_with_an_ack() {
    for direct in [false, true] {
        let mut client = limited(2);
        client.direct = direct;
        assert_eq!(bodies(&client.delivers("a", "1")), ["1"]);
        assert_eq!(bodies(&client.delivers("b", "2")), ["2"]);
        assert_eq!(client.delivers("a", "3"), "");
        assert_eq!(client.delivers("b", "4"), "");
        assert_eq!(client.delivers("a", "5"), "");
        assert!(client.leaving.held_bytes() > 0);
        assert_eq!(client.leaving.counters().pauses, 2, "of each subscription once");
        assert_eq!(client.leaving.waiting_bytes(), 0, "nothing of it waits for the client to read");

        assert_eq!(bodies(&client.says("ACK\nid:0-1\n\n^@")), ["3"]);
        assert_eq!(bodies(&client.says("NACK\nid:1-2\n\n^@ACK\nid:0-3\n\n^@")), ["5", "4"]);
        assert_eq!(client.leaving.held_bytes(), 0);
        assert_eq!(client.delivers("a", "6"), "", "at the limit again");
        assert_eq!(bodies(&client.says("ACK\nid:0-4\n\n^@ACK\nid:1-5\n\n^@")), ["6"]);
        assert_eq!(bodies(&client.delivers("b", "7")), ["7"], "and below it");
    }
}

#[test]
fn a_subscription_that_ends_makes_room_for_others() {
    let mut client = limited(2);
    client.delivers("a", "1");
    client.delivers("a", "2");
    client.delivers("b", "3");
    client.delivers("a", "4");
    assert_eq!(bodies(&client.says("UNSUBSCRIBE\nid:a\n\n^@")), ["3"]);
    assert_eq!(client.leaving.held_bytes(), 0);
}

#[test]
fn what_waits_for_the_socket_counts_as_unsettled() {
    let mut client = limited(2);
    let key = client.key("a");
    let three = ["1", "2", "3"].map(|body| delivery("/a", body));
    assert!(client.leaving.holds(key, 3) && !client.leaving.holds(key, 2));
    assert!(client.leaving.deliver(key, &three, client.now).unwrap());
    assert!(client.leaving.held_bytes() > 0);
    assert_eq!(bodies(&client.reads()), ["1", "2"]);
    client.says("UNSUBSCRIBE\nid:a\n\n^@");
    assert_eq!(bodies(&client.delivers("b", "4")), ["4"]);
}

#[test]
fn mode_auto_never_pauses() {
    let mut client = limited(0);
    client.says("SUBSCRIBE\nid:c\ndestination:/a\n\n^@");
    assert_eq!(client.delivers("a", "1"), "");
    assert_eq!(bodies(&client.delivers("c", "2")), ["2"]);
}

#[test]
fn an_unconfirmed_subscription_keeps_to_the_limit_too() {
    let mut client = limited(2);
    client.confirms = false;
    client.says("SUBSCRIBE\nid:c\nack:client\ndestination:/a\n\n^@");
    for body in ["1", "2", "3"] {
        client.delivers("c", body);
    }
    assert_eq!(bodies(&client.confirm()), ["1", "2"]);
    assert_eq!(bodies(&client.says("ACK\nid:2-2\n\n^@")), ["3"]);
}

#[test]
fn a_message_counts_the_same_when_it_comes_and_when_it_goes() {
    let mut client = connected_with("1.1", settings());
    client.says("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^@");
    let key = client.key("a");
    // A message with an escape is encoded once more for 1.1, when it is first sent to such a client.
    let message = stompbox::broker::Message::builder("/queue/a".parse().unwrap())
        .header("a:b", "c")
        .body("x");
    let delivery = stompbox::session::Delivery::new(message.into_shared());
    client.leaving.deliver(key, &[delivery.clone(), delivery], client.now).unwrap();
    client.reads();
    assert_eq!(client.leaving.waiting_bytes(), 0);
}

#[test]
fn taking_is_bounded_and_cuts_frames_only_where_they_are_cut_again() {
    let mut client = connected_with("1.2", settings());
    client.says("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^@");
    let key = client.key("a");
    client.leaving.deliver(key, &[delivery("/queue/a", &"x".repeat(100_000))], client.now).unwrap();
    let mut out = BytesMut::new();
    client.leaving.take(&mut out, 1_000, client.now);
    assert!(out.len() > 100_000, "a MESSAGE is encoded whole");
    let whole = shown(&out);
    // The socket takes ten bytes of it at a time: what is taken next is no more than was asked for.
    let mut written = String::new();
    loop {
        let room = out.len().min(10);
        written += &shown(&out[..room]);
        client.leaving.put_back(&out[room..]);
        out.clear();
        client.leaving.take(&mut out, 1_000, client.now);
        if out.is_empty() {
            break;
        }
        assert!(out.len() <= 1_000);
    }
    assert_eq!(written, whole);
    assert_eq!(client.leaving.waiting_bytes(), 0);
}
