//! STOMP over WebSocket.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "app")]
pub mod app;
pub mod broker;
pub mod frame;
pub mod handshake;
#[cfg(feature = "server")]
pub mod server;
pub mod session;
#[cfg(feature = "server")]
pub mod websocket;

/// The README's code, so that it compiles.
#[cfg(all(doctest, feature = "app"))]
#[doc = include_str!("../README.md")]
struct Readme;
