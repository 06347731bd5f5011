//! Writing frames.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::escape::{Escaping, Side};
use super::{Command, HeaderKey, HeaderName, Version};

/// Writes one frame into a buffer, header by header, without intermediate strings.
///
/// The end of line is LF, in every version. `content-length` is written wherever there is a body.
///
/// A header that the version or the frame cannot represent is left out and counted, never written
/// raw, since that would inject headers into the frame: LF in 1.0 and in CONNECTED, `:` in a name
/// there, CR at the end of a value where CR is not escaped, NUL, and a name that is empty.
///
/// ```
/// use bytes::BytesMut;
/// use stompbox::frame::{Command, Encoder, HeaderName, Version};
///
/// let mut out = BytesMut::new();
/// let mut encoder = Encoder::new(&mut out, Version::V1_2, Command::Message);
/// encoder.header(HeaderName::Subscription, "0").header("note", "a:b");
/// assert_eq!(encoder.finish(b"hello"), 0);
/// assert_eq!(
///     &out[..],
///     b"MESSAGE\nsubscription:0\nnote:a\\cb\ncontent-length:5\n\nhello\0",
/// );
/// ```
#[must_use = "a frame is complete only when its encoder is finished"]
pub struct Encoder<'a> {
    out: &'a mut BytesMut,
    escaping: Escaping,
    omitted: usize,
}

impl<'a> Encoder<'a> {
    /// Begins a frame behind what is in `out`: writes its command line.
    pub fn new(out: &'a mut BytesMut, version: Version, command: Command) -> Self {
        out.extend_from_slice(command.line());
        Self::resume(out, version, command)
    }

    /// Goes on in the head of a frame whose first lines are, or will be, elsewhere: what all copies
    /// of a message share is written once, and each copy's own lines are put in front of it with
    /// [`finish_lines`](Self::finish_lines).
    pub fn resume(out: &'a mut BytesMut, version: Version, command: Command) -> Self {
        Self { out, escaping: Escaping::of(version, command), omitted: 0 }
    }

    /// Writes a header, escaped as version and command have it, or leaves it out and counts it if
    /// they cannot represent it.
    ///
    /// A `content-length` is ignored: [`finish`](Self::finish) writes the right one.
    pub fn header<K: HeaderKey>(&mut self, name: K, value: &str) -> &mut Self {
        let known = name.known();
        if known == Some(HeaderName::ContentLength) {
            return self;
        }
        let (name, value) = (name.as_text().as_bytes(), value.as_bytes());
        let name_len = match known {
            Some(_) => Some(name.len()),
            None => self.escaping.written_len(name, Side::Name),
        };
        let value_len = self.escaping.written_len(value, Side::Value);
        if let (Some(name_len), Some(value_len)) = (name_len, value_len) {
            self.out.reserve(name_len + value_len + 2);
            self.escaping.write(name, name_len, self.out);
            self.out.put_u8(b':');
            self.escaping.write(value, value_len, self.out);
            self.out.put_u8(b'\n');
        } else {
            self.omitted += 1;
        }
        self
    }

    /// How many headers were left out so far.
    pub fn left_out(&self) -> usize {
        self.omitted
    }

    /// Writes header lines that are known to be right for version and command.
    pub(super) fn lines(self, lines: &[u8]) -> Self {
        self.out.extend_from_slice(lines);
        self
    }

    /// Ends the head, writes `body` and the NUL. Returns how many headers were left out.
    pub fn finish(self, body: &[u8]) -> usize {
        let Self { out, omitted, .. } = self;
        put_end_of_head(out, body.len());
        out.reserve(body.len() + 1);
        out.extend_from_slice(body);
        out.put_u8(0);
        omitted
    }

    /// Ends the head of a frame whose body of `body_len` octets, and the NUL, follow from
    /// elsewhere: for those who write vectored. Returns how many headers were left out.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use stompbox::frame::{Command, Encoder, HeaderName, Version};
    ///
    /// let mut head = BytesMut::new();
    /// let mut encoder = Encoder::new(&mut head, Version::V1_2, Command::Send);
    /// encoder.header(HeaderName::Destination, "/topic/a");
    /// assert_eq!(encoder.finish_head(5), 0);
    /// assert_eq!(&head[..], b"SEND\ndestination:/topic/a\ncontent-length:5\n\n");
    /// ```
    pub fn finish_head(self, body_len: usize) -> usize {
        put_end_of_head(self.out, body_len);
        self.omitted
    }

    /// Stops behind the last header line: more lines and the rest of the frame follow from
    /// elsewhere (see [`resume`](Self::resume)). Returns how many headers were left out.
    pub fn finish_lines(self) -> usize {
        self.omitted
    }

    /// How many octets the line of a header takes; `None` if it is left out.
    pub(super) fn header_len(
        version: Version,
        command: Command,
        name: &str,
        value: &str,
    ) -> Option<usize> {
        if name == HeaderName::ContentLength.as_str() {
            return None;
        }
        let escaping = Escaping::of(version, command);
        let name_len = escaping.written_len(name.as_bytes(), Side::Name)?;
        let value_len = escaping.written_len(value.as_bytes(), Side::Value)?;
        Some(name_len + value_len + 2)
    }

    /// How many octets a frame takes whose header lines take `lines`.
    pub(super) fn frame_len(command: Command, lines: usize, body: usize) -> usize {
        let content_length = match body {
            0 => 0,
            _ => HeaderName::ContentLength.as_str().len() + 2 + Decimal::of(body).digits().len(),
        };
        command.as_str().len() + 1 + lines + content_length + 1 + body + 1
    }
}

/// Without the bytes, which may hold secrets.
impl fmt::Debug for Encoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("omitted", &self.omitted).finish_non_exhaustive()
    }
}

/// The most octets that [`put_end_of_head`] writes.
pub(super) const END_OF_HEAD: usize = "content-length:18446744073709551615\n\n".len();

/// Writes `content-length` where there is a body, and the blank line.
pub(super) fn put_end_of_head(out: &mut impl BufMut, body_len: usize) {
    if body_len > 0 {
        out.put_slice(HeaderName::ContentLength.as_str().as_bytes());
        out.put_u8(b':');
        out.put_slice(Decimal::of(body_len).digits());
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
}

/// A number in decimal, on the stack.
struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn of(mut number: usize) -> Self {
        let mut decimal = Self { digits: [b'0'; 20], start: 20 };
        for digit in decimal.digits.iter_mut().rev() {
            // The remainder is below 10.
            *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
            decimal.start -= 1;
            if number == 0 {
                break;
            }
        }
        decimal
    }

    fn digits(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_is_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 65_536, usize::MAX] {
            assert_eq!(Decimal::of(number).digits(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_frame_can_be_written_in_parts() {
        let mut shared = BytesMut::new();
        let mut encoder = Encoder::resume(&mut shared, Version::V1_2, Command::Message);
        encoder.header("destination", "/topic/a");
        assert_eq!(encoder.finish(b"hello"), 0);

        let mut own = BytesMut::new();
        let mut encoder = Encoder::new(&mut own, Version::V1_2, Command::Message);
        encoder.header("subscription", "0");
        assert_eq!(encoder.finish_lines(), 0);

        own.extend_from_slice(&shared);
        let whole: &[u8] =
            b"MESSAGE\nsubscription:0\ndestination:/topic/a\ncontent-length:5\n\nhello\0";
        assert_eq!(&own[..], whole);

        let mut head = BytesMut::new();
        let mut encoder = Encoder::new(&mut head, Version::V1_2, Command::Message);
        encoder.header("subscription", "0").header("destination", "/topic/a");
        assert_eq!(encoder.finish_head(5), 0);
        assert_eq!(&head[..], &whole[..whole.len() - 6]);
    }
}
