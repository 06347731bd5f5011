use bytes::BytesMut;

use crate::session::{Bare, Envelope, PayloadKind};
use crate::websocket::{CloseCode, FrameHead, WebSocketEnvelope};

/// What a connection speaks below STOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    WebSocket,
    Tcp,
}

impl Wire {
    /// The transport's last word: a Close, or nothing.
    pub(super) fn close(self, code: CloseCode, reason: &str) -> BytesMut {
        match self {
            Self::WebSocket => FrameHead::close(code, reason),
            Self::Tcp => BytesMut::new(),
        }
    }

    /// What asks the client for a sign of life, where the transport has such a thing.
    pub(super) fn ping(self) -> Option<BytesMut> {
        (self == Self::WebSocket).then(FrameHead::ping)
    }
}

impl Envelope for Wire {
    fn open(&self, kind: PayloadKind, length: usize, out: &mut BytesMut) {
        match self {
            Self::WebSocket => WebSocketEnvelope.open(kind, length, out),
            Self::Tcp => Bare.open(kind, length, out),
        }
    }
}
