//! The headers of a frame, as a view.

use std::borrow::Cow;
use std::fmt;

use super::escape::Escaping;
use super::header_table::HeaderLine;
use super::layout::Layout;
use super::{HeaderKey, HeaderName};

/// The headers of a [`Frame`](super::Frame) or [`FrameRef`](super::FrameRef), in the order in which
/// they stand.
///
/// A view that is cheap to copy. Names and values come without escapes; they are copied only where
/// a `\` stands in them. If a header is repeated, the first one counts (STOMP 1.2, "Repeated Header
/// Entries").
///
/// ```
/// use stompbox::frame::{Command, Frame};
///
/// let frame = Frame::new(Command::Message).with_header("foo", "World").with_header("foo", "Hello");
/// let headers = frame.headers();
/// assert_eq!(headers.get("foo").as_deref(), Some("World"));
/// assert_eq!(headers.get_all("foo").collect::<Vec<_>>(), ["World", "Hello"]);
/// ```
///
/// What was not copied cannot outlive the frame:
///
/// ```compile_fail,E0505
/// use stompbox::frame::{Command, Frame};
///
/// let frame = Frame::new(Command::Message).with_header("foo", "World");
/// let value = frame.headers().get("foo");
/// drop(frame);
/// println!("{value:?}");
/// ```
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    layout: &'a Layout,
}

impl<'a> Headers<'a> {
    pub(super) fn new(bytes: &'a [u8], layout: &'a Layout) -> Self {
        Self { bytes, layout }
    }

    /// The value of the first header called `name`.
    pub fn get<K: HeaderKey>(self, name: K) -> Option<Cow<'a, str>> {
        match name.known() {
            Some(known) => {
                let index = self.layout.headers.find(known, 0)?;
                let line = self.layout.headers.line(index, self.bytes)?;
                Some(self.header(line).value())
            }
            None => self.get_all(name).next(),
        }
    }

    /// The values of all headers called `name`.
    pub fn get_all<K: HeaderKey>(self, name: K) -> impl Iterator<Item = Cow<'a, str>> {
        let known = name.known();
        self.entries()
            .filter(move |header| match known {
                Some(_) => header.known() == known,
                None => header.known().is_none() && header.name() == name.as_text(),
            })
            .map(|header| header.value())
    }

    /// Whether there is a header called `name`.
    pub fn contains<K: HeaderKey>(self, name: K) -> bool {
        match name.known() {
            Some(known) => self.layout.headers.find(known, 0).is_some(),
            None => self.entries().any(|header| header.name() == name.as_text()),
        }
    }

    /// Names and values.
    pub fn iter(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.entries().map(|header| (header.name(), header.value()))
    }

    /// The headers, each with its well-known name if it has one. Nothing is unescaped until it is
    /// asked for.
    pub fn entries(self) -> impl Iterator<Item = Header<'a>> {
        self.layout.headers.lines(self.bytes).map(move |line| self.header(line))
    }

    /// How many headers there are; repeated ones count each time.
    pub fn len(self) -> usize {
        self.layout.headers.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn header(self, line: HeaderLine) -> Header<'a> {
        let Layout { escaping, padded, .. } = *self.layout;
        Header { bytes: self.bytes, line, escaping, padded }
    }
}

/// Secrets are hidden.
impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries().map(|header| (header.name(), header.shown()))).finish()
    }
}

/// Equal if they have the same names and values in the same order. `content-length` does not
/// count: it is a matter of how the frame was written.
impl PartialEq for Headers<'_> {
    fn eq(&self, other: &Self) -> bool {
        let content = |header: &Header<'_>| header.known() != Some(HeaderName::ContentLength);
        let pair = |header: Header<'_>| (header.name().into_owned(), header.value().into_owned());
        self.entries().filter(content).map(pair).eq(other.entries().filter(content).map(pair))
    }
}

impl Eq for Headers<'_> {}

/// One header of [`Headers::entries`].
#[derive(Clone, Copy)]
pub struct Header<'a> {
    bytes: &'a [u8],
    line: HeaderLine,
    escaping: Escaping,
    padded: bool,
}

impl<'a> Header<'a> {
    /// The well-known name that this header has.
    pub fn known(&self) -> Option<HeaderName> {
        self.line.known
    }

    /// The name, without escapes.
    pub fn name(&self) -> Cow<'a, str> {
        self.text(self.line.name(self.bytes, self.padded))
    }

    /// The value, without escapes.
    pub fn value(&self) -> Cow<'a, str> {
        self.text(self.line.value(self.bytes, self.padded))
    }

    /// The value, unless it is a secret. Clients write `Authorization` as they do in HTTP.
    pub(super) fn shown(&self) -> Cow<'a, str> {
        let known = HeaderName::parse(&self.name().to_ascii_lowercase());
        if known.is_some_and(HeaderName::is_secret) {
            Cow::Borrowed("(hidden)")
        } else {
            self.value()
        }
    }

    /// The decoder has checked that the head is UTF-8, and it is cut at ASCII only.
    fn text(&self, octets: &'a [u8]) -> Cow<'a, str> {
        self.escaping.unescape(std::str::from_utf8(octets).unwrap_or_default())
    }
}

/// A secret is hidden.
impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?}", self.name(), self.shown())
    }
}
