//! What is escaped, by version and command (STOMP 1.1 and 1.2, "Value Encoding").

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use memchr::memchr;

use super::{Command, Version, search};

/// The escapes of STOMP 1.2, by the octet they stand for. Those of 1.1 are all but the last.
const ESCAPES: [(u8, u8); 4] = [(b'\n', b'n'), (b':', b'c'), (b'\\', b'\\'), (b'\r', b'r')];

/// How the headers of one frame are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escaping {
    /// Not at all: STOMP 1.0, CONNECT and CONNECTED, or nothing in the head needs it.
    None,
    V1_1,
    V1_2,
}

/// The two sides of a header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Name,
    Value,
}

impl Escaping {
    pub(super) fn of(version: Version, command: Command) -> Self {
        match version {
            Version::V1_1 if command.is_escaped() => Self::V1_1,
            Version::V1_2 if command.is_escaped() => Self::V1_2,
            _ => Self::None,
        }
    }

    fn escapes(self) -> &'static [(u8, u8)] {
        match self {
            Self::None => &[],
            Self::V1_1 => ESCAPES.split_last().map_or(&[], |(_, others)| others),
            Self::V1_2 => &ESCAPES,
        }
    }

    /// What stands after the `\` in place of `octet`, if it is to be escaped.
    fn escape(self, octet: u8) -> Option<u8> {
        self.escapes().iter().find(|(plain, _)| *plain == octet).map(|(_, letter)| *letter)
    }

    /// The octet that `\` and `letter` stand for, if that is an escape.
    fn meaning(self, letter: u8) -> Option<u8> {
        self.escapes().iter().find(|(_, known)| *known == letter).map(|(plain, _)| *plain)
    }

    /// Where in `text` a `\` stands that begins no escape.
    pub(super) fn undefined_in(self, text: &[u8]) -> Option<usize> {
        let mut from = 0;
        while let Some(found) = memchr(b'\\', text.get(from..)?) {
            let at = from + found;
            let letter = text.get(at + 1).copied();
            if letter.and_then(|letter| self.meaning(letter)).is_none() {
                return Some(at);
            }
            from = at + 2;
        }
        None
    }

    /// `text` without its escapes; a `\` that begins none stands for itself.
    pub(super) fn unescape(self, text: &str) -> Cow<'_, str> {
        if self == Self::None {
            return Cow::Borrowed(text);
        }
        let Some((mut before, mut rest)) = text.split_once('\\') else {
            return Cow::Borrowed(text);
        };
        let mut plain = String::with_capacity(text.len());
        loop {
            plain.push_str(before);
            let meaning = rest.bytes().next().and_then(|letter| self.meaning(letter));
            if let Some(octet) = meaning {
                plain.push(char::from(octet));
                rest = rest.get(1..).unwrap_or_default();
            } else {
                plain.push('\\');
            }
            match rest.split_once('\\') {
                Some(next) => (before, rest) = next,
                None => break,
            }
        }
        plain.push_str(rest);
        Cow::Owned(plain)
    }

    /// How many octets `text` takes when written; `None` if it cannot be represented, so that
    /// writing it would change the frame's structure: an octet that ends the line, the name or,
    /// for many readers, the frame.
    pub(super) fn written_len(self, text: &[u8], side: Side) -> Option<usize> {
        if text.is_empty() && side == Side::Name {
            return None;
        }
        if is_plain(text) {
            return Some(text.len());
        }
        let mut len = text.len();
        for octet in text {
            match *octet {
                0 => return None,
                octet if self.escape(octet).is_some() => len += 1,
                b'\n' => return None,
                b':' if side == Side::Name => return None,
                _ => {}
            }
        }
        // A reader that takes CR LF for the end of a line would lose it.
        let loses_cr = side == Side::Value && self.escape(b'\r').is_none();
        if loses_cr && text.ends_with(b"\r") { None } else { Some(len) }
    }

    /// Writes `text`, which [`written_len`](Self::written_len) has found to take `len` octets.
    pub(super) fn write(self, text: &[u8], len: usize, out: &mut BytesMut) {
        if text.len() == len {
            out.extend_from_slice(text);
            return;
        }
        for octet in text {
            match self.escape(*octet) {
                Some(letter) => out.put_slice(&[b'\\', letter]),
                None => out.put_u8(*octet),
            }
        }
    }
}

/// Whether every version writes `text` as it is, in a name or in a value.
pub(super) fn is_plain(text: &[u8]) -> bool {
    !search::any(text, |octet| {
        u8::from(octet == 0)
            | u8::from(octet == b'\n')
            | u8::from(octet == b'\r')
            | u8::from(octet == b':')
            | u8::from(octet == b'\\')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(escaping: Escaping, text: &str, side: Side) -> Option<String> {
        let len = escaping.written_len(text.as_bytes(), side)?;
        let mut out = BytesMut::new();
        escaping.write(text.as_bytes(), len, &mut out);
        assert_eq!(out.len(), len);
        Some(String::from_utf8(out.to_vec()).expect("UTF-8"))
    }

    #[test]
    fn each_version_has_its_escapes() {
        let text = "a\\b:c\nd\re";
        let write = |escaping| written(escaping, text, Side::Value);
        assert_eq!(write(Escaping::V1_2).as_deref(), Some(r"a\\b\cc\nd\re"));
        assert_eq!(write(Escaping::V1_1).as_deref(), Some("a\\\\b\\cc\\nd\re"));
        assert_eq!(write(Escaping::None), None);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        for (escaping, side, text) in [
            (Escaping::None, Side::Value, "a\nb"),
            (Escaping::None, Side::Value, "a\r"),
            (Escaping::None, Side::Name, "a:b"),
            (Escaping::V1_1, Side::Value, "a\r"),
            (Escaping::V1_1, Side::Name, ""),
            (Escaping::V1_2, Side::Value, "a\0b"),
        ] {
            assert_eq!(written(escaping, text, side), None, "{escaping:?} {side:?} {text:?}");
        }
        assert_eq!(written(Escaping::None, "a:b\rc\\n", Side::Value).as_deref(), Some("a:b\rc\\n"));
    }

    #[test]
    fn unescape_undoes_escapes_only() {
        assert_eq!(Escaping::V1_2.unescape(r"\\n\n\c\r"), "\\n\n:\r");
        assert_eq!(Escaping::V1_1.unescape(r"\r\q\"), r"\r\q\");
        assert_eq!(Escaping::None.unescape(r"\n"), r"\n");
        assert!(matches!(Escaping::V1_2.unescape("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn undefined_escapes_are_found() {
        assert_eq!(Escaping::V1_2.undefined_in(br"\\\n\c\r"), None);
        assert_eq!(Escaping::V1_1.undefined_in(br"\\\r"), Some(2));
        assert_eq!(Escaping::V1_2.undefined_in(br"ab\t"), Some(2));
        assert_eq!(Escaping::V1_2.undefined_in(br"ab\"), Some(2));
        assert_eq!(Escaping::V1_2.undefined_in(b""), None);
    }
}
