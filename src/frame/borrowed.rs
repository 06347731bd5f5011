//! The borrowed frame.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::layout::Layout;
use super::owned::debug;
use super::rules::Rules;
use super::scan::{Progress, Scan};
use super::{Command, DecodeError, Frame, HeaderKey, Headers, Leniency, Limits, Version, parse};

/// A complete frame in a borrowed slice, looked at without any allocation.
///
/// Its table of headers is inline, as that of a [`Frame`]. Only what is beyond the first 16 headers,
/// the first 64 KiB of the head or 255 octets of a name takes one on the heap.
///
/// ```
/// use stompbox::frame::{Command, FrameRef, Leniency, Limits, Version};
///
/// let wire = b"\nMESSAGE\nsubscription:0\n\nhello\0\n";
/// let parsed = FrameRef::parse(wire, Version::V1_2, &Limits::default(), Leniency::strict())?;
/// let (frame, consumed) = parsed.expect("the frame is complete");
/// assert_eq!(frame.command(), Command::Message);
/// assert_eq!(frame.header("subscription").as_deref(), Some("0"));
/// assert_eq!(frame.body(), b"hello");
/// assert_eq!(&wire[consumed..], b"\n");
/// # Ok::<(), stompbox::frame::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct FrameRef<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> FrameRef<'a> {
    /// Parses the first frame of `input` under the rules of `version`. Returns it with the number
    /// of octets consumed: ends of line in front of it, and the frame up to its NUL. `None` if the
    /// frame is not complete, or if there are only ends of line.
    pub fn parse(
        input: &'a [u8],
        version: Version,
        limits: &Limits,
        leniency: Leniency,
    ) -> Result<Option<(Self, usize)>, DecodeError> {
        let rules = Rules { version, limits: *limits, leniency };
        let start = parse::ends_of_line(input, rules.cr_lf());
        let bytes = input.get(start..).unwrap_or_default();
        let mut frame = Self { bytes, layout: Layout::default() };
        let progress = Scan::new().advance(&mut frame.layout, bytes, &rules);
        match progress.map_err(|error| error.in_stream(start as u64))? {
            Progress::Complete(len) => {
                frame.bytes = bytes.get(..len).unwrap_or_default();
                Ok(Some((frame, start + len)))
            }
            // Ends of line stand only in front of `bytes`.
            Progress::Incomplete | Progress::EndOfLine(_) => Ok(None),
        }
    }

    /// The command.
    pub fn command(&self) -> Command {
        self.layout.command
    }

    /// The headers.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.bytes, &self.layout)
    }

    /// The value of the first header called `name`.
    pub fn header<K: HeaderKey>(&self, name: K) -> Option<Cow<'_, str>> {
        self.headers().get(name)
    }

    /// The body; empty if there is none.
    pub fn body(&self) -> &'a [u8] {
        self.layout.body(self.bytes)
    }

    /// An owned copy.
    pub fn to_frame(&self) -> Frame {
        Frame::from_parts(Bytes::copy_from_slice(self.bytes), self.layout.clone())
    }
}

/// Readable, without secrets, and with a bounded part of the body.
impl fmt::Debug for FrameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "FrameRef", self.command(), self.headers(), self.body())
    }
}
