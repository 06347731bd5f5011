//! The owned frame.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::encoder::{END_OF_HEAD, put_end_of_head};
use super::escape::{self, Escaping};
use super::layout::{Layout, offset};
use super::octets::Octets;
use super::verbatim::Verbatim;
use super::{Command, Encoder, HeaderKey, HeaderName, Headers, Version};

/// How much of a body `Debug` shows, in octets.
const SHOWN_BODY: usize = 256;

/// A frame that owns its bytes.
///
/// A decoded frame shares the buffer it was read into: one [`Bytes`] and a table of offsets, with
/// no copy of the body and no allocation per header (the table is on the heap only from the 17th
/// header on, or where the head exceeds 64 KiB or a name 255 octets). Whoever keeps it longer than the batch it came
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
    /// The frame on the wire; what it was told in clear text stands there in clear text.
    bytes: Octets,
    layout: Layout,
}

impl Frame {
    /// A frame without headers and without a body.
    #[inline]
    pub fn new(command: Command) -> Self {
        Self { bytes: Octets::begun(command.line()), layout: Layout::of_command(command) }
    }

    pub(super) fn from_parts(bytes: Bytes, layout: Layout) -> Self {
        Self { bytes: Octets::Shared(bytes), layout }
    }

    /// Adds a header behind those that there are. What a version cannot represent is found out
    /// when the frame is encoded.
    ///
    /// A `content-length` is never needed: the encoder computes it, whatever is given here.
    #[inline]
    #[must_use]
    pub fn with_header<K: HeaderKey>(mut self, name: K, value: impl AsRef<str>) -> Self {
        self.add_header(name.as_text(), name.known(), value.as_ref());
        self
    }

    /// Sets the body.
    ///
    /// Only SEND, MESSAGE and ERROR carry one (STOMP 1.2, "Body"); peers may refuse it elsewhere.
    /// A frame holds up to 4 GiB.
    #[inline]
    #[must_use]
    pub fn with_body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.set_body(body.as_ref());
        self
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

    /// The body; that of a decoded frame shares the frame's bytes, that of one that was built is
    /// copied.
    pub fn body_bytes(&self) -> Bytes {
        self.bytes.share(self.body())
    }

    /// The same frame in a right-sized buffer of its own, for what outlives the batch it was read
    /// with.
    #[must_use]
    pub fn compact(self) -> Self {
        let bytes = Octets::Shared(Bytes::copy_from_slice(&self.bytes));
        Self { bytes, layout: self.layout }
    }

    /// How many octets [`encode_into`](Self::encode_into) writes.
    pub fn encoded_len(&self, version: Version) -> usize {
        let lines = match Verbatim::of(&self.layout, &self.bytes) {
            Verbatim::Frame(bytes, end) => return bytes.len() + end.len(),
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
            Verbatim::Frame(bytes, end) => {
                out.reserve(bytes.len() + end.len());
                out.extend_from_slice(bytes);
                out.extend_from_slice(end);
                0
            }
            Verbatim::Lines(lines) => {
                out.reserve(Encoder::frame_len(self.command(), lines.len(), self.body().len()));
                Encoder::new(out, version, self.command()).lines(lines).finish(self.body())
            }
            Verbatim::Nothing => {
                let lines = self.lines_len(version);
                out.reserve(Encoder::frame_len(self.command(), lines, self.body().len()));
                self.encode_headers(version, out).finish(self.body())
            }
        }
    }

    /// Writes what stands in front of the body, as [`encode_into`](Self::encode_into) does, for
    /// those who write vectored: [`body`](Self::body) and one NUL follow from elsewhere.
    ///
    /// ```
    /// use std::io::IoSlice;
    ///
    /// use bytes::BytesMut;
    /// use stompbox::frame::{Command, Frame, Version};
    ///
    /// let frame = Frame::new(Command::Send).with_header("destination", "/topic/a").with_body("hi");
    /// let mut head = BytesMut::new();
    /// frame.encode_head_into(Version::V1_2, &mut head);
    /// assert_eq!(&head[..], b"SEND\ndestination:/topic/a\ncontent-length:2\n\n");
    /// let parts = [&head[..], frame.body(), b"\0"].map(IoSlice::new);
    /// # let _ = parts;
    /// ```
    pub fn encode_head_into(&self, version: Version, out: &mut BytesMut) -> usize {
        let body = self.body().len();
        match Verbatim::of(&self.layout, &self.bytes) {
            Verbatim::Frame(bytes, end) => {
                let head = bytes.get(..self.layout.body_start as usize).unwrap_or(bytes);
                out.extend_from_slice(head);
                out.extend_from_slice(end.strip_suffix(b"\0").unwrap_or_default());
                0
            }
            Verbatim::Lines(lines) => {
                Encoder::new(out, version, self.command()).lines(lines).finish_head(body)
            }
            Verbatim::Nothing => self.encode_headers(version, out).finish_head(body),
        }
    }

    fn add_header(&mut self, name: &str, known: Option<HeaderName>, value: &str) {
        if self.layout.escaping != Escaping::None || self.layout.padded {
            self.clear_headers();
        }
        let Self { bytes, layout } = self;
        let (name, value) = (name.as_bytes(), value.as_bytes());
        let at = layout.headers.end as usize;
        let grown = name.len() + value.len() + 2;
        let own = bytes.own(grown);
        let behind = own.len() - at;
        own.extend_from_slice(name);
        own.push(b':');
        own.extend_from_slice(value);
        own.push(b'\n');
        if behind > 0 {
            move_line(own, at, behind);
        }
        layout.headers.push(name.len(), at + grown - 1, known);
        let plain_name = match known {
            Some(known) => known != HeaderName::ContentLength,
            None => !name.is_empty() && escape::is_plain(name),
        };
        layout.verbatim &= plain_name && escape::is_plain(value);
        let grown = offset(grown);
        layout.headers.end += grown;
        layout.body_start += grown;
        layout.body_end += grown;
    }

    fn set_body(&mut self, body: &[u8]) {
        let Self { bytes, layout } = self;
        let own = bytes.own(END_OF_HEAD + body.len() + 1);
        own.truncate(layout.headers.end as usize);
        // Behind the headers, even if there is one among them: the encoder goes by its own.
        put_end_of_head(own, body.len());
        layout.body_start = offset(own.len());
        own.extend_from_slice(body);
        layout.body_end = offset(own.len());
        own.push(0);
    }

    /// Turns the headers into clear text, neither escaped nor padded, so that lines in clear text
    /// can be added.
    #[cold]
    fn clear_headers(&mut self) {
        let headers = self.headers().iter();
        let clear = headers
            .fold(Self::new(self.command()), |frame, (name, value)| frame.with_header(name, value));
        *self = clear.with_body(self.body());
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

    /// Writes command line and header lines, one by one.
    fn encode_headers<'a>(&self, version: Version, out: &'a mut BytesMut) -> Encoder<'a> {
        let mut encoder = Encoder::new(out, version, self.command());
        for header in self.headers().entries() {
            match header.known() {
                Some(known) => encoder.header(known, &header.value()),
                None => encoder.header(header.name(), &header.value()),
            };
        }
        encoder
    }
}

/// Moves the line at the end of `bytes` to `at`, in front of the blank line and the body that it was
/// written behind, which take `behind` octets.
#[cold]
fn move_line(bytes: &mut [u8], at: usize, behind: usize) {
    if let Some(moved) = bytes.get_mut(at..) {
        moved.rotate_left(behind);
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
