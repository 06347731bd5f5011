//! A message that is encoded once for all of its copies.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use memchr::memchr;

use super::{Command, Encoder, FrameRef, Header, HeaderName, Leniency, Limits, Version};

/// A scratch buffer larger than this, in bytes, is given back after use.
const KEPT_SCRATCH: usize = 256 * 1024;

thread_local! {
    /// Where a message is encoded before its right-sized copy is made.
    static SCRATCH: RefCell<BytesMut> = RefCell::default();
}

/// What all copies of one message share: destination, headers and body as they stand on the wire,
/// encoded once per version of STOMP and shared.
///
/// A MESSAGE to one subscription is its command, the headers that are the subscription's own
/// (`subscription`, `message-id`, `ack`), and then this [`tail`](Self::tail). It is held in a
/// right-sized buffer of its own, never in the one that it was read into, so it can be kept for as
/// long as is needed. Cloning costs a reference count.
///
/// ```
/// use stompbox::frame::{SharedMessage, Version};
///
/// let message = SharedMessage::new("/topic/a", [("note", "a:b")], b"hi");
/// assert_eq!(
///     message.tail(Version::V1_2),
///     b"destination:/topic/a\nnote:a\\cb\ncontent-length:2\n\nhi\0",
/// );
/// assert_eq!(
///     message.tail(Version::V1_0),
///     b"destination:/topic/a\nnote:a:b\ncontent-length:2\n\nhi\0",
/// );
/// ```
#[derive(Clone)]
pub struct SharedMessage(Arc<Inner>);

struct Inner {
    /// The whole frame as STOMP 1.2 has it.
    newest: Encoded,
    body_length: usize,
    text: bool,
    /// Whether the head holds a `\`. If it does not, all versions write it alike.
    escaped: bool,
    older: [OnceLock<Encoded>; 2],
}

struct Encoded {
    bytes: Box<[u8]>,
    /// How many headers this version cannot represent.
    omitted: usize,
}

/// What stands in front of the tail.
const COMMAND_LINE: usize = "MESSAGE\n".len();

impl SharedMessage {
    /// Encodes a message. Headers called `destination` or `content-length` must not be among
    /// `headers`: both are written here.
    pub fn new<N, V>(
        destination: &str,
        headers: impl IntoIterator<Item = (N, V)>,
        body: &[u8],
    ) -> Self
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        Self::encoding(destination, body, |encoder| put_headers(encoder, headers))
    }

    /// Encodes a message with headers of a frame that was decoded: those with well-known names are
    /// written without another look at the name.
    pub(crate) fn with_headers_of<'a>(
        destination: &str,
        headers: impl Iterator<Item = Header<'a>>,
        body: &[u8],
    ) -> Self {
        Self::encoding(destination, body, |encoder| {
            for header in headers {
                match header.known() {
                    Some(known) => encoder.header(known, &header.value()),
                    None => encoder.header(header.name(), &header.value()),
                };
            }
        })
    }

    fn encoding(destination: &str, body: &[u8], put: impl FnOnce(&mut Encoder<'_>)) -> Self {
        let newest = encode(Version::V1_2, destination, body, put);
        let head = newest.bytes.len() - body.len() - 1;
        let escaped = memchr(b'\\', newest.bytes.get(..head).unwrap_or_default()).is_some();
        Self(Arc::new(Inner {
            newest,
            body_length: body.len(),
            text: is_utf8(body),
            escaped,
            older: [OnceLock::new(), OnceLock::new()],
        }))
    }

    /// A message from a [`tail`](Self::tail) in STOMP 1.2 that another node has written: without
    /// encoding it anew. `None` where it is none, or is to another destination, or has a header that
    /// only a server says to a subscriber.
    #[cfg(feature = "redis")]
    pub(crate) fn from_tail(destination: &str, tail: &[u8]) -> Option<Self> {
        let bytes: Box<[u8]> = [b"MESSAGE\n", tail].concat().into();
        let limits =
            Limits::default().with_head(usize::MAX).with_headers(usize::MAX).with_body(usize::MAX);
        let parsed = FrameRef::parse(&bytes, Version::V1_2, &limits, Leniency::strict());
        let (frame, read) = parsed.ok().flatten()?;
        let known = frame.headers().get("destination").as_deref() == Some(destination)
            && !frame.headers().entries().filter_map(|it| it.known()).any(is_said_by_a_server);
        if !known || read != bytes.len() {
            return None;
        }
        let body_length = frame.body().len();
        let text = is_utf8(frame.body());
        let escaped = memchr(b'\\', bytes.get(..bytes.len() - body_length)?).is_some();
        Some(Self(Arc::new(Inner {
            newest: Encoded { bytes, omitted: 0 },
            body_length,
            text,
            escaped,
            older: [OnceLock::new(), OnceLock::new()],
        })))
    }

    /// The frame from its `destination` header on, to its NUL, as this version writes it.
    pub fn tail(&self, version: Version) -> &[u8] {
        self.encoded(version).bytes.get(COMMAND_LINE..).unwrap_or_default()
    }

    /// How many headers are left out because this version cannot represent them.
    pub fn omitted(&self, version: Version) -> usize {
        self.encoded(version).omitted
    }

    /// The body, without the NUL.
    pub fn body(&self) -> &[u8] {
        let end = self.0.newest.bytes.len() - 1;
        self.0.newest.bytes.get(end - self.0.body_length..end).unwrap_or_default()
    }

    /// Whether the body is UTF-8, and so the whole frame is: it can then travel in a WebSocket
    /// message of text (RFC 6455 §5.6).
    pub fn is_text(&self) -> bool {
        self.0.text
    }

    /// Destination, headers and body as a MESSAGE without the headers of any subscription.
    pub fn frame(&self) -> Option<FrameRef<'_>> {
        let limits =
            Limits::default().with_head(usize::MAX).with_headers(usize::MAX).with_body(usize::MAX);
        let bytes = &self.0.newest.bytes;
        let parsed = FrameRef::parse(bytes, Version::V1_2, &limits, Leniency::strict());
        // What the encoder wrote is a frame; if it were not, having none is better than a panic.
        parsed.ok().flatten().map(|(frame, _)| frame)
    }

    /// How many bytes it takes in memory.
    pub fn size(&self) -> usize {
        let older = self.0.older.iter().filter_map(OnceLock::get);
        let encoded = older.chain([&self.0.newest]).map(|encoded| encoded.bytes.len());
        size_of::<Inner>() + encoded.sum::<usize>()
    }

    fn encoded(&self, version: Version) -> &Encoded {
        let [oldest, middle] = &self.0.older;
        match version {
            _ if !self.0.escaped => &self.0.newest,
            Version::V1_2 => &self.0.newest,
            Version::V1_1 => middle.get_or_init(|| self.encode_as(version)),
            Version::V1_0 => oldest.get_or_init(|| self.encode_as(version)),
        }
    }

    fn encode_as(&self, version: Version) -> Encoded {
        let frame = self.frame();
        let headers = frame.iter().flat_map(|frame| frame.headers().iter());
        let mut destination = None;
        let others: Vec<_> = headers
            .filter(|(name, value)| {
                let first = destination.is_none() && name == "destination";
                if first {
                    destination = Some(value.clone());
                }
                !first && name != "content-length"
            })
            .collect();
        let destination = destination.unwrap_or_default();
        let mut encoded = encode(version, &destination, self.body(), |encoder| {
            put_headers(encoder, others);
        });
        // What no version can represent was left out before.
        encoded.omitted += self.0.newest.omitted;
        encoded
    }
}

/// Whether octets are UTF-8: most are ASCII, for which it is enough to look at one bit of each.
fn is_utf8(octets: &[u8]) -> bool {
    octets.is_ascii() || std::str::from_utf8(octets).is_ok()
}

fn put_headers<N: AsRef<str>, V: AsRef<str>>(
    encoder: &mut Encoder<'_>,
    headers: impl IntoIterator<Item = (N, V)>,
) {
    for (name, value) in headers {
        encoder.header(name.as_ref(), value.as_ref());
    }
}

fn encode(
    version: Version,
    destination: &str,
    body: &[u8],
    put_headers: impl FnOnce(&mut Encoder<'_>),
) -> Encoded {
    SCRATCH.with(|scratch| {
        // Headers may be the caller's code, which may encode another message meanwhile.
        let mut scratch = scratch.try_borrow_mut();
        let mut own = BytesMut::new();
        let out = scratch.as_deref_mut().unwrap_or(&mut own);
        out.clear();
        let mut encoder = Encoder::new(out, version, Command::Message);
        encoder.header(HeaderName::Destination, destination);
        put_headers(&mut encoder);
        let omitted = encoder.finish(body);
        let bytes = Box::from(&out[..]);
        if out.capacity() > KEPT_SCRATCH {
            *out = BytesMut::new();
        }
        Encoded { bytes, omitted }
    })
}

/// What a server says of a delivery, and nobody else.
#[cfg(feature = "redis")]
fn is_said_by_a_server(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::Subscription
            | HeaderName::MessageId
            | HeaderName::Ack
            | HeaderName::Token
            | HeaderName::Gap
            | HeaderName::Redelivered
            | HeaderName::DeliveryCount
    )
}

impl fmt::Debug for SharedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMessage")
            .field("body_bytes", &self.0.body_length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_escapes_in_its_own_way() {
        let headers = [("a:b", "c\\d"), ("cr", "x\ry"), ("lf", "x\ny"), ("end", "x\r")];
        let message = SharedMessage::new("/topic/a:b", headers, b"");
        let text = |version| String::from_utf8(message.tail(version).to_vec()).unwrap();
        assert_eq!(
            text(Version::V1_2),
            "destination:/topic/a\\cb\na\\cb:c\\\\d\ncr:x\\ry\nlf:x\\ny\nend:x\\r\n\n\0"
        );
        assert_eq!(
            text(Version::V1_1),
            "destination:/topic/a\\cb\na\\cb:c\\\\d\ncr:x\ry\nlf:x\\ny\n\n\0"
        );
        assert_eq!(message.omitted(Version::V1_1), 1);
        assert_eq!(text(Version::V1_0), "destination:/topic/a:b\ncr:x\ry\n\n\0");
        assert_eq!(message.omitted(Version::V1_0), 3);
    }

    #[test]
    fn without_escapes_all_versions_share_one_encoding() {
        let message = SharedMessage::new("/topic/a", [("b", "c")], b"{}");
        let [oldest, _, newest] = Version::ALL.map(|version| message.tail(version).as_ptr());
        assert_eq!(oldest, newest);
        assert_eq!(message.body(), b"{}");
    }

    #[test]
    fn a_body_that_is_not_utf8_is_not_text() {
        let none: [(&str, &str); 0] = [];
        assert!(SharedMessage::new("/a", none, "ü\0".as_bytes()).is_text());
        assert!(!SharedMessage::new("/a", none, &[0xFF]).is_text());
    }
}
