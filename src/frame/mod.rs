//! The wire format of STOMP 1.0, 1.1 and 1.2: frames in, frames out, no I/O.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use stompbox::frame::{Command, Decoder, Frame, HeaderName, Leniency, Limits, Version};
//!
//! // Bytes in, in any chunks; frames out.
//! let mut decoder = Decoder::new(Limits::default(), Leniency::strict());
//! decoder.set_version(Version::V1_2);
//! decoder.feed(Bytes::from_static(b"SEND\ndestination:/topic/room/5\n\nhello\0"));
//! let sent = decoder.next_frame()?.expect("a whole frame was fed");
//! assert_eq!(sent.command(), Command::Send);
//! assert_eq!(sent.body(), b"hello");
//!
//! // A frame in, bytes out.
//! let destination = sent.header(HeaderName::Destination).unwrap_or_default();
//! let message = Frame::new(Command::Message)
//!     .with_header(HeaderName::Subscription, "0")
//!     .with_header(HeaderName::Destination, destination)
//!     .with_body(sent.body());
//! let mut wire = BytesMut::with_capacity(message.encoded_len(Version::V1_2));
//! message.encode_into(Version::V1_2, &mut wire);
//! assert_eq!(
//!     &wire[..],
//!     b"MESSAGE\nsubscription:0\ndestination:/topic/room/5\ncontent-length:5\n\nhello\0",
//! );
//! # Ok::<(), stompbox::frame::DecodeError>(())
//! ```
//!
//! | to do this | use |
//! | --- | --- |
//! | read a stream | [`Decoder`], which gives [`Frame`]s |
//! | look at a frame that is already complete in memory | [`FrameRef`] |
//! | build a frame and keep it | [`Frame`] |
//! | write a frame straight into a buffer | [`Encoder`] |
//! | write one message to many subscriptions | [`SharedMessage`] |
//!
//! With the feature `serde`, [`Frame`], [`Headers`] and [`Command`] are serialized for logs and
//! fixtures, without secrets.
//!
//! # What is checked
//!
//! A frame that the decoder returns has a known [`Command`], a head that is UTF-8 with only those
//! escapes that the version defines, one meaning of `content-length`, and is within [`Limits`].
//! Reading its headers can therefore not fail. [`Leniency`] says what is forgiven; the codec is
//! strict unless told otherwise.
//!
//! Where the specifications leave it open, or where following them would harm:
//!
//! - A header without a name (`:value`) is refused, as the grammar has it.
//! - A header splits at its first colon; further ones belong to the value, which hardly any client
//!   escapes.
//! - NUL in a header is refused, although the grammar allows it: to many peers it ends the frame.
//! - A CR that stands in a line other than in front of its LF is an octet like any other. In front
//!   of the LF it belongs to the end of the line in 1.2, and before that to the value, unless
//!   [`Leniency::cr_lf`] is on.
//! - A `content-length` that is no number is an error, never a reason to look for NUL instead.

mod borrowed;
mod command;
mod decoder;
mod encoder;
mod error;
mod escape;
mod head;
mod header_name;
mod header_table;
mod headers;
mod layout;
mod leniency;
mod limits;
mod octets;
mod owned;
mod parse;
mod rules;
mod scan;
mod search;
#[cfg(feature = "serde")]
mod serialize;
mod shared;
mod verbatim;
mod version;

pub use borrowed::FrameRef;
pub use command::Command;
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use error::{DecodeError, DecodeErrorKind, Fault};
pub use header_name::{HeaderKey, HeaderName};
pub use headers::{Header, Headers};
pub use leniency::Leniency;
pub use limits::Limits;
pub use owned::Frame;
pub use shared::SharedMessage;
pub use version::Version;
