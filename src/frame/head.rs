//! What is checked of a head as a whole, once its blank line has come.

use memchr::{memchr, memchr_iter};

use super::error::quote;
use super::escape::Escaping;
use super::layout::Layout;
use super::parse::{self, visits};
use super::rules::Rules;
use super::{Command, DecodeError, Fault, HeaderName, Version, search};

/// A complete head: the octets from the command line to the blank line.
pub(super) struct Head<'a> {
    pub(super) octets: &'a [u8],
    pub(super) layout: &'a mut Layout,
    pub(super) rules: &'a Rules,
}

impl Head<'_> {
    /// Checks the octets, and notes in the layout how the headers are to be read, so that reading
    /// them cannot fail. Returns the length of the body if the head says it.
    pub(super) fn check(self) -> Result<Option<usize>, DecodeError> {
        let Self { octets, layout, rules } = self;
        let special =
            |octet| u8::from(octet == 0) | u8::from(octet == b'\\') | u8::from(octet >= 0x80);
        if search::any(octets, special) {
            check_special(octets, layout, rules)?;
        }
        if rules.leniency.padding() && version(layout, rules) == Version::V1_0 {
            trim_padding(octets, layout)?;
        }
        content_length(octets, layout, rules)
    }
}

/// The version that a frame is written in. The frames that settle the version say it themselves:
/// those of 1.0 do so by leaving the header out.
fn version(layout: &Layout, rules: &Rules) -> Version {
    let header = match layout.command {
        Command::Connect | Command::Stomp => HeaderName::AcceptVersion,
        Command::Connected => HeaderName::Version,
        _ => return rules.version,
    };
    let said = layout.headers.find(header, 0);
    said.map_or(Version::V1_0, |_| rules.version.max(Version::V1_1))
}

/// Takes padding off the names, so that those that are well known are known again.
#[cold]
fn trim_padding(octets: &[u8], layout: &mut Layout) -> Result<(), DecodeError> {
    layout.padded = true;
    for index in 0..layout.headers.len() {
        let line = layout.headers.line(index, octets);
        let name = line.map(|line| line.name(octets, true)).unwrap_or_default();
        if name.is_empty() {
            return Err(fault_in_line(index, octets, layout, Fault::EmptyHeaderName));
        }
        layout.headers.rename(index, HeaderName::from_bytes(name));
    }
    Ok(())
}

/// Checks a head that holds NUL, `\` or what is not ASCII.
#[cold]
fn check_special(octets: &[u8], layout: &mut Layout, rules: &Rules) -> Result<(), DecodeError> {
    visits::count(2 * octets.len());
    if let Err(error) = std::str::from_utf8(octets) {
        return Err(fault_at(octets, error.valid_up_to(), Fault::InvalidUtf8));
    }
    if let Some(at) = memchr(0, octets) {
        return Err(fault_at(octets, at, Fault::NulInHead));
    }
    if memchr(b'\\', octets).is_none() {
        return Ok(());
    }
    layout.escaping = Escaping::of(rules.version, layout.command);
    if layout.escaping == Escaping::None || rules.leniency.raw_backslash() {
        return Ok(());
    }
    check_escapes(octets, layout, rules.version)
}

fn check_escapes(octets: &[u8], layout: &Layout, version: Version) -> Result<(), DecodeError> {
    for line in layout.headers.lines(octets) {
        let name = (line.name(octets, false), line.start);
        let value = (line.value(octets, false), line.colon + 1);
        for (text, start) in [name, value] {
            if let Some(at) = layout.escaping.undefined_in(text) {
                let found = text.get(at..text.len().min(at + 2)).unwrap_or_default();
                let found = found.escape_ascii().to_string();
                let fault = Fault::UndefinedEscape { found, version };
                return Err(fault_at(octets, start as usize + at, fault));
            }
        }
    }
    Ok(())
}

/// The length of the body as `content-length` has it. Several must agree: where one reader takes
/// the first and another the last, they see different frames.
fn content_length(
    octets: &[u8],
    layout: &Layout,
    rules: &Rules,
) -> Result<Option<usize>, DecodeError> {
    let Some(index) = layout.headers.find(HeaderName::ContentLength, 0) else {
        return Ok(None);
    };
    let length = content_length_at(index, octets, layout)?;
    let mut index = index;
    while let Some(next) = layout.headers.find(HeaderName::ContentLength, index + 1) {
        let other = content_length_at(next, octets, layout)?;
        if other != length {
            let fault = Fault::ConflictingContentLength { first: length, other };
            return Err(fault_in_line(next, octets, layout, fault));
        }
        index = next;
    }
    let (command, limit) = (layout.command, rules.limits.body());
    if length > 0 && !rules.may_have_body(command) {
        return Err(fault_at(octets, octets.len(), Fault::UnexpectedBody { command }));
    }
    match usize::try_from(length) {
        Ok(length) if length <= limit => Ok(Some(length)),
        _ => Err(fault_at(octets, octets.len(), Fault::BodyTooLong { limit })),
    }
}

/// The length that one `content-length` says.
fn content_length_at(index: usize, octets: &[u8], layout: &Layout) -> Result<u64, DecodeError> {
    let line = layout.headers.line(index, octets);
    let value = line.map_or(&b""[..], |line| line.value(octets, layout.padded));
    match parse::content_length(value) {
        Ok((_, length)) => Ok(length),
        Err(_) => {
            let fault = Fault::InvalidContentLength { found: quote(value) };
            Err(fault_in_line(index, octets, layout, fault))
        }
    }
}

/// An error at the start of a header line.
#[cold]
fn fault_in_line(index: usize, octets: &[u8], layout: &Layout, fault: Fault) -> DecodeError {
    let start = layout.headers.line(index, octets).map_or(0, |line| line.start);
    fault_at(octets, start as usize, fault)
}

/// An error at an offset of a head whose lines are to be counted.
#[cold]
fn fault_at(octets: &[u8], at: usize, fault: Fault) -> DecodeError {
    let before = octets.get(..at).unwrap_or_default();
    DecodeError::new(at, 1 + memchr_iter(b'\n', before).count(), fault)
}
