//! What no codec can be faster than, by much.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use crate::codec::{Run, Stream};

/// A bare walk with memchr over the same bytes: the LF of each line, the colon in it, the NUL behind
/// the body. Nothing is checked and nothing is kept.
pub fn walk(stream: &Stream<'_>) -> Run {
    let whole = Bytes::from(stream.wire.repeat(stream.times));
    Box::new(move || walk_frames(&whole))
}

fn walk_frames(mut rest: &[u8]) -> usize {
    let mut frames = 0;
    while let Some(end) = memchr(b'\n', rest) {
        let (line, behind) = rest.split_at(end);
        if line.is_empty() {
            let Some(nul) = memchr(0, behind) else {
                // Ends of line only.
                rest = &behind[1..];
                continue;
            };
            rest = &behind[nul + 1..];
            frames += 1;
        } else {
            black_box(memchr(b':', line));
            rest = &behind[1..];
        }
    }
    frames
}

/// The same octets copied once, in the pieces in which they come.
pub fn copy(stream: &Stream<'_>) -> Run {
    let chunks = stream.chunks();
    let mut out = BytesMut::with_capacity(stream.wire.len() * stream.times);
    Box::new(move || {
        for chunk in &chunks {
            out.extend_from_slice(black_box(chunk));
        }
        black_box(&out).len()
    })
}

/// A frame that is already encoded, copied into the buffer that it is to be encoded into.
pub fn copy_encoded(wire: Vec<u8>, times: usize) -> Run {
    let mut out = BytesMut::with_capacity(2 * wire.len());
    Box::new(move || {
        for _ in 0..times {
            out.clear();
            let wire = black_box(&wire[..]);
            out.reserve(wire.len());
            out.extend_from_slice(wire);
            black_box(&out);
        }
        times
    })
}
