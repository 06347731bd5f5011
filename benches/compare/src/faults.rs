//! What each codec refuses or gets wrong, found out by running it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::{Codec, Seen, Stream};

/// Bytes that a server may send in STOMP 1.2, and what they are.
struct Case {
    name: &'static str,
    wire: &'static [u8],
    chunk: Option<usize>,
    /// The frames in it; none if it must be refused.
    frames: Option<Vec<Seen>>,
}

/// What `codec` does not do as the specification has it, a line each.
pub fn of(codec: &dyn Codec) -> Vec<String> {
    accepted().into_iter().chain(refused()).filter_map(|case| fault(codec, &case)).collect()
}

fn fault(codec: &dyn Codec, case: &Case) -> Option<String> {
    let stream = Stream { wire: case.wire, times: 1, chunk: case.chunk };
    let seen = catch_unwind(AssertUnwindSafe(|| codec.read(&stream)));
    let what = match (seen, &case.frames) {
        (Err(_), _) => "panics".to_owned(),
        (Ok(Err(_)), None) => return None,
        (Ok(Err(error)), Some(_)) => {
            let error: String = error.chars().take(60).collect();
            format!("refused ({})", error.replace('\n', " "))
        }
        (Ok(Ok(_)), None) => "accepted".to_owned(),
        (Ok(Ok(seen)), Some(frames)) if seen == *frames => return None,
        (Ok(Ok(seen)), Some(frames)) if seen.len() != frames.len() => {
            format!("{} frames instead of {}", seen.len(), frames.len())
        }
        (Ok(Ok(_)), Some(_)) => "read as something else".to_owned(),
    };
    Some(format!("{}: {what}", case.name))
}

/// A MESSAGE with further headers.
fn message(headers: &[(&str, &str)], body: &[u8]) -> Seen {
    let own = [("destination", "/a"), ("message-id", "1"), ("subscription", "0")];
    Seen::new("MESSAGE", own.iter().chain(headers).copied(), body)
}

/// What must be read, and read as this.
fn accepted() -> Vec<Case> {
    let case = |name, wire, frames| Case { name, wire, chunk: None, frames };
    let connected = |headers: &[(&str, &str)]| {
        let version = ("version", "1.2");
        Some(vec![Seen::new("CONNECTED", headers.iter().copied().chain([version]), b"")])
    };
    vec![
        case(
            "CR LF at the end of lines",
            b"MESSAGE\r\ndestination:/a\r\nmessage-id:1\r\nsubscription:0\r\n\r\nhi\0",
            Some(vec![message(&[], b"hi")]),
        ),
        case(
            "two frames in one piece",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\n\nhi\0\
              MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\n\nho\0",
            Some(vec![message(&[], b"hi"), message(&[], b"ho")]),
        ),
        case(
            "two heart-beats in a row",
            b"\n\nMESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\n\nhi\0",
            Some(vec![message(&[], b"hi")]),
        ),
        case("heart-beats and nothing else", b"\n\n\n", Some(Vec::new())),
        case(
            "several ends of line after NUL",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\n\nhi\0\n\n\r\n",
            Some(vec![message(&[], b"hi")]),
        ),
        Case {
            name: "a frame in pieces of one octet",
            wire: b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\n\nhi\0",
            chunk: Some(1),
            frames: Some(vec![message(&[], b"hi")]),
        },
        case(
            "a colon in a value",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\nhost:localhost:15674\n\n\0",
            Some(vec![message(&[("host", "localhost:15674")], b"")]),
        ),
        case(
            "an empty value",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\nempty:\n\n\0",
            Some(vec![message(&[("empty", "")], b"")]),
        ),
        case(
            "escapes in a value",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\nnote:a\\cb\\\\n\\n\n\n\0",
            Some(vec![message(&[("note", "a:b\\n\n")], b"")]),
        ),
        case(
            "escapes in a name",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\na\\cb:c\n\n\0",
            Some(vec![message(&[("a:b", "c")], b"")]),
        ),
        case(
            "no escapes in CONNECTED",
            b"CONNECTED\nversion:1.2\nsession:a\\nb\n\n\0",
            connected(&[("session", "a\\nb")]),
        ),
        case(
            "a further header in CONNECTED",
            b"CONNECTED\nversion:1.2\nuser-name:me\n\n\0",
            connected(&[("user-name", "me")]),
        ),
        case(
            "the first of repeated headers",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\nfoo:World\nfoo:Hello\n\n\0",
            Some(vec![message(&[("foo", "World")], b"")]),
        ),
        case(
            "NUL in a body with content-length",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\ncontent-length:3\n\na\0b\0",
            Some(vec![message(&[], b"a\0b")]),
        ),
    ]
}

/// What must be refused.
fn refused() -> Vec<Case> {
    let case = |name, wire| Case { name, wire, chunk: None, frames: None };
    vec![
        case(
            "an undefined escape, which is fatal",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\nnote:a\\tb\n\n\0",
        ),
        case(
            "a content-length that is no number",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\ncontent-length:two\n\nhi\0",
        ),
        case(
            "a content-length with a sign",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\ncontent-length:+2\n\nhi\0",
        ),
        case(
            "a content-length that is too small",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\ncontent-length:1\n\nhi\0",
        ),
        case(
            "content-lengths that conflict",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\n\
              content-length:2\ncontent-length:1\n\nhi\0",
        ),
        case(
            "a header that is not UTF-8",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\nnote:\xff\n\n\0",
        ),
        case(
            "a header without a colon",
            b"MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\nnote\n\n\0",
        ),
        case("an unknown command", b"HELLO\nnote:a\n\n\0"),
        case(
            "a command in lower case",
            b"message\ndestination:/a\nmessage-id:1\nsubscription:0\n\nhi\0",
        ),
        case("a body on a RECEIPT", b"RECEIPT\nreceipt-id:1\ncontent-length:2\n\nhi\0"),
    ]
}
