//! `round_trip`: any frame that a program can build. What a version can represent survives the
//! wire, and every way to write a frame writes the same.
//!
//! An input reads `SEND|name=value|name=value||body`: see [`parse`].

#[path = "../../tests/frame/representable.rs"]
mod representable;

use bytes::BytesMut;
use stompbox::frame::{
    Command, Decoder, Encoder, Frame, FrameRef, HeaderName, Leniency, Limits, SharedMessage,
    Version,
};

use representable::is_representable;

/// The headers of a frame that is built.
type Headers<'a> = &'a [(String, String)];

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let (command, headers, body) = parse(input);
    let body = if command.carries_body() { body } else { &[] };
    let frame = headers
        .iter()
        .fold(Frame::new(command), |frame, (name, value)| frame.with_header(name, value))
        .with_body(body);
    check_contents(&frame, &headers, body);
    for version in Version::ALL {
        let (wire, omitted) = encode(&frame, version);
        let kept = kept(version, command, &headers);
        assert_eq!(
            omitted,
            headers.iter().filter(|header| is_content(header)).count() - kept.len()
        );
        let decoded = decode(&wire, version);
        let expected =
            kept.iter().fold(Frame::new(command).with_body(body), |frame, (name, value)| {
                frame.with_header(name, value)
            });
        assert_eq!(decoded, expected);
        assert_eq!(wire, encode_by_hand(version, command, &headers, body));
        check_decoded(&decoded, &wire, version);
    }
    if command == Command::Message {
        check_shared(&headers, body);
    }
}

/// The command, then `|` in front of each header, an empty header, and the body. What is no
/// command is one all the same, by its first octet; a header without `=` has no value.
fn parse(input: &[u8]) -> (Command, Vec<(String, String)>, &[u8]) {
    let mut parts = input.split(|octet| *octet == b'|');
    let first = parts.next().unwrap_or_default();
    let any = usize::from(first.first().copied().unwrap_or_default()) % Command::ALL.len();
    let command = Command::parse(first).unwrap_or(Command::ALL[any]);
    let mut read = first.len();
    let mut headers = Vec::new();
    for part in parts {
        read += 1 + part.len();
        if part.is_empty() {
            break;
        }
        let part = String::from_utf8_lossy(part);
        let (name, value) = part.split_once('=').unwrap_or((&part, ""));
        headers.push((name.to_owned(), value.to_owned()));
    }
    (command, headers, input.get(read + 1..).unwrap_or_default())
}

/// The encoder writes a `content-length` itself, whatever it is given.
fn is_content(header: &(String, String)) -> bool {
    header.0 != HeaderName::ContentLength.as_str()
}

/// The headers that this version can represent.
fn kept(version: Version, command: Command, headers: Headers<'_>) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|header| is_content(header))
        .filter(|(name, value)| is_representable(version, command, name, value))
        .cloned()
        .collect()
}

fn check_contents(frame: &Frame, headers: Headers<'_>, body: &[u8]) {
    let owned = frame.headers().iter().map(|(name, value)| (name.into(), value.into()));
    assert_eq!(owned.collect::<Vec<(String, String)>>(), headers);
    assert_eq!(frame.body(), body);
    assert_eq!(frame.body_bytes(), body);
    for (name, _) in headers {
        let first = headers.iter().find(|(other, _)| other == name).map(|(_, value)| value);
        assert_eq!(frame.header(name.as_str()).as_deref(), first.map(String::as_str));
        assert!(frame.headers().contains(name.as_str()));
    }
}

fn encode(frame: &Frame, version: Version) -> (BytesMut, usize) {
    let mut wire = BytesMut::new();
    let omitted = frame.encode_into(version, &mut wire);
    assert_eq!(wire.len(), frame.encoded_len(version), "the length is known beforehand");
    let mut parts = BytesMut::new();
    assert_eq!(frame.encode_head_into(version, &mut parts), omitted);
    parts.extend_from_slice(frame.body());
    parts.extend_from_slice(b"\0");
    assert_eq!(parts, wire, "head and body apart");
    (wire, omitted)
}

fn encode_by_hand(
    version: Version,
    command: Command,
    headers: Headers<'_>,
    body: &[u8],
) -> BytesMut {
    let mut wire = BytesMut::new();
    let mut encoder = Encoder::new(&mut wire, version, command);
    for (name, value) in headers {
        encoder.header(name.as_str(), value);
    }
    encoder.finish(body);
    wire
}

fn limits() -> Limits {
    Limits::default().with_head(1 << 20).with_headers(usize::MAX)
}

/// The one frame of `wire`, by the letter.
fn decode(wire: &[u8], version: Version) -> Frame {
    let mut decoder = Decoder::new(limits(), Leniency::strict());
    decoder.set_version(version);
    decoder.feed_slice(wire);
    let frame = decoder.next_frame().expect("a valid frame").expect("a whole frame");
    assert_eq!((decoder.next_frame(), decoder.buffered()), (Ok(None), 0));
    frame
}

/// What was decoded can be built upon, and written as it was.
fn check_decoded(decoded: &Frame, wire: &[u8], version: Version) {
    assert_eq!(encode(decoded, version).0, wire);
    let compact = decoded.clone().compact();
    assert_eq!(encode(&compact, version).0, wire);
    let (borrowed, consumed) =
        FrameRef::parse(wire, version, &limits(), Leniency::strict()).unwrap().unwrap();
    assert_eq!((&borrowed.to_frame(), consumed), (decoded, wire.len()));
    let added = decoded.clone().with_header("added", "a:b\\c");
    let names = |frame: &Frame| frame.headers().iter().map(|(name, _)| name.to_string()).collect();
    let before: Vec<String> = names(decoded);
    let after: Vec<String> = names(&added);
    assert_eq!(after, [before, vec!["added".to_owned()]].concat());
    assert_eq!(added.headers().get_all("added").last().as_deref(), Some("a:b\\c"));
    assert_eq!(added.body(), decoded.body());
    let _ = format!("{added:?} {borrowed:?}");
}

/// A message that is encoded once is the same frame in every version.
fn check_shared(headers: Headers<'_>, body: &[u8]) {
    let own = |(name, _): &&(String, String)| {
        name != HeaderName::ContentLength.as_str() && name != HeaderName::Destination.as_str()
    };
    let headers: Vec<_> = headers.iter().filter(own).cloned().collect();
    let destination = ("destination".to_owned(), "/topic/a:b".to_owned());
    let shared = SharedMessage::new(&destination.1, headers.iter().cloned(), body);
    let all = [vec![destination], headers].concat();
    assert_eq!(shared.body(), body);
    assert_eq!(shared.is_text(), std::str::from_utf8(body).is_ok());
    // Forth and back: the older versions are encoded when they are asked for.
    for version in [Version::V1_1, Version::V1_0, Version::V1_2, Version::V1_1] {
        let wire = [b"MESSAGE\n", shared.tail(version)].concat();
        assert_eq!(wire, encode_by_hand(version, Command::Message, &all, body));
        let kept = kept(version, Command::Message, &all);
        assert_eq!(shared.omitted(version), all.len() - kept.len(), "{version}");
    }
}
