use bytes::BytesMut;

/// How a transport wraps what a session sends: a WebSocket message around each frame, nothing on
/// plain TCP.
pub trait Envelope {
    /// Appends to `out` whatever comes before `length` bytes of a frame.
    fn open(&self, kind: PayloadKind, length: usize, out: &mut BytesMut);
}

/// What a WebSocket message with a frame in it may be (RFC 6455 §5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// UTF-8 throughout.
    Text,
    /// Anything.
    Binary,
}

/// Nothing around a frame: STOMP over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bare;

impl Envelope for Bare {
    fn open(&self, _kind: PayloadKind, _length: usize, _out: &mut BytesMut) {}
}
