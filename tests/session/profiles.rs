//! What the default profile accepts because clients in use send it, and the strict one refuses by
//! name.

use stompbox::frame::{Command, Fault, Version};
use stompbox::session::{SessionError, SessionSettings};

use crate::client::{Client, settings};

/// The strict profile, with what the transcripts of the tests need.
fn strict() -> SessionSettings {
    let (mut strict, ours) = (SessionSettings::strict(), settings());
    (strict.server, strict.heart_beat) = (ours.server, ours.heart_beat);
    strict
}

/// A client of each profile that has connected.
fn both(version: &str) -> [Client; 2] {
    [settings(), strict()].map(|settings| crate::client::connected_with(version, settings))
}

/// The default profile does `done` when it is told so; the strict one refuses with what is returned.
fn refused(version: &str, text: &str, done: &[&str]) -> SessionError {
    let [mut field, mut strict] = both(version);
    field.says(text);
    assert!(field.refusal.is_none(), "{text}: {:?}", field.refusal);
    assert_eq!(field.done, done);
    strict.says(text);
    strict.error().clone()
}

fn fault(error: &SessionError) -> &Fault {
    match error {
        SessionError::Frame(error) => error.fault(),
        other => panic!("{other}"),
    }
}

#[test]
fn c2_a_missing_host() {
    for version in ["1.1", "1.2"] {
        let text = format!("CONNECT\naccept-version:{version}\n\n^@");
        assert!(Client::new(settings()).says(&text).starts_with("CONNECTED\n"));
        let mut client = Client::new(strict());
        let answer = client.says(&text);
        assert!(answer.starts_with("ERROR\nmessage:missing header\n"), "{answer}");
        assert!(answer.contains("CONNECT needs a host header"), "{answer}");
        let missing = SessionError::MissingHeader { command: Command::Connect, header: "host" };
        assert_eq!(*client.error(), missing);
    }
    for text in ["CONNECT\n\n^@", "CONNECT\naccept-version:1.0\n\n^@"] {
        assert!(Client::new(strict()).says(text).starts_with("CONNECTED\nversion:1.0\n"));
    }
    let with_host = "STOMP\naccept-version:1.2\nhost:h\n\n^@";
    assert!(Client::new(strict()).says(with_host).starts_with("CONNECTED\n"));
}

/// A strict client with a subscription `a` that was delivered messages 1 and 2.
fn delivered(version: &str, mode: &str) -> Client {
    let mut client = crate::client::connected_with(version, strict());
    client.says(&format!("SUBSCRIBE\nid:a\nack:{mode}\ndestination:/queue/a\n\n^@"));
    client.delivers("a", "1");
    client.delivers("a", "2");
    client
}

fn named(version: &str, number: u32) -> String {
    match version {
        "1.2" => format!("id:0-{number}"),
        "1.1" => format!("message-id:{number}\nsubscription:a"),
        _ => format!("message-id:{number}"),
    }
}

#[test]
fn s5_an_ack_of_what_was_settled_before() {
    for version in ["1.0", "1.1", "1.2"] {
        let ack = |number| format!("ACK\n{}\nreceipt:r\n\n^@", named(version, number));
        let cases: [(&str, &[String]); 3] = [
            ("client", &[ack(2), ack(1)]),
            ("client", &["UNSUBSCRIBE\nid:a\n\n^@".to_owned(), ack(1)]),
            ("auto", &[ack(1)]),
        ];
        for (mode, frames) in cases {
            let mut client = delivered(version, mode);
            let (last, before) = frames.split_last().unwrap();
            client.says(&before.concat());
            assert!(client.refusal.is_none(), "{version} {mode}");
            let answer = client.says(last);
            let start = "ERROR\nmessage:settled before\nreceipt-id:r\n";
            assert!(answer.starts_with(start), "{version} {mode}: {answer}");
            assert!(matches!(client.error(), SessionError::SettledBefore { .. }));
            assert_eq!(client.leaving.counters().settled_before, 1);
        }
    }
    // That the default ignores and counts them is tested in `acknowledging`.
}

#[test]
fn s2_client_individual_in_1_0() {
    let text = "SUBSCRIBE\nid:a\ndestination:/a\nack:client-individual\n\n^@";
    let error = refused("1.0", text, &[]);
    assert!(matches!(&error, SessionError::InvalidHeader { header: "ack", .. }), "{error}");
    assert!(error.to_string().contains("STOMP 1.0 knows auto and client"), "{error}");
    for version in ["1.1", "1.2"] {
        let [_, mut strict] = both(version);
        strict.says(text);
        assert!(strict.refusal.is_none());
    }
}

#[test]
fn f8_a_body_on_a_frame_that_carries_none() {
    for head in ["", "content-length:4\n"] {
        for version in ["1.0", "1.1", "1.2"] {
            let text = format!("BEGIN\ntransaction:t\n{head}\nbody^@");
            let error = refused(version, &text, &[]);
            assert_eq!(*fault(&error), Fault::UnexpectedBody { command: Command::Begin });
        }
    }
}

#[test]
fn f1_an_escape_that_the_version_does_not_define() {
    for (version, escape, protocol) in [
        ("1.1", r"C:\temp", Version::V1_1),
        ("1.1", r"a\r", Version::V1_1),
        ("1.2", r"a\t", Version::V1_2),
    ] {
        let text = format!("SEND\ndestination:/a\nnote:{escape}\n\nhi^@");
        let error = refused(version, &text, &["send /a hi"]);
        let fault = fault(&error);
        assert!(
            matches!(fault, Fault::UndefinedEscape { version, .. } if *version == protocol),
            "{fault}"
        );
    }
    for mut client in both("1.0") {
        client.says("SEND\ndestination:/a\nnote:C:\\temp\n\nhi^@");
        assert_eq!(client.done, ["send /a hi"], "nothing is escaped in 1.0");
    }
}

#[test]
fn f5_cr_lf_before_1_2() {
    for (version, protocol) in [("1.0", Version::V1_0), ("1.1", Version::V1_1)] {
        for (text, done) in [
            ("SEND\r\ndestination:/a\r\n\r\nhi^@", &["send /a hi"][..]),
            ("SEND\ndestination:/a\n\r\nhi^@", &["send /a hi"]),
            ("\r\n", &[]),
            ("\n\r\n\n", &[]),
        ] {
            let error = refused(version, text, done);
            assert_eq!(*fault(&error), Fault::CrLf { version: protocol }, "{text:?}");
        }
    }
    for mut client in both("1.2") {
        client.says("\r\nSEND\r\ndestination:/a\r\n\r\nhi^@\r\n");
        assert_eq!(client.done, ["send /a hi"]);
    }
}

#[test]
fn f13_a_text_message_without_its_nul() {
    let messages = ["CONNECT\naccept-version:1.2\nhost:h\n\n", "SEND\ndestination:/a\n\nhi"];
    let mut field = Client::new(settings());
    let mut strict = Client::new(strict());
    for message in messages {
        field.says_in_a_message(message);
        strict.says_in_a_message(message);
    }
    assert_eq!(field.done, ["send /a hi"]);
    assert_eq!(*fault(strict.error()), Fault::UnexpectedBody { command: Command::Connect });
}

#[test]
fn f3_padding_in_1_0() {
    let error = refused("1.0", "SEND\ndestination : /a\n\nhi^@", &["send /a hi"]);
    let (command, header) = (Command::Send, "destination");
    assert_eq!(error, SessionError::MissingHeader { command, header });
    let [_, mut strict] = both("1.0");
    strict.says("SEND\ndestination: /a\n\nhi^@");
    assert_eq!(strict.done, ["send  /a hi"], "a space is an octet of the value like any other");
}

#[test]
fn the_strict_profile_serves_whoever_keeps_to_the_letter() {
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = delivered(version, "client");
        client.says(&format!("ACK\n{}\n\n^@", named(version, 2)));
        client.says("BEGIN\ntransaction:t\n\n^@SEND\ndestination:/a\ntransaction:t\n\nx\\n^@");
        client.says("COMMIT\ntransaction:t\n\n^@UNSUBSCRIBE\nid:a\n\n^@\n\n");
        let answer = client.says("DISCONNECT\nreceipt:1\n\n^@");
        assert_eq!(answer, "RECEIPT\nreceipt-id:1\n\n^@", "{version}: {:?}", client.refusal);
    }
}
