//! What is decoded and encoded.

use crate::codec::{Outgoing, Stream};

/// A row of the table of decoding.
pub struct Input {
    /// What the row is called.
    pub name: &'static str,
    wire: Vec<u8>,
    times: usize,
    chunk: Option<usize>,
}

impl Input {
    /// The bytes as they come.
    pub fn stream(&self) -> Stream<'_> {
        Stream { wire: &self.wire, times: self.times, chunk: self.chunk }
    }
}

/// Rows of decoding. Frames are MESSAGEs, as half of the rivals decode only what servers send; what
/// comes in one piece are several frames, as after one read of a busy socket.
pub fn decoded() -> Vec<Input> {
    let row = |name, wire, times, chunk| Input { name, wire, times, chunk };
    vec![
        row("small", small(), 128, None),
        row("13 headers", headers13(), 64, None),
        row("64 KiB, content-length", large(64 << 10, true), 4, None),
        row("64 KiB, open", large(64 << 10, false), 4, None),
        row("1 MiB, open", large(1 << 20, false), 1, Some(2 << 20)),
        row(CHUNKED, large(1 << 20, false), 1, Some(1 << 10)),
        row("heart-beats", b"\n".to_vec(), 4096, None),
    ]
}

/// The row that comes in chunks.
pub const CHUNKED: &str = "1 MiB, open, 1 KiB chunks";

/// A row of the table of encoding.
pub struct Output {
    /// What the row is called.
    pub name: &'static str,
    /// The frame.
    pub frame: Outgoing,
    /// How often it is encoded.
    pub times: usize,
    /// Whether it is built within the time.
    pub built: bool,
}

/// Rows of encoding.
pub fn encoded() -> Vec<Output> {
    let row = |name, headers: usize, body, times, built| {
        let headers = custom_headers(headers);
        let destination = "/topic/room/5".to_owned();
        Output { name, frame: Outgoing { destination, headers, body: chat(body) }, times, built }
    };
    vec![
        row("encode small", 0, 96, 128, false),
        row("encode 13 headers", 11, 90, 64, false),
        row("encode 64 KiB", 0, 64 << 10, 4, false),
        row("build and encode small", 0, 96, 128, true),
        row("build and encode 13 headers", 11, 90, 64, true),
    ]
}

/// A chat message of 150 octets.
fn small() -> Vec<u8> {
    message(&[], &chat(63), true)
}

/// 13 headers, some 630 octets.
fn headers13() -> Vec<u8> {
    message(&custom_headers(9), &chat(288), true)
}

fn large(body: usize, sized: bool) -> Vec<u8> {
    message(&[], &chat(body), sized)
}

fn message(headers: &[(String, String)], body: &[u8], sized: bool) -> Vec<u8> {
    let mut head =
        "MESSAGE\nsubscription:0\nmessage-id:17-204\ndestination:/topic/room/5\n".to_owned();
    for (name, value) in headers {
        head += &format!("{name}:{value}\n");
    }
    if sized {
        head += &format!("content-length:{}\n", body.len());
    }
    [head.as_bytes(), b"\n", body, b"\0"].concat()
}

/// Headers as brokers and applications add them, none of which needs an escape.
fn custom_headers(count: usize) -> Vec<(String, String)> {
    let known = [
        ("content-type", "application/json"),
        ("timestamp", "1763825263017"),
        ("priority", "4"),
        ("expires", "0"),
        ("correlation-id", "b7c1a9e2-0d3f-4a58-9c64-2f1be07d5a31"),
        ("reply-to", "/temp-queue/answers"),
        ("persistent", "true"),
        ("x-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("x-tenant", "example-tenant-of-some-length"),
        ("x-room-name", "the room with the long name"),
        ("x-client-version", "web/7.3.1 build 20251122"),
    ];
    known.iter().take(count).map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// A JSON body of `len` octets.
fn chat(len: usize) -> Vec<u8> {
    let mut body = br#"{"type":"MESSAGE","writer":"client2","text":""#.to_vec();
    body.extend(b"hello you, ".iter().cycle().take(len.saturating_sub(body.len() + 2)));
    body.extend_from_slice(b"\"}");
    body
}
