//! Letters, digits and texts of a script, read octet by octet from the front.

use std::time::Duration;

use arbitrary::{Result, Unstructured};

/// A number from `0` on, by its distance from that digit.
pub(super) fn digit(input: &mut Unstructured<'_>) -> Result<usize> {
    Ok(usize::from(input.arbitrary::<u8>()?.wrapping_sub(b'0')))
}

/// `0` is 0, and each digit after it doubles, beginning with 1.
pub(super) fn power(input: &mut Unstructured<'_>) -> Result<usize> {
    let digit = digit(input)? % 20;
    Ok(if digit == 0 { 0 } else { 1 << (digit - 1) })
}

pub(super) fn milliseconds(input: &mut Unstructured<'_>) -> Result<Duration> {
    Ok(Duration::from_millis(power(input)? as u64))
}

/// One character of a name.
pub(super) fn name(input: &mut Unstructured<'_>) -> Result<char> {
    Ok(char::from(input.arbitrary::<u8>()?))
}

/// What stands in front of the next `end`, or of the end of the input.
pub(super) fn text(input: &mut Unstructured<'_>, end: u8) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    while !input.is_empty() {
        match input.arbitrary()? {
            octet if octet == end => break,
            octet => text.push(octet),
        }
    }
    Ok(text)
}

/// Octets as a script writes them: `^` stands for NUL.
pub(super) fn octets(input: &mut Unstructured<'_>, end: u8) -> Result<Vec<u8>> {
    let text = text(input, end)?.into_iter();
    Ok(text.map(|octet| if octet == b'^' { 0 } else { octet }).collect())
}
