//! What is checked of a head as a whole, once its blank line has come.

use memchr::{memchr, memchr_iter, memchr2};

use super::error::quote;
use super::escape::Escaping;
use super::layout::Layout;
use super::parse::{self, visits};
use super::rules::Rules;
use super::{Command, DecodeError, Fault, HeaderName, Version};

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
        visits::count(2 * octets.len());
        if !octets.is_ascii()
            && let Err(error) = std::str::from_utf8(octets)
        {
            return Err(fault_at(octets, error.valid_up_to(), Fault::InvalidUtf8));
        }
        if memchr2(0, b'\\', octets).is_some() {
            check_special(octets, layout, rules)?;
        }
        if rules.leniency.padding() && version(layout, rules) == Version::V1_0 {
            trim_padding(octets, layout);
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
    layout.find(header).map_or(Version::V1_0, |_| rules.version.max(Version::V1_1))
}

#[cold]
fn trim_padding(octets: &[u8], layout: &mut Layout) {
    layout.padded = true;
    layout.lines.update(|line| line.known = HeaderName::from_bytes(line.name(octets, true)));
}

/// Checks a head that holds NUL or `\`.
#[cold]
fn check_special(octets: &[u8], layout: &mut Layout, rules: &Rules) -> Result<(), DecodeError> {
    visits::count(octets.len());
    if let Some(at) = memchr(0, octets) {
        return Err(fault_at(octets, at, Fault::NulInHead));
    }
    layout.escaping = Escaping::of(rules.version, layout.command);
    if layout.escaping == Escaping::None || rules.leniency.raw_backslash() {
        return Ok(());
    }
    check_escapes(octets, layout, rules.version)
}

fn check_escapes(octets: &[u8], layout: &Layout, version: Version) -> Result<(), DecodeError> {
    for line in layout.lines.iter() {
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
    let mut first = None;
    for line in layout.lines.iter() {
        if line.known != Some(HeaderName::ContentLength) {
            continue;
        }
        let value = line.value(octets, layout.padded);
        let at = line.start as usize;
        let Ok((_, length)) = parse::content_length(value) else {
            let fault = Fault::InvalidContentLength { found: quote(value) };
            return Err(fault_at(octets, at, fault));
        };
        match first {
            Some(first) if first != length => {
                let fault = Fault::ConflictingContentLength { first, other: length };
                return Err(fault_at(octets, at, fault));
            }
            _ => first = Some(length),
        }
    }
    let Some(length) = first else {
        return Ok(None);
    };
    let (command, limit) = (layout.command, rules.limits.body());
    if length > 0 && !rules.may_have_body(command) {
        return Err(fault_at(octets, octets.len(), Fault::UnexpectedBody { command }));
    }
    match usize::try_from(length) {
        Ok(length) if length <= limit => Ok(Some(length)),
        _ => Err(fault_at(octets, octets.len(), Fault::BodyTooLong { limit })),
    }
}

/// An error at an offset of a head whose lines are to be counted.
#[cold]
fn fault_at(octets: &[u8], at: usize, fault: Fault) -> DecodeError {
    let before = octets.get(..at).unwrap_or_default();
    DecodeError::new(at, 1 + memchr_iter(b'\n', before).count(), fault)
}
