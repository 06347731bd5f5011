//! Whether the bytes of a frame can be written as they are.
//!
//! Most frames hold nothing that any version escapes, so that their lines are the same in all of
//! them. One pass over the lines tells, and one copy writes them.

use memchr::{memchr_iter, memchr3};

use super::layout::Layout;
use super::{HeaderName, parse};

/// How much of a frame's bytes can be written as it is, in every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verbatim<'a> {
    /// All of it, from the command line to the NUL; of a frame that was built without a body, the
    /// blank line and the NUL come behind it.
    Frame(&'a [u8], &'static [u8]),
    /// The header lines, none of which is a `content-length`.
    Lines(&'a [u8]),
    /// Nothing: header by header.
    Nothing,
}

impl<'a> Verbatim<'a> {
    /// What can be written as it is of the frame in `bytes`.
    pub(super) fn of(layout: &Layout, bytes: &'a [u8]) -> Self {
        let (start, end) = (usize::from(layout.headers.start), layout.headers.end as usize);
        if layout.verbatim {
            return Self::Frame(bytes, if bytes.len() == end { b"\n\0" } else { b"" });
        }
        let lines = bytes.get(start..end).unwrap_or_default();
        if layout.padded || !is_plain(lines, layout, bytes) {
            return Self::Nothing;
        }
        let body = layout.body(bytes).len();
        let mut lengths = layout
            .headers
            .lines(bytes)
            .filter(|line| line.known == Some(HeaderName::ContentLength))
            .map(|line| parse::content_length(line.value(bytes, false)));
        let as_the_encoder_has_it = match lengths.next() {
            None if body > 0 => return Self::Lines(lines),
            None => true,
            Some(Ok((_, length))) => body > 0 && length == body as u64 && lengths.next().is_none(),
            Some(Err(_)) => false,
        };
        match (as_the_encoder_has_it, is_whole(layout, bytes)) {
            (true, true) => Self::Frame(bytes, b""),
            (true, false) if body == 0 => Self::Lines(lines),
            _ => Self::Nothing,
        }
    }
}

/// Whether each of `lines` is a name, one colon, a value and LF, and nothing is to be escaped in
/// any version, or left out.
fn is_plain(lines: &[u8], layout: &Layout, bytes: &[u8]) -> bool {
    let headers = layout.headers.len();
    memchr3(0, b'\r', b'\\', lines).is_none()
        && memchr_iter(b'\n', lines).count() == headers
        && memchr_iter(b':', lines).count() == headers
        && layout.headers.lines(bytes).all(|line| line.start < line.colon)
}

/// Whether `bytes` are the frame on the wire, with LF for each end of line.
fn is_whole(layout: &Layout, bytes: &[u8]) -> bool {
    usize::from(layout.headers.start) == layout.command.as_str().len() + 1
        && layout.body_start == layout.headers.end + 1
        && layout.body_end as usize + 1 == bytes.len()
}
