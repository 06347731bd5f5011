//! What becomes of deliveries to a client that reads too slowly, policy by policy.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use stompbox::broker::Message;
use stompbox::session::{Delivery, Limit, SessionError, SlowConsumer, SlowConsumerAction};

use crate::client::{Client, connected_with, delivery, settings, shown};

/// What 3 deliveries of [`sized`] take, and not 4.
const THREE: usize = 4_000;

/// A message of about 1,000 bytes that begins with `name`.
fn sized(name: &str) -> Delivery {
    delivery("/topic/a", &format!("{name:<1000}"))
}

fn keyed(symbol: &str, price: &str) -> Delivery {
    let message = Message::builder("/topic/a".parse().expect("a valid destination"));
    let message = message.header("symbol", symbol).body(format!("{price:<1000}"));
    Delivery::new(message.into_shared())
}

/// A client whose subscriptions `a` and `b` have this policy, with room for three messages.
fn client(action: &SlowConsumerAction) -> Client {
    let mut client = connected_with("1.2", settings());
    for id in ["a", "b"] {
        client.says(&format!("SUBSCRIBE\nid:{id}\ndestination:/topic/{id}\n\n^@"));
        set_policy(&mut client, id, action);
    }
    client
}

fn set_policy(client: &mut Client, id: &str, action: &SlowConsumerAction) {
    let mut slow = SlowConsumer::new(action.clone());
    slow.bytes = THREE;
    slow.time = Duration::from_secs(5);
    client.leaving.set_slow_consumer(client.key(id), Arc::new(slow));
}

impl Client {
    /// Messages to a subscription of a client that does not read.
    fn queues(&mut self, id: &str, names: &[&str]) -> Result<bool, SessionError> {
        let deliveries: Vec<_> = names.iter().map(|name| sized(name)).collect();
        self.leaving.deliver(self.key(id), &deliveries, self.now)
    }

    fn overdue(&mut self) -> Option<u128> {
        Some((self.leaving.next_overdue()? - self.now).as_millis())
    }
}

/// The messages in their order, those behind a gap with a `!`.
fn messages(text: &str) -> Vec<String> {
    let frames = text.split_terminator("^@").filter(|frame| frame.starts_with("MESSAGE"));
    let shown = |frame: &str| {
        let (head, body) = frame.split_once("\n\n")?;
        let gap = if head.contains("\ngap:true\n") { "!" } else { "" };
        Some(format!("{gap}{}", body.trim_end()))
    };
    frames.filter_map(shown).collect()
}

#[test]
fn close_says_which_subscription_and_how_much_waits() {
    let mut client = client(&SlowConsumerAction::Close);
    assert_eq!(client.queues("a", &["1", "2", "3"]), Ok(true));
    assert_eq!(client.queues("b", &["1", "2", "3"]), Ok(true), "each has its own bound");
    let error = client.queues("a", &["4"]).unwrap_err();
    assert_eq!(error.limit(), Some(Limit::SlowConsumerBytes));
    let SessionError::SlowSubscription { waiting, .. } = error else { panic!("{error}") };
    assert!(waiting > THREE);
    assert_eq!(
        error.to_string(),
        format!(
            "{waiting} bytes wait for the subscription \"a\", at most 4000 may; it reads too slowly"
        )
    );
    assert_eq!(error.summary(), "slow consumer");
}

#[test]
fn close_ends_a_client_for_which_something_waits_too_long() {
    let mut client = client(&SlowConsumerAction::Close);
    assert_eq!(client.overdue(), None);
    client.queues("b", &["1"]).unwrap();
    client.passes(1_000);
    client.queues("a", &["1"]).unwrap();
    client.queues("b", &["2"]).unwrap();
    assert_eq!(client.overdue(), Some(4_000), "since the oldest of them waits");
    client.passes(4_000);
    let refusal = client.leaving.handle_overdue(client.now).unwrap_err();
    assert_eq!(
        refusal.detail(),
        "what waits for the subscription \"b\" has waited for 5000 ms; it reads, or settles, too slowly"
    );
    assert_eq!(refusal.headers().next(), Some(("subscription", "b")));
    assert_eq!(refusal.error().and_then(SessionError::limit), Some(Limit::SlowConsumerTime));
    assert_eq!(client.queues("a", &["2"]), Ok(true), "it waits for 4 s");
    let late = client.queues("b", &["3"]).unwrap_err();
    assert_eq!(late.limit(), Some(Limit::SlowConsumerTime), "noticed without the deadline, too");
    client.leaving.refuse(&refusal);
    assert_eq!(messages(&client.reads()), [""; 0]);
    assert_eq!(client.overdue(), None);
}

#[test]
fn who_reads_in_time_is_left_alone() {
    let mut client = client(&SlowConsumerAction::Close);
    for _ in 0..10 {
        assert_eq!(client.queues("a", &["1", "2", "3"]), Ok(true));
        client.passes(4_999);
        assert_eq!(client.leaving.handle_overdue(client.now), Ok(()));
        assert_eq!(messages(&client.reads()), ["1", "2", "3"]);
        assert_eq!(client.overdue(), None);
    }
}

#[test]
fn drop_oldest_makes_room_and_says_so() {
    let mut client = client(&SlowConsumerAction::DropOldest);
    client.queues("a", &["1", "2"]).unwrap();
    client.queues("b", &["x"]).unwrap();
    client.queues("a", &["3", "4", "5"]).unwrap();
    assert!(client.leaving.waiting_bytes() < 2 * THREE);
    // Each has the place of one before it: the first of `a` goes before what waits for `b`.
    assert_eq!(messages(&client.reads()), ["!3", "4", "x", "5"]);
    assert_eq!(client.leaving.counters().dropped_oldest, 2);
    client.queues("a", &["6"]).unwrap();
    assert_eq!(messages(&client.reads()), ["6"], "once is enough");
}

#[test]
fn drop_oldest_drops_what_waits_too_long() {
    let mut client = client(&SlowConsumerAction::DropOldest);
    client.queues("a", &["1"]).unwrap();
    client.passes(2_000);
    client.queues("a", &["2"]).unwrap();
    client.queues("b", &["x"]).unwrap();
    client.passes(3_000);
    let before = client.leaving.waiting_bytes();
    assert_eq!(client.leaving.handle_overdue(client.now), Ok(()));
    assert!(client.leaving.waiting_bytes() < before - 1_000);
    assert_eq!(client.overdue(), Some(2_000));
    client.passes(2_000);
    assert_eq!(client.leaving.handle_overdue(client.now), Ok(()));
    assert_eq!(client.overdue(), None);
    client.queues("a", &["3"]).unwrap();
    assert_eq!(messages(&client.reads()), ["!3"]);
    client.direct = true;
    let text = client.delivers_this("b", &sized("y"));
    assert_eq!(messages(&text), ["!y"], "also where it is written at once");
    assert_eq!(messages(&client.delivers_this("b", &sized("z"))), ["z"]);
    assert_eq!(client.leaving.counters().dropped_oldest, 3);
}

#[test]
fn drop_newest_keeps_what_waits() {
    let mut client = client(&SlowConsumerAction::DropNewest);
    client.queues("a", &["1", "2", "3", "4", "5"]).unwrap();
    let mut out = BytesMut::new();
    client.leaving.take(&mut out, 1, client.now);
    assert_eq!(messages(&shown(&out)), ["1"]);
    client.queues("a", &["6", "7"]).unwrap();
    assert_eq!(messages(&client.reads()), ["2", "3", "!6"]);
    client.queues("a", &["8"]).unwrap();
    assert_eq!(messages(&client.reads()), ["!8"]);
    client.queues("a", &["9"]).unwrap();
    client.passes(5_000);
    client.queues("a", &["10"]).unwrap();
    assert_eq!(messages(&client.reads()), ["9"], "behind what has waited too long nothing comes");
    assert_eq!(client.leaving.counters().dropped_newest, 4);
}

#[test]
fn keep_latest_replaces_in_place() {
    let mut client = client(&SlowConsumerAction::KeepLatest { key: "symbol".into() });
    let key = client.key("a");
    let prices = [keyed("X", "x1"), keyed("Y", "y1"), keyed("X", "x2"), keyed("Y", "y2")];
    client.leaving.deliver(key, &prices, client.now).unwrap();
    client.leaving.deliver(key, &[keyed("Z", "z1"), keyed("X", "x3")], client.now).unwrap();
    // Time says nothing about what is the latest.
    client.passes(60_000);
    assert_eq!(client.leaving.handle_overdue(client.now), Ok(()));
    assert_eq!(messages(&client.reads()), ["!x3", "!y2", "z1"]);
    client.leaving.deliver(key, &prices[..1], client.now).unwrap();
    assert_eq!(messages(&client.reads()), ["x1"], "what was sent is not replaced");
    let counters = client.leaving.counters();
    assert_eq!((counters.superseded, counters.dropped_oldest), (3, 0));
}

#[test]
fn keep_latest_drops_the_oldest_where_that_is_not_enough() {
    let mut client = client(&SlowConsumerAction::KeepLatest { key: "symbol".into() });
    let key = client.key("a");
    let prices = [keyed("X", "x1"), keyed("Y", "y1"), sized("no symbol")];
    client.leaving.deliver(key, &prices, client.now).unwrap();
    client.leaving.deliver(key, &[keyed("X", "x2"), sized("none")], client.now).unwrap();
    client.leaving.deliver(key, &[keyed("X", "x3")], client.now).unwrap();
    assert_eq!(messages(&client.reads()), ["!no symbol", "none", "x3"]);
    let counters = client.leaving.counters();
    assert_eq!((counters.superseded, counters.dropped_oldest), (1, 2));
}

#[test]
fn hold_publisher_is_full_until_half_of_it_is_read() {
    let mut client = client(&SlowConsumerAction::HoldPublisher);
    let key = client.key("a");
    client.queues("a", &["1", "2", "3"]).unwrap();
    assert!(!client.leaving.is_full(key) && client.overdue().is_none());
    client.queues("a", &["4"]).unwrap();
    assert!(client.leaving.is_full(key));
    assert_eq!(client.overdue(), Some(5_000));
    client.passes(1_000);
    client.queues("a", &["5"]).unwrap();
    let mut out = BytesMut::new();
    for full in [true, true, true, false] {
        client.leaving.take(&mut out, 1, client.now);
        assert_eq!(client.leaving.is_full(key), full);
    }
    assert_eq!(messages(&shown(&out)), ["1", "2", "3", "4"]);
    client.queues("a", &["6", "7", "8"]).unwrap();
    assert_eq!(client.leaving.counters().holds, 2);
    client.passes(4_999);
    assert_eq!(client.leaving.handle_overdue(client.now), Ok(()));
    client.passes(1);
    let refusal = client.leaving.handle_overdue(client.now).unwrap_err();
    assert_eq!(refusal.error().and_then(SessionError::limit), Some(Limit::SlowConsumerTime));
    let late = client.queues("a", &["9"]).unwrap_err();
    assert_eq!(late.limit(), Some(Limit::SlowConsumerTime));
}

fn dropping() -> [SlowConsumerAction; 3] {
    let latest = SlowConsumerAction::KeepLatest { key: "symbol".into() };
    [SlowConsumerAction::DropOldest, SlowConsumerAction::DropNewest, latest]
}

#[test]
fn one_alone_may_wait_however_large_it_is() {
    for action in dropping().into_iter().chain([SlowConsumerAction::Close]) {
        let mut client = client(&action);
        let large = delivery("/topic/a", &"x".repeat(10 * THREE));
        client.leaving.deliver(client.key("a"), &[large], client.now).unwrap();
        assert_eq!(messages(&client.reads()).len(), 1);
    }
}

#[test]
fn messages_of_queues_and_of_history_are_never_dropped() {
    for action in dropping() {
        let mut client = client(&action);
        let key = client.key("a");
        let pulled = |name: &str, n: u64| match n % 2 {
            0 => sized(name).with_retained(true),
            _ => sized(name).with_tag(n),
        };
        let pulled: Vec<_> = (0..10).map(|n| pulled("pulled", n)).collect();
        client.leaving.deliver(key, &pulled, client.now).unwrap();
        client.passes(60_000);
        assert_eq!(client.leaving.handle_overdue(client.now), Ok(()));
        client.queues("a", &["1", "2", "3", "4"]).unwrap();
        let read = messages(&client.reads());
        assert_eq!(read.iter().filter(|body| *body == "pulled").count(), 10);
        assert_eq!(read.len(), 13);
    }
}

#[test]
fn dropping_keeps_to_the_bound_of_the_connection_too() {
    for action in dropping() {
        let mut settings = settings();
        settings.waiting_bytes = 10_000;
        let mut client = connected_with("1.2", settings);
        for id in ["a", "b", "c", "d"] {
            client.says(&format!("SUBSCRIBE\nid:{id}\ndestination:/topic/{id}\n\n^@"));
            set_policy(&mut client, id, &action);
        }
        for _ in 0..20 {
            for id in ["a", "b", "c", "d"] {
                assert_eq!(client.queues(id, &["x", "y"]), Ok(true), "{action:?}");
                assert!(client.leaving.waiting_bytes() <= 10_000);
            }
        }
    }
}

#[test]
fn what_is_no_delivery_or_is_encoded_is_never_dropped() {
    let mut client = client(&SlowConsumerAction::DropOldest);
    client.queues("a", &["1", "2"]).unwrap();
    let mut out = BytesMut::new();
    client.leaving.take(&mut out, 1, client.now);
    client.leaving.put_back(&out[10..]);
    for n in 0..100 {
        client.leaving.receipt(&stompbox::session::Receipt::new(&n.to_string()));
        client.queues("a", &["x"]).unwrap();
    }
    let read = shown(&out[..10]) + &client.reads();
    assert_eq!(messages(&read), ["1", "!x", "x", "x"]);
    let receipts: Vec<_> = read.split("^@").filter(|frame| frame.starts_with("RECEIPT")).collect();
    assert_eq!(receipts.len(), 100);
    assert!(
        receipts.iter().zip(0..).all(|(frame, n)| frame.contains(&format!("receipt-id:{n}\n")))
    );
}

#[test]
fn a_policy_does_not_apply_before_the_broker_confirms() {
    let mut client = client(&SlowConsumerAction::Close);
    client.confirms = false;
    client.says("SUBSCRIBE\nid:c\ndestination:/topic/a\n\n^@");
    set_policy(&mut client, "c", &SlowConsumerAction::Close);
    client.queues("c", &["1", "2", "3", "4", "5"]).unwrap();
    assert_eq!(client.overdue(), None);
    assert_eq!(messages(&client.confirm()).len(), 5);
}

#[test]
fn what_a_client_does_not_settle_is_dropped_too() {
    let mut settings = settings();
    settings.unsettled = 2;
    let mut client = connected_with("1.2", settings);
    client.says("SUBSCRIBE\nid:a\nack:client-individual\ndestination:/topic/a\n\n^@");
    set_policy(&mut client, "a", &SlowConsumerAction::DropOldest);
    for name in ["1", "2", "3", "4", "5", "6", "7"] {
        client.queues("a", &[name]).unwrap();
        client.reads();
    }
    assert!(client.leaving.held_bytes() <= THREE && client.leaving.waiting_bytes() == 0);
    assert_eq!(messages(&client.says("ACK\nid:0-1\n\n^@")), ["!5"]);
    assert_eq!(messages(&client.says("ACK\nid:0-2\n\n^@ACK\nid:0-3\n\n^@")), ["6", "7"]);
    assert_eq!(client.leaving.held_bytes(), 0);
}
