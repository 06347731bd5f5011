//! What can be wrong with the bytes of a frame.

use super::{Command, Version};

/// Why bytes are not a frame, and where.
///
/// As text it is a sentence that helps the peer that sent the bytes:
///
/// ```
/// use stompbox::frame::{Decoder, DecodeErrorKind, Leniency, Limits};
///
/// let mut decoder = Decoder::new(Limits::default(), Leniency::strict());
/// decoder.feed_slice(b"SEND\ndestination\n\n\0");
/// let error = decoder.next_frame().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "header line without a colon: \"destination\" (octet 5 of the stream, line 2 of the frame)",
/// );
/// assert_eq!(error.kind(), DecodeErrorKind::Malformed);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} (octet {} of the stream, line {} of the frame)", .0.fault, .0.offset, .0.line)]
pub struct DecodeError(Box<Inner>);

/// Boxed, so that errors weigh nothing in the results of the hot path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    offset: u64,
    line: u32,
    fault: Fault,
}

impl DecodeError {
    pub(super) fn new(offset: usize, line: usize, fault: Fault) -> Self {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        Self(Box::new(Inner { offset: offset as u64, line, fault }))
    }

    /// The same error in a stream in which the frame begins at octet `start`.
    pub(super) fn in_stream(mut self, start: u64) -> Self {
        self.0.offset += start;
        self
    }

    /// Where it went wrong: octets from the start of the stream (for
    /// [`FrameRef::parse`](super::FrameRef::parse), of the slice).
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// The line of the frame in which it went wrong; the command line is 1. For an error after the
    /// head it is the line in which the body begins.
    pub fn line(&self) -> u32 {
        self.0.line
    }

    /// What was wrong.
    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// Whether the frame was malformed, unsupported or over a limit.
    pub fn kind(&self) -> DecodeErrorKind {
        match self.0.fault {
            Fault::UnknownCommand { .. } => DecodeErrorKind::Unsupported,
            Fault::HeadTooLong { .. }
            | Fault::TooManyHeaders { .. }
            | Fault::BodyTooLong { .. } => DecodeErrorKind::OverLimit,
            _ => DecodeErrorKind::Malformed,
        }
    }
}

/// The kinds of [`DecodeError`], by what the peer has to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes break the rules of the version in use.
    Malformed,
    /// The bytes ask for something that STOMP does not have.
    Unsupported,
    /// The frame exceeds one of the [`Limits`](super::Limits).
    OverLimit,
}

/// What is wrong with a frame.
///
/// Text of the peer is quoted with escapes and cut to a few octets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The first line is no command of STOMP (STOMP 1.2, "Augmented BNF").
    #[error("unknown command \"{found}\"; commands are upper-case, such as SEND")]
    UnknownCommand {
        /// The start of the line.
        found: String,
    },
    /// A header line has no colon (STOMP 1.2, "Augmented BNF").
    #[error("header line without a colon: \"{found}\"")]
    MissingColon {
        /// The start of the line.
        found: String,
    },
    /// A line ends in CR LF, which ends lines since STOMP 1.2 only (STOMP 1.2, "STOMP Frames").
    #[error("a line ends in CR LF; lines of STOMP {version} end in LF")]
    CrLf {
        /// The version whose rules applied.
        version: Version,
    },
    /// A header line begins with its colon; a name has at least one octet (STOMP 1.2, "Augmented
    /// BNF").
    #[error("header line without a name before its colon")]
    EmptyHeaderName,
    /// The command line or the headers are not UTF-8 (STOMP 1.2, "Value Encoding").
    #[error("the head of a frame must be UTF-8")]
    InvalidUtf8,
    /// A NUL stands in the headers, where many peers take it for the end of the frame.
    #[error("NUL before the blank line that ends the headers")]
    NulInHead,
    /// A `\` in a header begins no escape of the version in use (STOMP 1.1 and 1.2, "Value
    /// Encoding").
    #[error("undefined escape \"{found}\" in a header of STOMP {version}")]
    UndefinedEscape {
        /// The `\` and what follows it.
        found: String,
        /// The version whose rules applied.
        version: Version,
    },
    /// The value of `content-length` is no decimal number (STOMP 1.2, "Header content-length").
    #[error("content-length must be a number of octets, not \"{found}\"")]
    InvalidContentLength {
        /// The start of the value.
        found: String,
    },
    /// Several `content-length` headers differ: where the frame ends is a matter of opinion.
    #[error("conflicting content-length headers: {first} and {other}")]
    ConflictingContentLength {
        /// The value of the first one, in octets.
        first: u64,
        /// The value of the one that differs, in octets.
        other: u64,
    },
    /// The octet after a body of `content-length` octets is not NUL (STOMP 1.2, "Header
    /// content-length").
    #[error("expected NUL after a body of {content_length} octets, found octet 0x{found:02x}")]
    MissingNul {
        /// What `content-length` says, in octets.
        content_length: usize,
        /// The octet in NUL's place.
        found: u8,
    },
    /// A frame other than SEND, MESSAGE and ERROR has a body (STOMP 1.2, "Body").
    #[error("{command} frames carry no body")]
    UnexpectedBody {
        /// The frame's command.
        command: Command,
    },
    /// Command line and headers take more octets than [`Limits::head`](super::Limits::head).
    #[error("the head of the frame exceeds the limit of {limit} octets")]
    HeadTooLong {
        /// The limit in octets.
        limit: usize,
    },
    /// There are more headers than [`Limits::headers`](super::Limits::headers).
    #[error("the frame exceeds the limit of {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// The body has, or is announced to have, more octets than
    /// [`Limits::body`](super::Limits::body).
    #[error("the body of the frame exceeds the limit of {limit} octets")]
    BodyTooLong {
        /// The limit in octets.
        limit: usize,
    },
}

/// How much of a peer's text an error quotes, in octets.
const QUOTED: usize = 48;

/// The start of `text`, fit for a log: printable ASCII as it is, everything else escaped.
pub(super) fn quote(text: &[u8]) -> String {
    let shown = text.get(..QUOTED).unwrap_or(text);
    let ellipsis = if shown.len() < text.len() { "…" } else { "" };
    format!("{}{ellipsis}", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short_and_printable() {
        assert_eq!(quote(b"a\"\x1b[2J\xff"), "a\\\"\\x1b[2J\\xff");
        let long = quote(&[b'\x01'; 1000]);
        assert!(long.len() < 5 * QUOTED, "{long}");
        assert!(long.ends_with('…'));
    }
}
