//! The wire examples of the STOMP specifications. `^@` is NUL, as there.

use stompbox::frame::{Command, Frame, Version};

use super::{encode, field, strict};

/// A frame on the wire, the version whose specification holds it, and what it means: command,
/// headers, body.
type Example =
    (&'static str, Version, Command, &'static [(&'static str, &'static str)], &'static str);

const EXAMPLES: [Example; 19] = {
    use Command::{
        Abort, Ack, Begin, Commit, Connect, Connected, Disconnect, Error, Message, Nack, Receipt,
        Send, Subscribe, Unsubscribe,
    };
    use Version::{V1_0, V1_1, V1_2};
    [
        (
            "CONNECT\nlogin: <username>\npasscode:<passcode>\n\n^@",
            V1_0,
            Connect,
            &[("login", "<username>"), ("passcode", "<passcode>")],
            "",
        ),
        (
            "CONNECTED\nsession: <session-id>\n\n^@",
            V1_0,
            Connected,
            &[("session", "<session-id>")],
            "",
        ),
        (
            "SEND\ndestination:/queue/a\n\nhello queue a\n^@",
            V1_0,
            Send,
            &[("destination", "/queue/a")],
            "hello queue a\n",
        ),
        (
            "SUBSCRIBE\ndestination: /queue/foo\nack: client\n\n^@",
            V1_0,
            Subscribe,
            &[("destination", "/queue/foo"), ("ack", "client")],
            "",
        ),
        (
            "UNSUBSCRIBE\ndestination: /queue/a\n\n^@",
            V1_0,
            Unsubscribe,
            &[("destination", "/queue/a")],
            "",
        ),
        (
            "BEGIN\ntransaction: <transaction-identifier>\n\n^@",
            V1_0,
            Begin,
            &[("transaction", "<transaction-identifier>")],
            "",
        ),
        (
            "ACK\nmessage-id: <message-identifier>\ntransaction: <transaction-identifier>\n\n^@",
            V1_0,
            Ack,
            &[("message-id", "<message-identifier>"), ("transaction", "<transaction-identifier>")],
            "",
        ),
        (
            "MESSAGE\ndestination:/queue/a\nmessage-id: <message-identifier>\n\nhello queue a^@",
            V1_0,
            Message,
            &[("destination", "/queue/a"), ("message-id", "<message-identifier>")],
            "hello queue a",
        ),
        (
            "ERROR\nmessage: malformed packet received\n\nThe message:\n-----\nMESSAGE\n\
             destined:/queue/a\n\nHello queue a!\n-----\nDid not contain a destination header, \
             which is required for message propagation.\n^@",
            V1_0,
            Error,
            &[("message", "malformed packet received")],
            "The message:\n-----\nMESSAGE\ndestined:/queue/a\n\nHello queue a!\n-----\nDid not \
             contain a destination header, which is required for message propagation.\n",
        ),
        (
            "CONNECT\naccept-version:1.0,1.1,2.0\nhost:stomp.github.org\n\n^@",
            V1_1,
            Connect,
            &[("accept-version", "1.0,1.1,2.0"), ("host", "stomp.github.org")],
            "",
        ),
        (
            "NACK\nsubscription:0\nmessage-id:007\n\n^@",
            V1_1,
            Nack,
            &[("subscription", "0"), ("message-id", "007")],
            "",
        ),
        (
            "MESSAGE\nfoo:World\nfoo:Hello\n\n^@",
            V1_2,
            Message,
            &[("foo", "World"), ("foo", "Hello")],
            "",
        ),
        ("CONNECTED\nversion:1.1\n\n^@", V1_2, Connected, &[("version", "1.1")], ""),
        (
            "SEND\ndestination:/queue/a\ncontent-type:text/plain\n\nhello queue a\n^@",
            V1_2,
            Send,
            &[("destination", "/queue/a"), ("content-type", "text/plain")],
            "hello queue a\n",
        ),
        (
            "SUBSCRIBE\nid:0\ndestination:/queue/foo\nack:client\n\n^@",
            V1_2,
            Subscribe,
            &[("id", "0"), ("destination", "/queue/foo"), ("ack", "client")],
            "",
        ),
        ("COMMIT\ntransaction:tx1\n\n^@", V1_2, Commit, &[("transaction", "tx1")], ""),
        ("ABORT\ntransaction:tx1\n\n^@", V1_2, Abort, &[("transaction", "tx1")], ""),
        ("DISCONNECT\nreceipt:77\n\n^@", V1_2, Disconnect, &[("receipt", "77")], ""),
        ("RECEIPT\nreceipt-id:77\n\n^@", V1_2, Receipt, &[("receipt-id", "77")], ""),
    ]
};

#[test]
fn the_examples_are_read_as_meant() {
    for (wire, version, command, headers, body) in EXAMPLES {
        let expected = headers
            .iter()
            .fold(Frame::new(command), |frame, (name, value)| frame.with_header(*name, value))
            .with_body(body);
        let wire = wire.replace("^@", "\0");
        // The 1.0 specification pads its headers, and means no spaces.
        assert_eq!(field(version, wire.as_bytes()), expected);
        if !wire.contains(": ") {
            assert_eq!(strict(version, wire.as_bytes()), expected);
        }
        let (encoded, omitted) = encode(version, &expected);
        assert_eq!(omitted, 0);
        assert_eq!(strict(version, &encoded), expected);
    }
}

#[test]
fn an_error_has_a_receipt_id_and_a_content_length() {
    let body = "The message:\n-----\nMESSAGE\ndestined:/queue/a\nreceipt:message-12345\n\n\
                Hello queue a!\n-----\nDid not contain a destination header, which is REQUIRED\n\
                for message propagation.\n";
    let wire = format!(
        "ERROR\nreceipt-id:message-12345\ncontent-type:text/plain\ncontent-length:{}\n\
         message:malformed frame received\n\n{body}\0",
        body.len(),
    );
    for version in [Version::V1_1, Version::V1_2] {
        let frame = strict(version, wire.as_bytes());
        assert_eq!(frame.command(), Command::Error);
        assert_eq!(frame.header("receipt-id").as_deref(), Some("message-12345"));
        assert_eq!(frame.header("message").as_deref(), Some("malformed frame received"));
        assert_eq!(frame.body(), body.as_bytes());
    }
}
