//! WebSocket framing (RFC 6455 §5), as much as both the clients and the floor need.

/// Opcodes (RFC 6455 §5.2).
pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The key that every client frame is masked with. It is not zero, so a server has to unmask.
const KEY: [u8; 4] = [0xA5, 0x3C, 0x96, 0x5A];

/// The head of a frame of which all bytes are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub opcode: u8,
    pub key: Option<[u8; 4]>,
    /// Where the payload begins, and where it ends.
    pub start: usize,
    pub end: usize,
}

/// The head of the frame that `bytes` begin with; `None` while some of that frame is missing.
pub fn head(bytes: &[u8]) -> Option<Head> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (length, length_bytes) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        length => (u64::from(length), 0),
    };
    let masked = second & 0x80 != 0;
    let key = if masked { Some(*rest.get(length_bytes..)?.first_chunk()?) } else { None };
    let start = 2 + length_bytes + if masked { 4 } else { 0 };
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes.len()).then_some(Head { opcode: first & 0x0F, key, start, end })
}

/// Appends a whole masked frame, as clients send them.
pub fn put_masked(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    put_head(out, opcode, 0x80, payload.len());
    out.extend_from_slice(&KEY);
    let start = out.len();
    out.extend_from_slice(payload);
    unmask(&mut out[start..], KEY);
}

/// Appends the head of a whole frame that is not masked, as servers send them.
pub fn put_text_head(out: &mut Vec<u8>, length: usize) {
    put_head(out, TEXT, 0, length);
}

/// Masks or unmasks a payload (RFC 6455 §5.3).
pub fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

fn put_head(out: &mut Vec<u8>, opcode: u8, mask: u8, length: usize) {
    out.push(0x80 | opcode);
    match length {
        0..126 => out.push(mask + length as u8),
        126..0x1_0000 => {
            out.push(mask + 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask + 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_frame_of_every_kind_of_length_comes_back() {
        for length in [0, 1, 125, 126, 0xFFFF, 0x1_0000] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut wire = Vec::new();
            put_masked(&mut wire, TEXT, &payload);
            assert_eq!(head(&wire[..wire.len() - 1]), None);
            let head = head(&wire).unwrap();
            assert_eq!((head.opcode, head.end), (TEXT, wire.len()));
            unmask(&mut wire[head.start..], head.key.unwrap());
            assert_eq!(&wire[head.start..], payload);
        }
    }
}
