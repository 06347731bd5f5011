//! STOMP over WebSocket: a frame codec, a validator of Upgrade requests, sessions without I/O, a
//! pluggable broker, and a tokio server made of them.
//!
//! # A server in a few lines
//!
//! A client SENDs to `/pub/say`, a handler publishes to a room, and every subscriber of that room
//! gets it:
//!
//! ```
//! # #[cfg(feature = "app")] mod chat {
//! use serde::{Deserialize, Serialize};
//! use stompbox::app::{App, Json};
//! use stompbox::server::{HandleError, Publisher, Server};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Say {
//!     room: u64,
//!     text: String,
//! }
//!
//! async fn say(Json(said): Json<Say>, publisher: Publisher) -> Result<(), HandleError> {
//!     publisher.publish_json(&format!("/topic/room/{}", said.room), &said).await?;
//!     Ok(())
//! }
//!
//! async fn serve() -> std::io::Result<()> {
//!     let server = Server::builder().app(App::new().message("/pub/say", say)).build();
//!     server.listen_websocket("127.0.0.1:0", "/ws").await?;
//!     Ok(())
//! }
//! # }
//! ```
//!
//! # The layers
//!
//! Each uses only those above it. The first four do no I/O, spawn nothing, never sleep and read no
//! clock: they are all there is with `default-features = false`, for programs that bring their own
//! sockets.
//!
//! | module | what it is | feature |
//! | --- | --- | --- |
//! | [`frame`] | the wire format of STOMP 1.0, 1.1 and 1.2 | |
//! | [`handshake`] | which HTTP requests become a WebSocket, and what each is answered | |
//! | [`session`] | the rules of one connection: bytes and instants in, requests and bytes out | |
//! | [`broker`] | the trait [`Broker`](broker::Broker), the router, the broker in memory | |
//! | `websocket` | messages in (read by tungstenite), frames out | `server` |
//! | `server` | the tokio server, and what an application plugs in | `server` |
//! | `app` | typed message handlers | `app` |
//! | `testkit` | what every broker has to do, as tests | `testkit` |
//!
//! # What is bounded
//!
//! Everything that a peer could make grow: frames and their headers
//! ([`Limits`](frame::Limits)), the request of a handshake
//! ([`HeadLimits`](handshake::HeadLimits)), subscriptions, transactions, what waits for a reader that
//! is slow, and the time to CONNECT ([`SessionSettings`](session::SessionSettings)), queues
//! ([`MemoryBrokerBuilder`](broker::MemoryBrokerBuilder)), and connections and what each has asked
//! for and is not done (`server::ServerSettings`). Before CONNECT frames are ten times smaller. Who
//! exceeds a limit is told which ([`Limit`](session::Limit)), and counted (`Server::counters`).

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "app")]
pub mod app;
pub mod broker;
pub mod frame;
pub mod handshake;
mod locks;
#[cfg(feature = "server")]
pub mod server;
pub mod session;
#[cfg(feature = "testkit")]
pub mod testkit;
#[cfg(feature = "server")]
pub mod websocket;

/// The README's code, so that it compiles.
#[cfg(all(doctest, feature = "app", feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
