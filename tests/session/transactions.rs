//! BEGIN, COMMIT and ABORT (row S6).

use stompbox::session::{Limit, SessionError, SessionSettings};

use crate::client::{Client, connected, connected_with, settings};

fn send(transaction: &str, body: &str) -> String {
    format!("SEND\ndestination:/a\ntransaction:{transaction}\n\n{body}^@")
}

#[test]
fn s6_nothing_takes_effect_before_commit_and_then_all_of_it_in_order() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = connected(version);
        client.says("SUBSCRIBE\nid:s\nack:client\ndestination:/queue/a\n\n^@");
        client.delivers("s", "x");
        client.says("BEGIN\ntransaction:t\n\n^@");
        client.says(&send("t", "1"));
        let name = if version == "1.2" { "id:0-1" } else { "message-id:1\nsubscription:s" };
        client.says(&format!("ACK\n{name}\ntransaction:t\n\n^@"));
        client.says(&send("t", "2"));
        client.says("SEND\ndestination:/a\n\noutside^@");
        assert_eq!(client.done, ["send /a outside"]);
        assert_eq!(
            client.says("COMMIT\ntransaction:t\nreceipt:c\n\n^@"),
            "RECEIPT\nreceipt-id:c\n\n^@"
        );
        assert_eq!(client.done[1..], ["send /a 1", "ack /queue/a [1]", "send /a 2"], "{version}");
    }
}

#[test]
fn s6_abort_drops_all_of_it() {
    let mut client = connected("1.2");
    client.says("BEGIN\ntransaction:t\n\n^@");
    client.says(&send("t", "1"));
    client.says("ABORT\ntransaction:t\n\n^@");
    client.says("BEGIN\ntransaction:t\n\n^@");
    client.says(&send("t", "2"));
    client.says("COMMIT\ntransaction:t\n\n^@");
    assert_eq!(client.done, ["send /a 2"]);
}

#[test]
fn s6_disconnect_drops_all_of_it() {
    let mut client = connected("1.2");
    client.says(&format!("BEGIN\ntransaction:t\n\n^@{}", send("t", "1")));
    client.says("DISCONNECT\n\n^@COMMIT\ntransaction:t\n\n^@");
    assert!(client.done.is_empty() && client.refusal.is_none());
}

#[test]
fn s6_transactions_are_independent() {
    let mut client = connected("1.2");
    client.says("BEGIN\ntransaction:t\n\n^@BEGIN\ntransaction:u\n\n^@");
    for (transaction, body) in [("t", "1"), ("u", "2"), ("t", "3")] {
        client.says(&send(transaction, body));
    }
    client.says("COMMIT\ntransaction:u\n\n^@");
    assert_eq!(client.done, ["send /a 2"]);
    client.says("COMMIT\ntransaction:t\n\n^@");
    assert_eq!(client.done, ["send /a 2", "send /a 1", "send /a 3"]);
}

#[test]
fn s6_begin_of_an_open_one_and_the_rest_of_an_unknown_one_are_errors() {
    let mut client = connected("1.2");
    client.says("BEGIN\ntransaction:t\n\n^@");
    let answer = client.says("BEGIN\ntransaction:t\nreceipt:r\n\n^@");
    assert!(answer.starts_with("ERROR\nmessage:transaction error\nreceipt-id:r\n"), "{answer}");
    assert_eq!(*client.error(), SessionError::TransactionOpen { id: "t".to_owned() });
    for frame in [
        "COMMIT\ntransaction:t\n\n^@",
        "ABORT\ntransaction:t\n\n^@",
        "SEND\ndestination:/a\ntransaction:t\n\n^@",
        "ACK\nid:0-1\ntransaction:t\n\n^@",
    ] {
        let mut client = connected("1.2");
        client.says(frame);
        assert_eq!(*client.error(), SessionError::UnknownTransaction { id: "t".to_owned() });
    }
    for frame in ["BEGIN\n\n^@", "COMMIT\n\n^@", "ABORT\n\n^@"] {
        let mut client = connected("1.2");
        client.says(frame);
        assert!(matches!(client.error(), SessionError::MissingHeader { .. }));
    }
}

/// A client with limits, and two open transactions.
fn limited(limit: impl FnOnce(&mut SessionSettings)) -> Client {
    let mut settings = settings();
    limit(&mut settings);
    let mut client = connected_with("1.2", settings);
    client.says("BEGIN\ntransaction:t\n\n^@BEGIN\ntransaction:u\n\n^@");
    client
}

#[test]
fn open_transactions_are_limited() {
    let mut client = limited(|settings| settings.transactions = 2);
    client.says("ABORT\ntransaction:u\n\n^@BEGIN\ntransaction:v\n\n^@");
    assert!(client.refusal.is_none());
    client.says("BEGIN\ntransaction:w\n\n^@");
    assert_eq!(*client.error(), SessionError::Limit { of: Limit::Transactions, limit: 2 });
}

#[test]
fn frames_in_transactions_are_limited() {
    let mut client = limited(|settings| settings.transaction_frames = 3);
    for _ in 0..10 {
        client.says(&[send("t", "1"), send("u", "2"), send("t", "3")].concat());
        client.says("COMMIT\ntransaction:t\n\n^@BEGIN\ntransaction:t\n\n^@");
        client.says("ABORT\ntransaction:u\n\n^@BEGIN\ntransaction:u\n\n^@");
    }
    assert!(client.refusal.is_none(), "what has ended counts no more");
    client.says(&[send("t", "1"), send("u", "2"), send("t", "3"), send("u", "4")].concat());
    assert_eq!(*client.error(), SessionError::Limit { of: Limit::TransactionFrames, limit: 3 });
}

#[test]
fn bytes_in_transactions_are_limited() {
    let limit = 10_000;
    let body = "x".repeat(4_000);
    let mut client = limited(|settings| settings.transaction_bytes = limit);
    for _ in 0..10 {
        client.says(&[send("t", &body), send("u", &body)].concat());
        client.says("COMMIT\ntransaction:t\n\n^@BEGIN\ntransaction:t\n\n^@");
        client.says("ABORT\ntransaction:u\n\n^@BEGIN\ntransaction:u\n\n^@");
    }
    assert!(client.refusal.is_none());
    client.says(&[send("t", &body), send("u", &body), send("t", &body)].concat());
    assert_eq!(*client.error(), SessionError::Limit { of: Limit::TransactionBytes, limit });
}

#[test]
fn ids_that_acks_name_count_too() {
    let limit = 10_000;
    let id = "x".repeat(4_000);
    let mut client = limited(|settings| settings.transaction_bytes = limit);
    let ack = format!("ACK\nid:{id}\ntransaction:t\n\n^@");
    client.says(&ack.repeat(3));
    assert_eq!(*client.error(), SessionError::Limit { of: Limit::TransactionBytes, limit });
}
