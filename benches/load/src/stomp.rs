//! STOMP frames, looked at by substring: clients and floor talk only to each other's kind.

use memchr::{memchr, memmem};

/// The value of a header as it stands on the wire. `name` is written with its line feed and colon,
/// `"\nreceipt:"`.
pub fn header<'a>(frame: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let head = &frame[..head_length(frame)];
    let value = &head[memmem::find(head, name.as_bytes())? + name.len()..];
    let value = &value[..memchr(b'\n', value).unwrap_or(value.len())];
    Some(value.strip_suffix(b"\r").unwrap_or(value))
}

/// What follows the empty line, up to the end of `frame`.
pub fn body(frame: &[u8]) -> &[u8] {
    let rest = &frame[head_length(frame)..];
    rest.strip_prefix(b"\n\n").or_else(|| rest.strip_prefix(b"\n\r\n")).unwrap_or_default()
}

fn head_length(frame: &[u8]) -> usize {
    let end = memmem::find(frame, b"\n\n");
    end.or_else(|| memmem::find(frame, b"\n\r\n")).unwrap_or(frame.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_the_head_only() {
        let frame = b"MESSAGE\nsubscription:0\nack:a\\c1\n\nack:no\nreceipt:no\n";
        assert_eq!(header(frame, "\nack:"), Some(&b"a\\c1"[..]));
        assert_eq!(header(frame, "\nreceipt:"), None);
        assert_eq!(body(frame), b"ack:no\nreceipt:no\n");
        assert_eq!(body(b"MESSAGE\r\nack:1\r\n\r\nbody"), b"body");
        assert_eq!(header(b"MESSAGE\r\nack:1\r\n\r\nbody", "\nack:"), Some(&b"1"[..]));
    }
}
