//! The grammar of a frame as nom parsers (STOMP 1.2, "Augmented BNF").
//!
//! Everything that reads STOMP goes through these. A parser that looks for a delimiter which is not
//! there yet answers `Incomplete` (nom's streaming convention), and the scan that called it goes on
//! behind what was searched. The others get one whole line or value.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::combinator::{all_consuming, map, map_opt, rest, verify};
use nom::error::{ErrorKind, ParseError};
use nom::multi::many0_count;
use nom::sequence::pair;
use nom::{Err, IResult, Needed, Parser};

use super::{Command, search};

/// What a parser expected and did not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Command,
    Colon,
    HeaderName,
    Digits,
    Delimiter,
}

pub(super) type Parsed<'a, T> = IResult<&'a [u8], T, Expected>;

impl ParseError<&[u8]> for Expected {
    fn from_error_kind(_: &[u8], kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::MapOpt => Self::Command,
            ErrorKind::Verify => Self::HeaderName,
            ErrorKind::TakeWhile1 | ErrorKind::Eof => Self::Digits,
            _ => Self::Delimiter,
        }
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// A line without its LF; `Incomplete` while the LF is not there. A CR before the LF is left in.
///
/// The first `searched` octets are known to hold no LF.
#[inline]
pub(super) fn line(searched: usize) -> impl Fn(&[u8]) -> Parsed<'_, &[u8]> {
    move |input| {
        let found = search::near(b'\n', input.get(searched..).unwrap_or_default());
        ended(input, found.map(|at| searched + at)).ok_or(Err::Incomplete(Needed::Unknown))
    }
}

/// A body that ends at the first NUL, without it; `Incomplete` while the NUL is not there.
#[inline]
pub(super) fn body(input: &[u8]) -> Parsed<'_, &[u8]> {
    ended(input, search::far(0, input)).ok_or(Err::Incomplete(Needed::Unknown))
}

/// The NUL after a body whose length was known.
pub(super) fn nul(input: &[u8]) -> Parsed<'_, &[u8]> {
    tag("\0").parse(input)
}

/// How many octets of ends of line stand in front of a frame.
#[inline]
pub(super) fn ends_of_line(input: &[u8], cr_lf: bool) -> usize {
    if !matches!(input, [b'\n' | b'\r', ..]) {
        return 0;
    }
    let end_of_line = |input| {
        if cr_lf { alt((tag("\n"), tag("\r\n"))).parse(input) } else { tag("\n").parse(input) }
    };
    let behind = search::behind(b'\n', input);
    let rest: Parsed<'_, usize> = many0_count(end_of_line).parse(behind);
    rest.map_or(0, |(rest, _)| input.len() - rest.len())
}

/// A whole command line.
pub(super) fn command_line(line: &[u8]) -> Parsed<'_, Command> {
    map_opt(rest, Command::parse).parse(line)
}

/// A whole header line, split at its first colon into name and value as they are.
#[inline]
pub(super) fn header_line(line: &[u8]) -> Parsed<'_, (&[u8], &[u8])> {
    pair(verify(header_name, |name: &[u8]| !name.is_empty()), rest).parse(line)
}

/// The whole value of `content-length`. A number too large for 64 bits is as good as the largest.
pub(super) fn content_length(value: &[u8]) -> Parsed<'_, u64> {
    let digits = take_while1(|octet: u8| octet.is_ascii_digit());
    map(all_consuming(digits), |digits: &[u8]| {
        digits.iter().fold(0_u64, |number, digit| {
            number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        })
    })
    .parse(value)
}

/// What stands before the first colon of a whole line; the colon is consumed.
#[inline]
fn header_name(line: &[u8]) -> Parsed<'_, &[u8]> {
    ended(line, search::near(b':', line)).ok_or(Err::Error(Expected::Colon))
}

/// What stands behind the delimiter, and before it.
#[inline]
fn ended(input: &[u8], delimiter: Option<usize>) -> Option<(&[u8], &[u8])> {
    let (before, rest) = input.split_at_checked(delimiter?)?;
    Some((rest.get(1..)?, before))
}

/// Counts how many octets are looked at, to show that it is a constant number of times each.
pub(super) mod visits {
    #[cfg(test)]
    thread_local! {
        static VISITS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// Notes that `octets` are visited once more. Nothing outside of tests.
    #[inline]
    pub(in crate::frame) fn count(octets: usize) {
        #[cfg(test)]
        VISITS.with(|visits| visits.set(visits.get() + octets));
        #[cfg(not(test))]
        let _ = octets;
    }

    /// How many visits were counted since the last call on this thread.
    #[cfg(test)]
    pub(in crate::frame) fn take() -> usize {
        VISITS.with(std::cell::Cell::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_its_lf() {
        assert_eq!(line(0)(b"SEND\nfoo"), Ok((&b"foo"[..], &b"SEND"[..])));
        assert_eq!(line(0)(b"a\rb\r\n"), Ok((&b""[..], &b"a\rb\r"[..])));
        assert_eq!(line(3)(b"SEND\n\n"), Ok((&b"\n"[..], &b"SEND"[..])));
        for searched in 0..6 {
            assert!(matches!(line(searched)(b"SEND\r"), Err(Err::Incomplete(_))));
        }
    }

    #[test]
    fn a_header_splits_at_its_first_colon() {
        let (_, header) = header_line(b"host: localhost:15674 ").expect("a header");
        assert_eq!(header, (&b"host"[..], &b" localhost:15674 "[..]));
        assert_eq!(header_line(b"host"), Err(Err::Error(Expected::Colon)));
        assert_eq!(header_line(b":value"), Err(Err::Error(Expected::HeaderName)));
    }

    #[test]
    fn content_length_is_digits_only() {
        let parse = |value| content_length(value).map(|(_, number)| number);
        assert_eq!(parse(b"0012"), Ok(12));
        assert_eq!(parse(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse(b"99999999999999999999999"), Ok(u64::MAX));
        for value in [&b""[..], b" 1", b"1 ", b"+1", b"-1", b"0x1", b"1.0"] {
            assert_eq!(parse(value), Err(Err::Error(Expected::Digits)), "{value:?}");
        }
    }

    #[test]
    fn ends_of_line_are_counted() {
        assert_eq!(ends_of_line(b"\n\n\r\nSEND", true), 4);
        assert_eq!(ends_of_line(b"\n\n\r\nSEND", false), 2);
        assert_eq!(ends_of_line(b"\r", true), 0);
        assert_eq!(ends_of_line(b"", true), 0);
    }
}
