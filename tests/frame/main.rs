//! The wire format, through the public API.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what helps a test is a test too"
)]

mod known_faults;
mod properties;
mod reference;
mod representable;
mod rows;
mod specifications;

use bytes::{Bytes, BytesMut};
use stompbox::frame::{DecodeError, Decoder, Frame, Leniency, Limits, Version};

/// All frames of `wire` under the rules of `version`.
fn decode(version: Version, leniency: Leniency, wire: &[u8]) -> Result<Vec<Frame>, DecodeError> {
    let mut decoder = Decoder::new(Limits::default(), leniency);
    decoder.set_version(version);
    decoder.feed(Bytes::copy_from_slice(wire));
    std::iter::from_fn(|| decoder.next_frame().transpose()).collect()
}

/// The one frame of `wire` under the strict rules of `version`.
#[track_caller]
fn strict(version: Version, wire: &[u8]) -> Frame {
    one(decode(version, Leniency::strict(), wire))
}

/// The one frame of `wire` as the server reads it.
#[track_caller]
fn field(version: Version, wire: &[u8]) -> Frame {
    one(decode(version, Leniency::field(), wire))
}

#[track_caller]
fn one(frames: Result<Vec<Frame>, DecodeError>) -> Frame {
    let mut frames = frames.expect("a frame");
    assert_eq!(frames.len(), 1, "{frames:?}");
    frames.remove(0)
}

/// Why `wire` is refused under the strict rules of `version`.
#[track_caller]
fn refused(version: Version, wire: &[u8]) -> DecodeError {
    decode(version, Leniency::strict(), wire).expect_err("an error")
}

/// The wire form of `frame`, and how many headers it lacks.
fn encode(version: Version, frame: &Frame) -> (Vec<u8>, usize) {
    let mut wire = BytesMut::new();
    let omitted = frame.encode_into(version, &mut wire);
    assert_eq!(wire.len(), frame.encoded_len(version), "the length is known beforehand");
    let mut parts = BytesMut::new();
    assert_eq!(frame.encode_head_into(version, &mut parts), omitted);
    parts.extend_from_slice(frame.body());
    parts.extend_from_slice(b"\0");
    assert_eq!(parts, wire, "head and body apart");
    (wire.to_vec(), omitted)
}

#[track_caller]
fn assert_header(frame: &Frame, name: &str, value: &str) {
    assert_eq!(frame.header(name).as_deref(), Some(value), "{name} of {frame:?}");
}
