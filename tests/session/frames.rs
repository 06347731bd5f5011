//! What leaves on the wire: kinds of WebSocket messages and headers that cannot be said (rows F12
//! to F14).

use bytes::BytesMut;
use stompbox::broker::Message;
use stompbox::frame::{Leniency, SharedMessage};
use stompbox::session::{Delivery, Envelope, PayloadKind, SessionError};

use crate::client::{Client, connected, connected_with, settings};

/// Shows what a WebSocket message would be.
struct Kinds;

impl Envelope for Kinds {
    fn open(&self, kind: PayloadKind, length: usize, out: &mut BytesMut) {
        out.extend_from_slice(format!("<{kind:?} {length}>").as_bytes());
    }
}

fn over_kinds() -> Client<Kinds> {
    let mut client = Client::over(Kinds, settings());
    client.says("CONNECT\naccept-version:1.2\n\n^@SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^@");
    client
}

/// The kinds of the messages in what was sent, whose lengths must be right.
fn kinds(mut sent: &[u8]) -> Vec<String> {
    let mut kinds = Vec::new();
    while !sent.is_empty() {
        let end = sent.iter().position(|byte| *byte == b'>').unwrap();
        let head = String::from_utf8(sent[1..end].to_vec()).unwrap();
        let (kind, length) = head.split_once(' ').unwrap();
        kinds.push(kind.to_owned());
        sent = &sent[end + 1 + length.parse::<usize>().unwrap()..];
    }
    kinds
}

fn of_bytes(body: &[u8]) -> Delivery {
    let headers: [(&str, &str); 0] = [];
    Delivery::new(SharedMessage::new("/queue/a", headers, body))
}

fn sent(client: &mut Client<Kinds>, bodies: &[&[u8]]) -> Vec<String> {
    let key = client.key("a");
    let deliveries: Vec<_> = bodies.iter().map(|body| of_bytes(body)).collect();
    let (waiting, direct) = deliveries.split_at(1);
    client.leaving.deliver(key, waiting, client.now).unwrap();
    let mut out = BytesMut::new();
    assert_eq!(
        client.leaving.deliver_into(key, direct, &mut out, usize::MAX, client.now),
        direct.len()
    );
    kinds(&out)
}

#[test]
fn f12_text_for_what_is_text_and_binary_for_what_is_not() {
    let mut client = over_kinds();
    let bodies: [&[u8]; 4] = [b"hi", &[0xFF, 0xFE], "ü\0".as_bytes(), b"\xC3"];
    assert_eq!(sent(&mut client, &bodies), ["Text", "Binary", "Text", "Binary"]);
    let answer = client.says("SEND\ndestination:/a\nreceipt:1\n\n\0");
    assert_eq!(kinds(answer.replace("^@", "\0").as_bytes()), ["Text"]);
}

#[test]
fn f12_binary_for_a_client_that_sends_binary() {
    let mut client = over_kinds();
    client.leaving.set_binary();
    assert_eq!(sent(&mut client, &[b"hi", b"there"]), ["Binary", "Binary"]);
    let answer = client.says("SEND\ndestination:/a\nreceipt:1\n\n\0SEND\n\n\0");
    assert_eq!(kinds(answer.replace("^@", "\0").as_bytes()), ["Binary", "Binary"]);
}

#[test]
fn f13_the_end_of_a_message_stands_for_a_missing_nul() {
    let mut client = Client::new(settings());
    for message in ["CONNECT\naccept-version:1.2\n\n", "SEND\ndestination:/a\n\ncut", "\n"] {
        client.says_in_a_message(message);
    }
    assert_eq!(client.done, ["send /a cut"]);

    let mut client = connected("1.2");
    client.says_in_a_message("SEND\ndestination:/a\n\nnot cut, there is ");
    client.says_in_a_message("more of it^@");
    assert_eq!(client.done, ["send /a not cut, there is more of it"], "its NULs do arrive");
}

/// A message with headers of which each version can say less.
fn with_headers() -> Delivery {
    let message = Message::builder("/queue/a".parse().unwrap())
        .header("plain", "x")
        .header("a:b", "name with a colon")
        .header("cr", "ends in\r")
        .header("lf", "a\nsubscription:forged")
        .body("");
    Delivery::new(message.into_shared())
}

#[test]
fn f14_what_a_version_cannot_say_is_left_out_and_counted() {
    for (version, headers, left_out) in [
        (
            "1.2",
            "plain:x\na\\cb:name with a colon\ncr:ends in\\r\nlf:a\\nsubscription\\cforged\n",
            0,
        ),
        ("1.1", "plain:x\na\\cb:name with a colon\nlf:a\\nsubscription\\cforged\n", 1),
        ("1.0", "plain:x\n", 3),
    ] {
        for direct in [false, true] {
            let mut client = connected(version);
            client.direct = direct;
            client.says("SUBSCRIBE\nid:s\ndestination:/queue/a\n\n^@");
            let start = "MESSAGE\nsubscription:s\nmessage-id:1\ndestination:/queue/a\n";
            let answer = client.delivers_this("s", &with_headers());
            assert_eq!(answer, format!("{start}{headers}\n^@"), "{version}");
            let counters = client.leaving.counters();
            assert_eq!((counters.headers_left_out, counters.messages), (left_out, 1), "{version}");
        }
    }
}

#[test]
fn f14_connected_escapes_nothing_and_so_leaves_out() {
    let mut client = Client::new(settings());
    client.session.receive("CONNECT\naccept-version:1.2\n\n\0", client.now);
    let Ok(Some(stompbox::session::Event::Connect(connect))) = client.session.next_event() else {
        panic!("a CONNECT came")
    };
    let connected = client.session.accept(&connect, client.now);
    client.leaving.connected(&connected, "s1", Some("eve\nserver:forged"));
    assert!(!client.reads().contains("forged"));
    assert_eq!(client.leaving.counters().headers_left_out, 1);
}

#[test]
fn f14_a_subscription_id_that_cannot_be_said_is_refused() {
    let mut strict = settings();
    strict.leniency = Leniency::strict();
    let mut client = connected_with("1.1", strict);
    let answer = client.says("SUBSCRIBE\nid:a\r\ndestination:/queue/a\nreceipt:1\n\n^@");
    assert!(answer.starts_with("ERROR\nmessage:invalid header\nreceipt-id:1\n"), "{answer}");
    assert!(matches!(client.error(), SessionError::InvalidHeader { header: "id", .. }));
}
