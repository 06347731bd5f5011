//! SUBSCRIBE and UNSUBSCRIBE (rows S1, S2 and S7).

use stompbox::session::SessionError;

use crate::client::{Client, connected, delivery};

fn subscribed(version: &str, headers: &str) -> Client {
    let mut client = connected(version);
    let answer = client.says(&format!("SUBSCRIBE\n{headers}\n^@"));
    assert_eq!(answer, "");
    client
}

#[test]
fn s1_an_id_is_required_since_1_1() {
    for version in ["1.1", "1.2"] {
        for frame in ["SUBSCRIBE\ndestination:/a\n\n^@", "UNSUBSCRIBE\ndestination:/a\n\n^@"] {
            let mut client = connected(version);
            assert!(client.says(frame).starts_with("ERROR\nmessage:missing header\n"));
            assert!(matches!(client.error(), SessionError::MissingHeader { header: "id", .. }));
        }
    }
    let mut client = connected("1.2");
    assert!(client.says("SUBSCRIBE\nid:1\n\n^@").starts_with("ERROR\n"));
    assert!(matches!(client.error(), SessionError::MissingHeader { header: "destination", .. }));
}

#[test]
fn s1_an_id_is_unique_until_it_is_given_up() {
    let mut client = subscribed("1.2", "id:a\ndestination:/queue/a\n");
    client.says("UNSUBSCRIBE\nid:a\n\n^@SUBSCRIBE\nid:a\ndestination:/queue/b\n\n^@");
    assert!(client.refusal.is_none());
    let answer = client.says("SUBSCRIBE\nid:a\ndestination:/queue/c\nreceipt:7\n\n^@");
    assert!(answer.starts_with("ERROR\nmessage:duplicate subscription\nreceipt-id:7\n"));
    assert_eq!(*client.error(), SessionError::DuplicateSubscription { id: "a".to_owned() });
}

#[test]
fn s1_in_1_0_a_subscription_may_have_no_id() {
    let mut client = subscribed("1.0", "destination:/queue/a\n");
    assert_eq!(
        client.delivers("/queue/a", "x"),
        "MESSAGE\nmessage-id:1\ndestination:/queue/a\ncontent-length:1\n\nx^@"
    );
    client.says("UNSUBSCRIBE\ndestination:/queue/a\n\n^@");
    assert_eq!(client.done, ["unsubscribe /queue/a"]);
    assert_eq!(client.delivers("/queue/a", "y"), "");
}

#[test]
fn s1_in_1_0_unsubscribe_prefers_the_subscription_without_id() {
    let mut client = subscribed("1.0", "id:1\ndestination:/queue/a\n");
    client.says("SUBSCRIBE\ndestination:/queue/a\n\n^@UNSUBSCRIBE\ndestination:/queue/a\n\n^@");
    assert!(client.delivers("1", "x").contains("subscription:1\n"));
    assert_eq!(client.delivers("/queue/a", "x"), "");
    client.says("UNSUBSCRIBE\ndestination:/queue/a\n\n^@");
    assert_eq!(client.delivers("1", "y"), "", "then the one that is left");
    assert!(client.says("UNSUBSCRIBE\ndestination:/queue/a\n\n^@").starts_with("ERROR\n"));
    assert_eq!(*client.error(), SessionError::UnknownSubscription { id: "/queue/a".to_owned() });
}

#[test]
fn unsubscribe_of_what_is_not_there_is_an_error() {
    let mut client = connected("1.2");
    let answer = client.says("UNSUBSCRIBE\nid:a\nreceipt:1\n\n^@");
    assert!(answer.starts_with("ERROR\nmessage:unknown subscription\nreceipt-id:1\n"), "{answer}");
}

#[test]
fn s2_the_ack_mode_is_one_of_three() {
    for mode in ["auto", "client", "client-individual"] {
        subscribed("1.2", &format!("id:a\ndestination:/queue/a\nack:{mode}\n"));
    }
    for mode in ["", "Auto", "individual", "client "] {
        let mut client = connected("1.2");
        client.says(&format!("SUBSCRIBE\nid:a\ndestination:/a\nack:{mode}\n\n^@"));
        assert!(matches!(client.error(), SessionError::InvalidHeader { header: "ack", .. }));
    }
}

#[test]
fn a_prefetch_count_is_a_number_from_one_on() {
    subscribed("1.2", "id:a\ndestination:/queue/a\nprefetch-count:1\n");
    for count in ["0", "-1", "x", "", "1.5"] {
        let mut client = connected("1.2");
        client.says(&format!("SUBSCRIBE\nid:a\ndestination:/a\nprefetch-count:{count}\n\n^@"));
        let error = client.error();
        assert!(
            matches!(error, SessionError::InvalidHeader { header: "prefetch-count", .. }),
            "{error}"
        );
    }
}

#[test]
fn a_subscription_id_comes_back_as_it_was_sent() {
    let mut client = subscribed("1.2", "id:a\\cb\\\\\ndestination:/queue/a\n");
    assert!(client.delivers("a:b\\", "x").starts_with("MESSAGE\nsubscription:a\\cb\\\\\n"));
}

#[test]
fn s7_nothing_follows_the_receipt_of_unsubscribe() {
    for direct in [false, true] {
        let mut client = subscribed("1.2", "id:a\ndestination:/queue/a\n");
        client.direct = direct;
        let key = client.key("a");
        // One that waits for the socket, and one that was on its way in another task.
        client.leaving.deliver(key, &[delivery("/queue/a", "waits")], client.now).unwrap();
        let answer = client.says("UNSUBSCRIBE\nid:a\nreceipt:1\n\n^@");
        assert_eq!(answer, "RECEIPT\nreceipt-id:1\n\n^@");
        assert_eq!(client.delivers("a", "on its way"), "");
        assert_eq!(client.leaving.unsubscribe(key), None);
    }
}

#[test]
fn what_was_on_its_way_to_an_ended_subscription_never_reaches_the_next_one() {
    let mut client = subscribed("1.2", "id:a\ndestination:/queue/a\n");
    let old = client.key("a");
    client.leaving.deliver(old, &[delivery("/queue/a", "old")], client.now).unwrap();
    client.says("UNSUBSCRIBE\nid:a\n\n^@SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^@");
    assert_ne!(client.key("a"), old);
    assert!(!client.leaving.deliver(old, &[delivery("/queue/a", "old")], client.now).unwrap());
    assert_eq!(client.reads(), "");
    assert!(client.delivers("a", "new").ends_with("new^@"));
}

#[test]
fn an_unsubscribe_before_the_broker_confirmed_drops_what_was_held() {
    let mut client = connected("1.2");
    client.confirms = false;
    client.says("SUBSCRIBE\nid:a\ndestination:/queue/a\nreceipt:1\n\n^@");
    client.delivers("a", "x");
    client.says("UNSUBSCRIBE\nid:a\n\n^@");
    assert_eq!(client.leaving.held_bytes(), 0);
    assert_eq!(client.confirm(), "RECEIPT\nreceipt-id:1\n\n^@");
}

#[test]
fn the_end_of_a_connection_ends_all_subscriptions() {
    let mut client = subscribed("1.2", "id:a\ndestination:/queue/a\n");
    client.says("SUBSCRIBE\nid:b\ndestination:/queue/b\n\n^@");
    let ended = client.leaving.unsubscribe_all();
    let names: Vec<_> = ended.iter().map(|(_, name)| &**name).collect();
    assert_eq!(names, ["/queue/a", "/queue/b"]);
    assert!(client.leaving.unsubscribe_all().is_empty());
    assert_eq!(client.delivers("a", "x"), "");
}
