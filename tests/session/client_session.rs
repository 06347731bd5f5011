//! The client's session as transcripts: what it writes, and what it makes of what a server says.

use std::time::Instant;

use bytes::BytesMut;
use stompbox::frame::{Command, Limits, Version};
use stompbox::session::{
    AckMode, Bare, ClientError, ClientEvent, ClientSession, Confirm, ConnectOptions, Envelope,
    HeartBeat, Incompatible, Misuse, NewMessage, NewSubscription, PayloadKind, ReceivedMessage,
    Request, ServerFault,
};

use crate::client::shown;

fn options() -> ConnectOptions {
    let mut options = ConnectOptions::new("h");
    options.heart_beat = HeartBeat::NONE;
    options
}

fn writes<E: Envelope>(session: &mut ClientSession<E>) -> String {
    let mut out = BytesMut::new();
    session.take(&mut out, usize::MAX, Instant::now());
    shown(&out)
}

fn hears(session: &mut ClientSession, text: &str) -> Result<Option<ClientEvent>, ClientError> {
    session.receive(text.replace("^@", "\0").into_bytes(), Instant::now());
    session.next_event()
}

/// A session whose CONNECT was written.
fn new(options: ConnectOptions) -> ClientSession {
    let mut session = ClientSession::connect(Bare, options, Instant::now()).unwrap();
    writes(&mut session);
    session
}

fn connected(version: &str) -> ClientSession {
    let mut session = new(options());
    let welcome = hears(&mut session, &format!("CONNECTED\nversion:{version}\n\n^@"));
    assert!(matches!(welcome, Ok(Some(ClientEvent::Connected(_)))), "{welcome:?}");
    session
}

/// A session with a subscription `a` in this mode.
fn subscribed(version: &str, ack: AckMode) -> ClientSession {
    let mut session = connected(version);
    session.subscribe(&NewSubscription::new("a", "/queue/a").with_ack(ack), Confirm::No).unwrap();
    writes(&mut session);
    session
}

fn message(session: &mut ClientSession, text: &str) -> ReceivedMessage {
    match hears(session, text) {
        Ok(Some(ClientEvent::Message(message))) => message,
        other => panic!("{other:?}"),
    }
}

/// What the server did wrong when it said this.
fn fault(session: &mut ClientSession, text: &str) -> ServerFault {
    match hears(session, text) {
        Err(ClientError::Server(fault)) => {
            assert!(session.is_over());
            fault
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn c2_connect_says_what_the_options_say() {
    let mut all = options();
    all.versions = vec![Version::V1_2, Version::V1_1];
    all.login = Some("ada".to_owned());
    all.passcode = Some("a:b\\c".to_owned());
    all.headers = vec![("tenant".to_owned(), "7".to_owned())];
    let mut session = ClientSession::connect(Bare, all, Instant::now()).unwrap();
    assert_eq!(
        writes(&mut session),
        "CONNECT\naccept-version:1.1,1.2\nhost:h\nheart-beat:0,0\nlogin:ada\npasscode:a:b\\c\n\
         tenant:7\n\n^@",
        "nothing in CONNECT is escaped"
    );
    assert!(!session.is_connected() && !session.is_over());
}

#[test]
fn f14_what_connect_cannot_represent_is_refused_and_not_left_out() {
    for change in [
        |options: &mut ConnectOptions| options.passcode = Some("a\nb".to_owned()),
        |options: &mut ConnectOptions| options.host = "a\0".to_owned(),
        |options: &mut ConnectOptions| options.headers = vec![("a:b".to_owned(), String::new())],
    ] {
        let mut options = options();
        change(&mut options);
        let refused = ClientSession::connect(Bare, options, Instant::now()).unwrap_err();
        assert!(matches!(refused, Misuse::Unrepresentable { .. }), "{refused}");
    }
}

#[test]
fn headers_that_the_session_writes_are_refused() {
    let mut with_receipt = options();
    with_receipt.headers = vec![("receipt".to_owned(), "1".to_owned())];
    let refused = ClientSession::connect(Bare, with_receipt, Instant::now()).unwrap_err();
    let command = Command::Connect;
    assert_eq!(refused, Misuse::ReservedHeader { command, header: "receipt" });
    let mut session = connected("1.2");
    for name in ["destination", "transaction", "receipt", "content-length"] {
        let refused = session.send(&NewMessage::to("/a").with_header(name, "1"), Confirm::No);
        assert!(matches!(refused, Err(Misuse::ReservedHeader { .. })), "{name}");
    }
    for name in ["id", "destination", "ack", "receipt"] {
        let subscription = NewSubscription::new("a", "/a").with_header(name, "1");
        let refused = session.subscribe(&subscription, Confirm::No);
        assert!(matches!(refused, Err(Misuse::ReservedHeader { .. })), "{name}");
    }
    assert_eq!(writes(&mut session), "");
    assert!(session.subscribe(&NewSubscription::new("a", "/a"), Confirm::No).is_ok());
}

#[test]
fn no_version_is_no_offer() {
    let mut none = options();
    none.versions = Vec::new();
    let refused = ClientSession::connect(Bare, none, Instant::now());
    assert_eq!(refused.unwrap_err(), Misuse::NoVersion);
}

#[test]
fn c1_a_server_that_says_no_version_speaks_1_0() {
    let mut session = new(options());
    assert!(matches!(hears(&mut session, "CONNECTED\n\n^@"), Ok(Some(_))));
    assert_eq!(session.version(), Version::V1_0);
}

#[test]
fn c1_a_version_that_was_not_offered_is_incompatible() {
    let mut newer = options();
    newer.versions = vec![Version::V1_1, Version::V1_2];
    for (answer, answered) in [
        ("CONNECTED\n\n^@", "1.0"),
        ("CONNECTED\nversion:2.0\n\n^@", "2.0"),
        ("ERROR\nmessage:no\nversion:1.0,2.0\n\n^@", "1.0,2.0"),
    ] {
        let mut session = new(newer.clone());
        let answered = answered.to_owned();
        let incompatible = Incompatible::Version { offered: "1.1,1.2".to_owned(), answered };
        assert_eq!(hears(&mut session, answer).unwrap_err(), incompatible.into());
        assert!(session.is_over());
    }
    // RabbitMQ lists its versions whatever it refuses a CONNECT for.
    let mut session = new(newer);
    let refused = hears(&mut session, "ERROR\nmessage:Bad CONNECT\nversion:1.0,1.1\n\nno^@");
    let Ok(Some(ClientEvent::Error(error))) = refused else { panic!("{refused:?}") };
    assert_eq!((&*error.summary(), &*error.detail()), ("Bad CONNECT", "no"));
    assert_eq!(error.to_string(), "Bad CONNECT: no");
}

#[test]
fn only_connected_or_error_answers_connect() {
    for (text, command) in [
        ("MESSAGE\nsubscription:a\nmessage-id:1\n\n^@", Command::Message),
        ("RECEIPT\nreceipt-id:1\n\n^@", Command::Receipt),
    ] {
        assert_eq!(fault(&mut new(options()), text), ServerFault::NotConnected { command });
    }
}

#[test]
fn what_a_server_may_not_say_is_its_fault() {
    let mut session = connected("1.2");
    assert_eq!(fault(&mut session, "CONNECTED\n\n^@"), ServerFault::AlreadyConnected);
    for command in ["SEND", "CONNECT", "ACK"] {
        let fault = fault(&mut connected("1.2"), &format!("{command}\n\n^@"));
        assert!(matches!(fault, ServerFault::ClientFrame { .. }), "{fault}");
    }
    let fault = fault(&mut connected("1.2"), "HTTP/1.1 400 Bad Request\n\n^@");
    assert!(matches!(fault, ServerFault::Frame(_)), "{fault}");
}

#[test]
fn headers_that_a_server_forgets_are_its_fault() {
    for (version, text, missing) in [
        ("1.2", "RECEIPT\n\n^@", "receipt-id"),
        ("1.2", "MESSAGE\nmessage-id:1\n\n^@", "subscription"),
        ("1.1", "MESSAGE\nsubscription:a\n\n^@", "message-id"),
        ("1.0", "MESSAGE\nsubscription:a\n\n^@", "message-id"),
    ] {
        let fault = fault(&mut subscribed(version, AckMode::Client), text);
        assert!(
            matches!(fault, ServerFault::MissingHeader { header, .. } if header == missing),
            "{version} {fault}"
        );
    }
    let malformed = fault(&mut new(options()), "CONNECTED\nversion:1.2\nheart-beat:1\n\n^@");
    assert!(matches!(malformed, ServerFault::InvalidHeader { header: "heart-beat", .. }));
}

#[test]
fn c6_a_receipt_that_nothing_asked_for_is_a_fault() {
    for id in ["1", "0", "x", "01x", ""] {
        let fault = fault(&mut connected("1.2"), &format!("RECEIPT\nreceipt-id:{id}\n\n^@"));
        assert_eq!(fault, ServerFault::UnknownReceipt { id: id.to_owned() });
    }
    for id in ["01", "+1", "1 ", "1.0"] {
        let mut session = connected("1.2");
        session.send(&NewMessage::to("/a"), Confirm::Receipt).unwrap();
        let fault = fault(&mut session, &format!("RECEIPT\nreceipt-id:{id}\n\n^@"));
        assert_eq!(fault, ServerFault::UnknownReceipt { id: id.to_owned() });
    }
    let mut session = connected("1.2");
    session.send(&NewMessage::to("/a"), Confirm::Receipt).unwrap();
    assert!(hears(&mut session, "RECEIPT\nreceipt-id:1\n\n^@").is_ok());
    let id = "1".to_owned();
    let again = fault(&mut session, "RECEIPT\nreceipt-id:1\n\n^@");
    assert_eq!(again, ServerFault::UnknownReceipt { id });
}

#[test]
fn s3_each_version_names_a_message_in_its_own_way() {
    for (version, headers, named) in [
        ("1.2", "subscription:a\nmessage-id:m\nack:x\\c1", "id:x\\c1"),
        ("1.1", "subscription:a\nmessage-id:m\\c1", "message-id:m\\c1\nsubscription:a"),
        ("1.0", "subscription:a\nmessage-id:m:1", "message-id:m:1"),
    ] {
        let mut session = subscribed(version, AckMode::Client);
        let received = message(&mut session, &format!("MESSAGE\n{headers}\n\nhi^@"));
        let unsettled = received.unsettled.unwrap();
        session.ack(&unsettled, None, Confirm::No).unwrap();
        assert_eq!(writes(&mut session), format!("ACK\n{named}\n\n^@"));
        session.begin("t", Confirm::No).unwrap();
        writes(&mut session);
        if version != "1.0" {
            session.nack(&unsettled, Some("t"), Confirm::Receipt).unwrap();
            let expected = format!("NACK\n{named}\ntransaction:t\nreceipt:4\n\n^@");
            assert_eq!(writes(&mut session), expected, "{version}");
        }
    }
}

#[test]
fn s3_without_an_ack_header_there_is_nothing_to_settle_in_1_2() {
    let mut session = subscribed("1.2", AckMode::Client);
    let received = message(&mut session, "MESSAGE\nsubscription:a\nmessage-id:m\n\nhi^@");
    assert_eq!(received.unsettled, None);
    assert_eq!(received.subscription.as_deref(), Some("a"));
    assert_eq!(received.frame.body(), b"hi");
}

#[test]
fn s1_in_1_0_a_message_without_a_subscription_is_found_by_its_destination() {
    let mut session = subscribed("1.0", AckMode::Auto);
    let found = "MESSAGE\ndestination:/queue/a\nmessage-id:1\n\n^@";
    assert_eq!(message(&mut session, found).subscription.as_deref(), Some("a"));
    let lost = hears(&mut session, "MESSAGE\ndestination:/queue/b\nmessage-id:1\n\n^@");
    let Ok(Some(ClientEvent::Stray(stray))) = lost else { panic!("{lost:?}") };
    assert_eq!(stray.subscription, None);
}

#[test]
fn a_message_that_was_never_subscribed_to_is_stray() {
    let mut session = connected("1.2");
    let text = "MESSAGE\nsubscription:/temp-queue/replies\nmessage-id:1\n\nhi^@";
    let Ok(Some(ClientEvent::Stray(stray))) = hears(&mut session, text) else { panic!() };
    assert_eq!(stray.subscription.as_deref(), Some("/temp-queue/replies"));
    assert!(!session.is_over());
}

#[test]
fn nothing_can_be_asked_for_before_connected_and_after_the_end() {
    let mut session = new(options());
    let message = NewMessage::to("/a");
    assert_eq!(session.send(&message, Confirm::No), Err(Misuse::NotConnected));
    assert_eq!(session.disconnect(Instant::now()), Err(Misuse::NotConnected));
    let mut session = connected("1.2");
    session.send(&message, Confirm::Receipt).unwrap();
    session.end();
    assert_eq!(session.send(&message, Confirm::No), Err(Misuse::NotConnected));
    assert_eq!(session.unconfirmed().map(Request::number).collect::<Vec<_>>(), [1]);
    assert!(matches!(hears(&mut session, "RECEIPT\nreceipt-id:1\n\n^@"), Ok(None)));
    assert!(!session.is_waiting());
}

#[test]
fn what_waits_is_limited() {
    let mut limited = options();
    (limited.waiting_bytes, limited.unconfirmed) = (100, 2);
    let mut session = new(limited);
    hears(&mut session, "CONNECTED\nversion:1.2\n\n^@").unwrap();
    let large = NewMessage::to("/a").with_body(&[b'x'; 200]);
    session.send(&large, Confirm::No).unwrap();
    let full = Misuse::Limit { of: "bytes", limit: 100 };
    assert_eq!(session.send(&large, Confirm::No), Err(full));
    assert_eq!(session.waiting_bytes(), writes(&mut session).len() - "^@".len() + 1);
    for _ in 0..2 {
        session.begin("t", Confirm::Receipt).unwrap();
        session.abort("t", Confirm::No).unwrap();
        writes(&mut session);
    }
    let full = Misuse::Limit { of: "unconfirmed requests", limit: 2 };
    assert_eq!(session.begin("t", Confirm::Receipt), Err(full));
    assert_eq!(
        session.commit("t", Confirm::No),
        Err(Misuse::UnknownTransaction { id: "t".into() })
    );
    session.disconnect(Instant::now()).unwrap();
}

#[test]
fn the_servers_frames_are_limited() {
    let mut limited = options();
    limited.frame_limits = Limits::default().with_body(10);
    let fault = fault(&mut new(limited), "ERROR\ncontent-length:11\n\n");
    assert!(matches!(fault, ServerFault::Frame(_)), "{fault}");
}

#[test]
fn what_was_not_written_goes_first_next_time() {
    let mut session = connected("1.2");
    session.send(&NewMessage::to("/a"), Confirm::No).unwrap();
    let mut out = BytesMut::new();
    session.take(&mut out, 7, Instant::now());
    assert_eq!(out.len(), 7);
    session.begin("t", Confirm::No).unwrap();
    session.put_back(&out[3..]);
    assert_eq!(
        shown(&out[..3]) + &writes(&mut session),
        concat!("SEND\ndestination:/a\n\n^@", "BEGIN\ntransaction:t\n\n^@")
    );
}

/// Masks with a key that is always the same, as no WebSocket client may.
struct Masking;

impl Envelope for Masking {
    fn open(&self, kind: PayloadKind, length: usize, out: &mut BytesMut) {
        out.extend_from_slice(format!("<{kind:?} {length}>").as_bytes());
    }

    fn wrap(&self, kind: PayloadKind, payload: &[u8], out: &mut BytesMut) {
        self.open(kind, payload.len(), out);
        out.extend(payload.iter().map(|byte| byte ^ 0x20));
    }
}

#[test]
fn f12_an_envelope_sees_every_payload_whole_and_may_mask_it() {
    let now = Instant::now();
    let mut session = ClientSession::connect(Masking, options(), now).unwrap();
    let connect = writes(&mut session);
    assert!(connect.starts_with("<Text 59>conn"), "{connect}");
    session.receive("CONNECTED\nversion:1.2\n\n\0", now);
    session.next_event().unwrap();
    session.send(&NewMessage::to("/a").with_body(&[0xFF]), Confirm::No).unwrap();
    let mut out = BytesMut::new();
    session.take(&mut out, usize::MAX, now);
    assert!(out.starts_with(b"<Binary 40>send"), "{out:?}");
    assert!(out.ends_with(&[0xFF ^ 0x20, 0x20]), "{out:?}");
}

#[test]
fn debug_shows_no_secrets() {
    let mut secret = options();
    secret.passcode = Some("hunter2".to_owned());
    secret.headers = vec![("authorization".to_owned(), "hunter2".to_owned())];
    assert!(!format!("{secret:?}").contains("hunter2"));
    let session = ClientSession::connect(Bare, secret, Instant::now()).unwrap();
    assert!(!format!("{session:?}").contains("hunter2"));
}
