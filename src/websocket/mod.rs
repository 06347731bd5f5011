//! The WebSocket layer: what a client sends is read by tungstenite, what the server sends is framed
//! here (RFC 6455 §5).
//!
//! A message that comes whole and in one frame, as nearly all do, is taken where it lies; everything
//! else is tungstenite's to read and to judge.
//!
//! tungstenite never sees the socket's writer. It is given a stream whose write side takes its pongs
//! and its answer to a Close, so that all bytes of a connection leave in one order, through the
//! session's leaving half.

mod close_code;
mod frame_head;
mod reader;

pub use close_code::CloseCode;
pub use frame_head::{FrameHead, Opcode, WebSocketEnvelope};
pub use reader::{Incoming, ReadError, Reader};
