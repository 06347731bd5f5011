//! What most clients send nearly always: a message in one frame, of which all has come.
//!
//! tungstenite would read its head a second time and copy it to a buffer of its own, which it first
//! fills with zeros. All that is not plain is left to it: fragments, control frames, frames that go
//! on behind what was read, and whatever breaks RFC 6455.

/// A data frame that is a message by itself, as it stands in what was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WholeMessage<'a> {
    pub(super) is_text: bool,
    mask: [u8; 4],
    masked: &'a [u8],
    /// How many octets of what was read it takes, its head included.
    pub(super) len: usize,
}

/// The last frame of a message, without extensions (RFC 6455 §5.2: FIN, and no RSV bit).
const FINAL: u8 = 0x80;
const TEXT: u8 = FINAL | 0x1;
const BINARY: u8 = FINAL | 0x2;

/// The bit of the second octet that says that there is a mask.
const MASKED: u8 = 0x80;

/// A length in the second octet that stands for 16 bits behind it.
const LENGTH_IN_16_BITS: u8 = 126;

impl<'a> WholeMessage<'a> {
    /// The message that `bytes` begin with. `None` if they begin with anything else, or not all of
    /// it is there.
    pub(super) fn at_start_of(bytes: &'a [u8]) -> Option<Self> {
        let [first @ (TEXT | BINARY), second, rest @ ..] = bytes else { return None };
        let (length, rest) = match second.checked_sub(MASKED)? {
            length @ 0..LENGTH_IN_16_BITS => (usize::from(length), rest),
            LENGTH_IN_16_BITS => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            // Longer than what is read at once.
            _ => return None,
        };
        let (mask, rest) = rest.split_first_chunk()?;
        let (masked, behind) = rest.split_at_checked(length)?;
        let len = bytes.len() - behind.len();
        Some(Self { is_text: *first == TEXT, mask: *mask, masked, len })
    }

    /// How many octets the payload has.
    pub(super) fn payload_len(&self) -> usize {
        self.masked.len()
    }

    /// The payload without its mask (RFC 6455 §5.3).
    pub(super) fn payload(&self) -> Vec<u8> {
        let mut payload = self.masked.to_vec();
        let (quarters, rest) = payload.as_chunks_mut();
        for quarter in quarters {
            *quarter = (u32::from_ne_bytes(*quarter) ^ u32::from_ne_bytes(self.mask)).to_ne_bytes();
        }
        for (octet, mask) in rest.iter_mut().zip(self.mask) {
            *octet ^= mask;
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text message as a client sends it.
    fn masked(head: &[u8], payload: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xFA, 0x21, 0x3D];
        let octets = payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask);
        head.iter().copied().chain(mask).chain(octets).collect()
    }

    #[test]
    fn a_message_of_any_length_is_unmasked() {
        for length in (0..140).chain([300, 65_535]) {
            let payload: Vec<u8> = (0..length).map(|octet: u32| octet.to_le_bytes()[0]).collect();
            let head = match u8::try_from(length) {
                Ok(length @ 0..126) => vec![TEXT, MASKED | length],
                _ => [&[BINARY, 0xFE][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
            };
            let mut bytes = masked(&head, &payload);
            let len = bytes.len();
            for cut in [0, 1, 2, 5, len - 1] {
                assert_eq!(WholeMessage::at_start_of(&bytes[..cut]), None, "{cut} of {len}");
            }
            bytes.extend_from_slice(b"behind");
            let message = WholeMessage::at_start_of(&bytes).unwrap();
            assert_eq!((message.len, message.is_text), (len, head[0] == TEXT));
            assert_eq!(message.payload(), payload);
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_tungstenite() {
        assert!(WholeMessage::at_start_of(&masked(&[TEXT, 0x82], b"hi")).is_some());
        let fragments = [[0x01, 0x82], [0x00, 0x82], [0x80, 0x82]];
        let control = [[0x88, 0x82], [0x89, 0x82], [0x8A, 0x82]];
        let reserved = [[0xC1, 0x82], [0xA1, 0x82], [0x91, 0x82], [0x83, 0x82]];
        for head in fragments.iter().chain(&control).chain(&reserved) {
            assert_eq!(WholeMessage::at_start_of(&masked(head, b"hi")), None, "{head:X?}");
        }
        let without_mask = [&[TEXT, 0x02][..], b"hi, and something behind it"].concat();
        assert_eq!(WholeMessage::at_start_of(&without_mask), None);
        let of_64_bits = masked(&[TEXT, 0xFF, 0, 0, 0, 0, 0, 0, 0, 2], b"hi");
        assert_eq!(WholeMessage::at_start_of(&of_64_bits), None);
    }
}
