//! ACK and NACK (rows S2 to S5).

use stompbox::session::SessionError;

use crate::client::{Client, connected, delivery};

/// A client with a subscription `a` in this mode, that was delivered messages 1 to 4, whose tags are
/// their numbers.
fn delivered(version: &str, mode: &str) -> Client {
    let mut client = connected(version);
    client.says(&format!("SUBSCRIBE\nid:a\nack:{mode}\ndestination:/queue/a\n\n^@"));
    for number in 1..=4 {
        client.delivers("a", &number.to_string());
    }
    client
}

/// How each version names a message of subscription `a`.
fn named(version: &str, number: u32) -> String {
    match version {
        "1.2" => format!("id:0-{number}"),
        "1.1" => format!("message-id:{number}\nsubscription:a"),
        _ => format!("message-id:{number}"),
    }
}

fn settles(client: &mut Client, command: &str, name: &str) {
    let answer = client.says(&format!("{command}\n{name}\n\n^@"));
    assert_eq!(answer, "", "{command} {name}");
}

#[test]
fn s3_message_carries_ack_in_1_2_only_and_only_if_it_is_to_be_settled() {
    for direct in [false, true] {
        for (version, mode, own) in [
            ("1.2", "client", "subscription:a\nmessage-id:1\nack:0-1\n"),
            ("1.2", "client-individual", "subscription:a\nmessage-id:1\nack:0-1\n"),
            ("1.2", "auto", "subscription:a\nmessage-id:1\n"),
            ("1.1", "client", "subscription:a\nmessage-id:1\n"),
            ("1.0", "client", "subscription:a\nmessage-id:1\n"),
        ] {
            let mut client = connected(version);
            client.direct = direct;
            client.says(&format!("SUBSCRIBE\nid:a\nack:{mode}\ndestination:/queue/a\n\n^@"));
            let rest = "destination:/queue/a\ncontent-length:1\n\nx^@";
            assert_eq!(client.delivers("a", "x"), format!("MESSAGE\n{own}{rest}"), "{version}");
        }
    }
}

#[test]
fn s2_individual_settles_what_it_names() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = delivered(version, "client-individual");
        settles(&mut client, "ACK", &named(version, 3));
        settles(&mut client, "ACK", &named(version, 1));
        assert_eq!(client.done, ["ack /queue/a [3]", "ack /queue/a [1]"], "{version}");
    }
}

#[test]
fn s2_client_settles_all_before_it_too() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = delivered(version, "client");
        settles(&mut client, "ACK", &named(version, 3));
        settles(&mut client, "ACK", &named(version, 4));
        assert_eq!(client.done, ["ack /queue/a [1, 2, 3]", "ack /queue/a [4]"], "{version}");
    }
}

#[test]
fn s2_cumulative_is_by_subscription() {
    let mut client = delivered("1.2", "client");
    client.says("SUBSCRIBE\nid:b\nack:client\ndestination:/queue/b\n\n^@");
    client.delivers("b", "5");
    client.delivers("a", "6");
    settles(&mut client, "ACK", "id:1-5");
    assert_eq!(client.done, ["ack /queue/b [5]"]);
    settles(&mut client, "ACK", "id:0-6");
    assert_eq!(client.done.last().unwrap(), "ack /queue/a [1, 2, 3, 4, 6]");
}

#[test]
fn s4_nack_covers_what_ack_does() {
    for version in ["1.1", "1.2"] {
        let mut client = delivered(version, "client");
        settles(&mut client, "NACK", &named(version, 2));
        assert_eq!(client.done, ["nack /queue/a [1, 2]"]);
    }
    let mut client = delivered("1.2", "client-individual");
    settles(&mut client, "NACK", "id:0-2");
    assert_eq!(client.done, ["nack /queue/a [2]"]);
}

#[test]
fn s3_there_is_no_nack_in_1_0() {
    let mut client = delivered("1.0", "client");
    let answer = client.says("NACK\nmessage-id:1\nreceipt:r\n\n^@");
    assert!(answer.starts_with("ERROR\nmessage:unsupported command\nreceipt-id:r\n"), "{answer}");
    assert!(answer.contains("NACK is not part of STOMP 1.0"), "{answer}");
}

#[test]
fn s3_each_version_needs_its_own_headers() {
    for (version, frame, missing) in [
        ("1.2", "ACK\nmessage-id:1\nsubscription:a\n\n^@", "id"),
        ("1.1", "ACK\nmessage-id:1\n\n^@", "subscription"),
        ("1.1", "NACK\nsubscription:a\n\n^@", "message-id"),
        ("1.0", "ACK\nid:1\n\n^@", "message-id"),
    ] {
        let mut client = delivered(version, "client");
        client.says(frame);
        let error = client.error();
        assert!(
            matches!(error, SessionError::MissingHeader { header, .. } if *header == missing),
            "{version} {error}"
        );
    }
    // stompjs sends an additional subscription in 1.2.
    let mut client = delivered("1.2", "client");
    settles(&mut client, "ACK", "id:0-1\nsubscription:a");
}

#[test]
fn s5_what_was_never_issued_is_an_error() {
    for (version, name) in [
        ("1.2", "id:0-5"),
        ("1.2", "id:0-0"),
        ("1.2", "id:1-1"),
        ("1.2", "id:0-01"),
        ("1.2", "id:00-1"),
        ("1.2", "id:0-+1"),
        ("1.2", "id:1"),
        ("1.2", "id:-"),
        ("1.2", "id:"),
        ("1.2", "id:0-99999999999999999999999"),
        ("1.1", "message-id:5\nsubscription:a"),
        ("1.1", "message-id:x\nsubscription:a"),
        ("1.0", "message-id:5"),
        ("1.0", "message-id:0"),
    ] {
        for mode in ["client", "client-individual"] {
            let mut client = delivered(version, mode);
            let answer = client.says(&format!("ACK\n{name}\nreceipt:r\n\n^@"));
            assert!(answer.starts_with("ERROR\nmessage:unknown message\nreceipt-id:r\n"), "{name}");
            assert!(client.done.is_empty());
        }
    }
}

#[test]
fn s5_what_another_subscription_has_to_settle_is_an_error() {
    for (version, name) in [
        ("1.2", "id:0-5"),
        ("1.2", "id:1-3"),
        ("1.2", "id:2-5"),
        ("1.1", "message-id:5\nsubscription:a"),
        ("1.1", "message-id:3\nsubscription:b"),
        ("1.1", "message-id:5\nsubscription:c"),
        ("1.1", "message-id:5\nsubscription:never"),
    ] {
        for mode in ["auto", "client", "client-individual"] {
            let mut client = delivered(version, "client");
            client.says(&format!("SUBSCRIBE\nid:b\nack:{mode}\ndestination:/queue/b\n\n^@"));
            client.says("SUBSCRIBE\nid:c\ndestination:/queue/c\n\n^@UNSUBSCRIBE\nid:c\n\n^@");
            client.delivers("b", "5");
            client.done.clear();
            let answer = client.says(&format!("ACK\n{name}\nreceipt:r\n\n^@"));
            let held = name.contains('3') || mode != "auto";
            if held {
                let start = "ERROR\nmessage:unknown message\nreceipt-id:r\n";
                assert!(answer.starts_with(start), "{version} {name} {mode}: {answer}");
            } else {
                assert_eq!(answer, "RECEIPT\nreceipt-id:r\n\n^@", "{version} {name}");
            }
            assert!(client.done.is_empty());
            assert_eq!(client.leaving.counters().settled_before, u64::from(!held));
        }
    }
}

#[test]
fn s5_once_settled_it_matters_no_more_which_subscription_had_it() {
    for (version, wrong) in [("1.2", "id:0-5"), ("1.1", "message-id:5\nsubscription:a")] {
        let mut client = delivered(version, "client");
        client.says("SUBSCRIBE\nid:b\nack:client\ndestination:/queue/b\n\n^@");
        client.delivers("b", "5");
        let right = wrong.replace("0-", "1-").replace(":a", ":b");
        settles(&mut client, "ACK", &right);
        settles(&mut client, "ACK", wrong);
        assert_eq!(client.done, ["ack /queue/b [5]"]);
        assert_eq!(client.leaving.counters().settled_before, 1);
    }
}

#[test]
fn s5_what_was_settled_before_is_ignored_and_counted() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = delivered(version, "client");
        settles(&mut client, "ACK", &named(version, 3));
        settles(&mut client, "ACK", &named(version, 3));
        settles(&mut client, "ACK", &named(version, 1));
        assert_eq!(client.done.len(), 1);
        assert_eq!(client.leaving.counters().settled_before, 2, "{version}");

        let mut client = delivered(version, "client-individual");
        settles(&mut client, "ACK", &named(version, 2));
        settles(&mut client, "ACK", &named(version, 2));
        assert_eq!(client.done.len(), 1);
        assert_eq!(client.leaving.counters().settled_before, 1, "{version}");
    }
}

#[test]
fn s5_what_an_ended_subscription_had_is_ignored_and_counted() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = delivered(version, "client");
        client.says("UNSUBSCRIBE\nid:a\n\n^@");
        settles(&mut client, "ACK", &named(version, 4));
        // Another one that takes its place has nothing to do with it.
        client.says("SUBSCRIBE\nid:a\nack:client\ndestination:/queue/a\n\n^@");
        client.delivers("a", "5");
        settles(&mut client, "ACK", &named(version, 4));
        assert_eq!(client.leaving.counters().settled_before, 2, "{version}");
        settles(&mut client, "ACK", &named(version, 5));
        assert_eq!(client.done, ["unsubscribe /queue/a", "ack /queue/a [5]"]);
    }
}

#[test]
fn s5_an_ack_in_mode_auto_is_ignored_and_counted() {
    let mut client = delivered("1.1", "auto");
    settles(&mut client, "ACK", &named("1.1", 1));
    assert!(client.done.is_empty());
    assert_eq!(client.leaving.counters().settled_before, 1);
}

#[test]
fn s4_what_comes_again_says_so() {
    let mut client = delivered("1.2", "client");
    let again = delivery("/queue/a", "1").with_tag(1).with_attempt(3);
    assert_eq!(
        client.delivers_this("a", &again),
        "MESSAGE\nsubscription:a\nmessage-id:5\nack:0-5\nredelivered:true\n\
         delivery-count:3\ndestination:/queue/a\ncontent-length:1\n\n1^@"
    );
}
