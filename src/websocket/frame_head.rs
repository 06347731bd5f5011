use bytes::{BufMut, BytesMut};

use crate::session::{Envelope, PayloadKind};

use super::CloseCode;

/// What a WebSocket frame is (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A message of UTF-8.
    Text = 0x1,
    /// A message of any bytes.
    Binary = 0x2,
    /// The end of the connection.
    Close = 0x8,
    /// Asks for a Pong.
    Ping = 0x9,
    /// Answers a Ping.
    Pong = 0xA,
}

/// The head of a frame that a server sends: final, without extensions and not masked
/// (RFC 6455 §5.1: a server must not mask).
///
/// ```
/// use bytes::BytesMut;
/// use stompbox::websocket::{FrameHead, Opcode};
///
/// let mut out = BytesMut::new();
/// FrameHead::new(Opcode::Text, 5).write(&mut out);
/// out.extend_from_slice(b"hello");
/// assert_eq!(&out[..], b"\x81\x05hello");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    opcode: Opcode,
    length: usize,
}

impl FrameHead {
    /// The longest payload of a control frame, in bytes (RFC 6455 §5.5).
    pub const MAX_CONTROL_PAYLOAD: usize = 125;

    /// The head of a frame with a payload of `length` bytes.
    pub const fn new(opcode: Opcode, length: usize) -> Self {
        Self { opcode, length }
    }

    /// Appends the head to `out`: 2, 4 or 10 bytes, with the shortest form of the length.
    #[allow(clippy::cast_possible_truncation)] // Each arm has checked what it casts.
    pub fn write(self, out: &mut BytesMut) {
        const FINAL: u8 = 0x80;
        out.put_u8(FINAL | self.opcode as u8);
        match self.length {
            0..=125 => out.put_u8(self.length as u8),
            126..=0xFFFF => {
                out.put_u8(126);
                out.put_u16(self.length as u16);
            }
            _ => {
                out.put_u8(127);
                out.put_u64(self.length as u64);
            }
        }
    }

    /// A whole Close frame. The reason is cut, at a character, to what a control frame can carry.
    pub fn close(code: CloseCode, reason: &str) -> BytesMut {
        let mut cut = reason.len().min(Self::MAX_CONTROL_PAYLOAD - 2);
        while !reason.is_char_boundary(cut) {
            cut -= 1;
        }
        let reason = reason.get(..cut).unwrap_or_default();
        let mut out = BytesMut::with_capacity(4 + cut);
        Self::new(Opcode::Close, 2 + cut).write(&mut out);
        out.put_u16(code.number());
        out.put_slice(reason.as_bytes());
        out
    }

    /// A whole Ping frame without a payload.
    pub fn ping() -> BytesMut {
        let mut out = BytesMut::with_capacity(2);
        Self::new(Opcode::Ping, 0).write(&mut out);
        out
    }
}

/// One WebSocket message around each STOMP frame: clients in use cannot read a frame that is spread
/// over several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WebSocketEnvelope;

impl Envelope for WebSocketEnvelope {
    fn open(&self, kind: PayloadKind, length: usize, out: &mut BytesMut) {
        let opcode = match kind {
            PayloadKind::Text => Opcode::Text,
            PayloadKind::Binary => Opcode::Binary,
        };
        FrameHead::new(opcode, length).write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(length: usize) -> Vec<u8> {
        let mut out = BytesMut::new();
        FrameHead::new(Opcode::Binary, length).write(&mut out);
        out.to_vec()
    }

    #[test]
    fn the_length_takes_the_shortest_form() {
        assert_eq!(head(0), [0x82, 0]);
        assert_eq!(head(125), [0x82, 125]);
        assert_eq!(head(126), [0x82, 126, 0, 126]);
        assert_eq!(head(0xFFFF), [0x82, 126, 0xFF, 0xFF]);
        assert_eq!(head(0x1_0000), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let close = FrameHead::close(CloseCode::Policy, &"ü".repeat(100));
        assert_eq!(close[..4], [0x88, 124, 0x03, 0xF0]);
        assert_eq!(close.len(), 2 + 124);
        assert!(std::str::from_utf8(&close[4..]).is_ok());
    }
}
