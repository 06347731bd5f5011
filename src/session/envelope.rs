use bytes::BytesMut;

/// How a transport wraps what a session sends: a WebSocket message around each frame, nothing on
/// plain TCP.
pub trait Envelope {
    /// Appends to `out` whatever comes before `length` bytes of a frame, which follow as they are.
    fn open(&self, kind: PayloadKind, length: usize, out: &mut BytesMut);

    /// Appends a whole payload in its envelope to `out`: what a [`ClientSession`] sends goes this
    /// way. A WebSocket client must mask what it sends (RFC 6455 §5.3), so that its envelope masks
    /// here, while it copies.
    ///
    /// [`ClientSession`]: super::ClientSession
    fn wrap(&self, kind: PayloadKind, payload: &[u8], out: &mut BytesMut) {
        self.open(kind, payload.len(), out);
        out.extend_from_slice(payload);
    }
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
