//! STOMP over WebSocket.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod broker;
pub mod frame;
pub mod handshake;
pub mod session;
