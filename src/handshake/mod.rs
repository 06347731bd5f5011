//! The opening handshake: which HTTP requests become a WebSocket, and what each is answered.
//!
//! Nothing here does I/O or reads a clock: bytes or an [`http::Request`] go in, and a response comes
//! out. [`Head::parse`] reads a request from bytes, for those who own the socket; whoever has an
//! HTTP server already starts with its [`http::Request`]. [`Upgrade::check`] then either gives an
//! [`Accepted`], whose response is 101 and which keeps the request for authentication, or a
//! [`Rejection`], whose response says what was wrong. Between the two a server can look at the path
//! and answer with something else.
//!
//! ```
//! use bytes::BytesMut;
//! use stompbox::handshake::{Head, HeadLimits, OriginPolicy, Upgrade};
//!
//! /// Answers what was received so far; `None`: read more.
//! fn answer(upgrade: &Upgrade, received: &[u8], out: &mut BytesMut) -> Option<()> {
//!     let head = Head::parse(received, HeadLimits::default()).transpose()?;
//!     match head.and_then(|head| upgrade.check(head.request)) {
//!         Ok(accepted) => accepted.write_response(out),
//!         Err(rejection) => rejection.write_response(out),
//!     }
//!     Some(())
//! }
//!
//! let origins = OriginPolicy::same_origin_or(["https://*.example.com"])?;
//! let upgrade = Upgrade::new().path("/ws").origin(origins);
//! let mut out = BytesMut::new();
//! assert_eq!(answer(&upgrade, b"GET /ws HTTP/1.1\r\nHost: a", &mut out), None);
//! answer(&upgrade, b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", &mut out);
//! assert!(out.starts_with(b"HTTP/1.1 426 Upgrade Required\r\n"));
//! # Ok::<(), stompbox::handshake::InvalidOrigin>(())
//! ```
//!
//! # What is refused
//!
//! | request | answer |
//! | --- | --- |
//! | not HTTP | 400 |
//! | over HTTP/2 or HTTP/3: extended CONNECT (RFC 8441) is not supported | 501 |
//! | not GET | 405 with `Allow: GET` |
//! | another version than HTTP/1.1 | 505 with `Connection: close` |
//! | a path that is not served | 404 |
//! | a body, by `Transfer-Encoding` or a `Content-Length` that is not 0 | 400 |
//! | no `Host`, or one that is not `host[:port]` | 400 |
//! | no `Upgrade: websocket` | 426 with `Upgrade: websocket` |
//! | no `Connection: upgrade` | 400 |
//! | `Sec-WebSocket-Version` is not 13 | 426 with `Sec-WebSocket-Version: 13` |
//! | `Sec-WebSocket-Key` is not 16 bytes in base64 | 400 |
//! | `Host`, `Origin`, the key or the version is repeated | 400 |
//! | an origin that the [`OriginPolicy`] does not let in | 403 |
//! | a head that is larger than the [`HeadLimits`] | 431 |
//! | a head that is not complete in time | 408 |
//! | too many connections, or the server is stopping | 503 with `Retry-After` |
//!
//! # The subprotocol
//!
//! The newest [`Subprotocol`] that both sides know is echoed. A request that offers none, or only
//! unknown ones, is accepted and none is echoed; browsers fail a WebSocket that offered one and is
//! not given any.

mod accepted;
mod authority;
mod fields;
mod head;
mod key;
mod origin;
mod rejection;
mod response;
mod subprotocol;
mod upgrade;

pub use accepted::Accepted;
pub use head::{Head, HeadLimits, HeadPart};
pub use origin::{InvalidOrigin, OriginPolicy};
pub use rejection::Rejection;
pub use subprotocol::Subprotocol;
pub use upgrade::Upgrade;
