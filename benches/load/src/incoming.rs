use memchr::{memchr, memmem};

use crate::websocket::{self, CLOSE, PING, PONG};

/// What a server sends on one connection, put together from reads that end anywhere. Looks for the
/// NUL behind a frame only: bodies hold none.
#[derive(Debug, Default)]
pub struct Incoming {
    upgraded: bool,
    /// A WebSocket frame, or the response to the Upgrade, of which some is missing.
    bytes: Vec<u8>,
    /// A STOMP frame of which some is missing.
    frame: Vec<u8>,
}

/// Something whole that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The response to the Upgrade request.
    Response(&'a [u8]),
    /// A STOMP frame without its NUL.
    Frame(&'a [u8]),
    Ping(&'a [u8]),
    Close(&'a [u8]),
}

impl Incoming {
    pub fn feed(&mut self, read: &[u8], mut take: impl FnMut(Piece<'_>)) {
        if self.bytes.is_empty() {
            let used = self.pieces(read, &mut take);
            self.bytes.extend_from_slice(&read[used..]);
        } else {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.extend_from_slice(read);
            let used = self.pieces(&bytes, &mut take);
            self.bytes.extend_from_slice(&bytes[used..]);
        }
    }

    /// Returns how many bytes are done with.
    fn pieces(&mut self, bytes: &[u8], take: &mut impl FnMut(Piece<'_>)) -> usize {
        let mut used = 0;
        if !self.upgraded {
            let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return 0 };
            used = end + 4;
            self.upgraded = true;
            take(Piece::Response(&bytes[..used]));
        }
        while let Some(head) = websocket::head(&bytes[used..]) {
            let payload = &bytes[used + head.start..used + head.end];
            match head.opcode {
                CLOSE => take(Piece::Close(payload)),
                PING => take(Piece::Ping(payload)),
                PONG => {}
                _ => self.payload(payload, take),
            }
            used += head.end;
        }
        used
    }

    /// STOMP frames may share a message, and one may be spread over several.
    fn payload(&mut self, mut payload: &[u8], take: &mut impl FnMut(Piece<'_>)) {
        loop {
            if self.frame.is_empty() {
                // Heart-beats, and what ends the line behind a NUL.
                let begin = payload.iter().position(|byte| !matches!(byte, b'\n' | b'\r'));
                payload = &payload[begin.unwrap_or(payload.len())..];
            }
            let Some(end) = memchr(0, payload) else {
                return self.frame.extend_from_slice(payload);
            };
            if self.frame.is_empty() {
                take(Piece::Frame(&payload[..end]));
            } else {
                self.frame.extend_from_slice(&payload[..end]);
                take(Piece::Frame(&self.frame));
                self.frame.clear();
            }
            payload = &payload[end + 1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::put_text_head;

    fn text(wire: &mut Vec<u8>, payload: &[u8]) {
        put_text_head(wire, payload.len());
        wire.extend_from_slice(payload);
    }

    #[test]
    fn a_stream_cut_anywhere_is_the_same() {
        let mut wire = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        text(&mut wire, b"MESSAGE\n\none\0");
        text(&mut wire, b"\n");
        wire.extend_from_slice(&[0x89, 2, b'h', b'i']);
        text(&mut wire, b"MESSAGE\n\ntwo\0\nMESSAGE\n\nthr");
        text(&mut wire, b"ee\0");
        let read = |cut: usize| {
            let (mut incoming, mut pieces) = (Incoming::default(), Vec::new());
            for part in [&wire[..cut], &wire[cut..]] {
                incoming.feed(part, |piece| pieces.push(format!("{piece:?}")));
            }
            pieces
        };
        let whole = read(0);
        assert_eq!(whole.len(), 5);
        for cut in 0..wire.len() {
            assert_eq!(read(cut), whole, "cut at {cut}");
        }
    }
}
