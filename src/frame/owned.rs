//! The owned frame.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::escape::Escaping;
use super::layout::{HeaderLine, Layout, offset};
use super::verbatim::Verbatim;
use super::{Command, Encoder, HeaderKey, Headers, Version};

/// How much of a body `Debug` shows, in octets.
const SHOWN_BODY: usize = 256;

/// A frame that owns its bytes.
///
/// A decoded frame shares the buffer it was read into: one [`Bytes`] and a table of offsets, with
/// no copy of the body and no allocation per header. Whoever keeps it longer than the batch it came
/// with takes a [`compact`](Self::compact) copy, so that a small frame never pins a large buffer.
///
/// ```
/// use bytes::BytesMut;
/// use stompbox::frame::{Command, Frame, Version};
///
/// let frame = Frame::new(Command::Send)
///     .with_header("destination", "/topic/a")
///     .with_body("hello");
///
/// let mut wire = BytesMut::new();
/// let omitted = frame.encode_into(Version::V1_2, &mut wire);
/// assert_eq!(&wire[..], b"SEND\ndestination:/topic/a\ncontent-length:5\n\nhello\0");
/// assert_eq!(omitted, 0);
/// ```
#[derive(Clone)]
pub struct Frame {
    bytes: Bytes,
    layout: Layout,
}

impl Frame {
    /// A frame without headers and without a body.
    pub fn new(command: Command) -> Self {
        Self { bytes: Bytes::new(), layout: Layout::new(command) }
    }

    pub(super) fn from_parts(bytes: Bytes, layout: Layout) -> Self {
        Self { bytes, layout }
    }

    /// A frame to be filled in by a decoder.
    pub(super) fn blank() -> Self {
        Self::new(Command::Send)
    }

    /// Where a decoder notes what it finds.
    pub(super) fn layout_mut(&mut self) -> &mut Layout {
        &mut self.layout
    }

    /// Gives the frame the bytes that its layout is of.
    pub(super) fn set_bytes(&mut self, bytes: Bytes) {
        self.bytes = bytes;
    }

    /// Adds a header behind those that there are. What a version cannot represent is found out
    /// when the frame is encoded.
    ///
    /// A `content-length` is never needed: the encoder computes it, whatever is given here.
    #[must_use]
    pub fn with_header<K: HeaderKey>(self, name: K, value: impl AsRef<str>) -> Self {
        let Self { bytes, mut layout } = self.in_clear();
        let at = layout.lines_end as usize;
        let behind = Bytes::copy_from_slice(bytes.get(at..).unwrap_or_default());
        let mut bytes = into_mut(bytes);
        bytes.truncate(at);
        bytes.extend_from_slice(name.as_text().as_bytes());
        let colon = bytes.len();
        bytes.extend_from_slice(b":");
        bytes.extend_from_slice(value.as_ref().as_bytes());
        let end = bytes.len();
        bytes.extend_from_slice(b"\n");
        layout.lines.push(HeaderLine {
            start: offset(at),
            colon: offset(colon),
            end: offset(end),
            known: name.known(),
        });
        layout.lines_end = offset(bytes.len());
        let grown = offset(bytes.len() - at);
        layout.body_start += grown;
        layout.body_end += grown;
        bytes.extend_from_slice(&behind);
        Self { bytes: bytes.freeze(), layout }
    }

    /// Sets the body.
    ///
    /// Only SEND, MESSAGE and ERROR carry one (STOMP 1.2, "Body"); peers may refuse it elsewhere.
    /// A frame holds up to 4 GiB.
    #[must_use]
    pub fn with_body(self, body: impl AsRef<[u8]>) -> Self {
        let Self { bytes, mut layout } = self;
        let mut bytes = into_mut(bytes);
        bytes.truncate(layout.lines_end as usize);
        layout.body_start = offset(bytes.len());
        bytes.extend_from_slice(body.as_ref());
        layout.body_end = offset(bytes.len());
        Self { bytes: bytes.freeze(), layout }
    }

    /// The command.
    pub fn command(&self) -> Command {
        self.layout.command
    }

    /// The headers. Those of a decoded frame include a `content-length` that it had.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.bytes, &self.layout)
    }

    /// The value of the first header called `name`.
    pub fn header<K: HeaderKey>(&self, name: K) -> Option<Cow<'_, str>> {
        self.headers().get(name)
    }

    /// The body; empty if there is none.
    pub fn body(&self) -> &[u8] {
        self.layout.body(&self.bytes)
    }

    /// The body, sharing this frame's bytes.
    pub fn body_bytes(&self) -> Bytes {
        self.bytes.slice_ref(self.body())
    }

    /// The same frame in a right-sized buffer of its own, for what outlives the batch it was read
    /// with.
    #[must_use]
    pub fn compact(self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), layout: self.layout }
    }

    /// How many octets [`encode_into`](Self::encode_into) writes.
    pub fn encoded_len(&self, version: Version) -> usize {
        let lines = match Verbatim::of(&self.layout, &self.bytes) {
            Verbatim::Frame(bytes) => return bytes.len(),
            Verbatim::Lines(lines) => lines.len(),
            Verbatim::Nothing => self.lines_len(version),
        };
        Encoder::frame_len(self.command(), lines, self.body().len())
    }

    /// Writes the frame behind what is in `out`, and returns how many headers were left out because
    /// `version` cannot represent them (see [`Encoder`]).
    ///
    /// A `content-length` is written wherever there is a body, whatever the frame's own says.
    pub fn encode_into(&self, version: Version, out: &mut BytesMut) -> usize {
        match Verbatim::of(&self.layout, &self.bytes) {
            Verbatim::Frame(bytes) => {
                out.extend_from_slice(bytes);
                0
            }
            Verbatim::Lines(lines) => {
                out.reserve(Encoder::frame_len(self.command(), lines.len(), self.body().len()));
                Encoder::new(out, version, self.command()).lines(lines).finish(self.body())
            }
            Verbatim::Nothing => self.encode_headers(version, out),
        }
    }

    /// The same frame with its headers in clear text, neither escaped nor padded, so that lines in
    /// clear text can be added.
    fn in_clear(self) -> Self {
        if self.layout.escaping == Escaping::None && !self.layout.padded {
            return self;
        }
        let clear = Self::new(self.command());
        let clear = self
            .headers()
            .iter()
            .fold(clear, |frame, (name, value)| frame.with_header(name, value));
        clear.with_body(self.body())
    }

    /// How many octets the header lines take, one by one and without `content-length`.
    fn lines_len(&self, version: Version) -> usize {
        let command = self.command();
        let headers = self.headers().entries();
        let lens = headers.filter_map(|header| {
            Encoder::header_len(version, command, &header.name(), &header.value())
        });
        lens.sum()
    }

    fn encode_headers(&self, version: Version, out: &mut BytesMut) -> usize {
        let lines = self.lines_len(version);
        out.reserve(Encoder::frame_len(self.command(), lines, self.body().len()));
        let mut encoder = Encoder::new(out, version, self.command());
        for header in self.headers().entries() {
            match header.known() {
                Some(known) => encoder.header(known, &header.value()),
                None => encoder.header(header.name(), &header.value()),
            };
        }
        encoder.finish(self.body())
    }
}

/// Readable, without secrets, and with a bounded part of the body.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "Frame", self.command(), self.headers(), self.body())
    }
}

/// Equal by content: command, headers in their order, body. How a frame was written, and its
/// `content-length`, do not count.
impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.command() == other.command()
            && self.headers() == other.headers()
            && self.body() == other.body()
    }
}

impl Eq for Frame {}

pub(super) fn debug(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    command: Command,
    headers: Headers<'_>,
    body: &[u8],
) -> fmt::Result {
    let shown = String::from_utf8_lossy(body.get(..SHOWN_BODY).unwrap_or(body));
    let mut debug = f.debug_struct(name);
    debug.field("command", &format_args!("{command}")).field("headers", &headers);
    if body.len() > SHOWN_BODY {
        debug.field("body", &format_args!("{shown:?}… ({} octets)", body.len()));
    } else {
        debug.field("body", &shown);
    }
    debug.finish()
}

/// The bytes to write to: the same ones if nobody shares them.
fn into_mut(bytes: Bytes) -> BytesMut {
    bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]))
}
