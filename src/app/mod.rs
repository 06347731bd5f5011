//! Typed handlers for the messages that clients send to an application.
//!
//! A handler is an async function. Its arguments say what it wants of a SEND: the body as
//! [`Json`], a `String` or [`Bytes`](bytes::Bytes), who sent it
//! ([`Principal`](crate::server::Principal)), the means to publish
//! ([`Publisher`](crate::server::Publisher)), the application's [`State`], or anything else that
//! implements [`FromMessage`].
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use stompbox::app::{App, Json};
//! use stompbox::server::{HandleError, Publisher, Server};
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(rename_all = "camelCase")]
//! struct ChatMessage {
//!     chat_room_id: u64,
//!     writer: String,
//!     text: Option<String>,
//! }
//!
//! async fn chat(Json(message): Json<ChatMessage>, publisher: Publisher) -> Result<(), HandleError> {
//!     let room = format!("/topic/room/{}", message.chat_room_id);
//!     publisher.publish_json(&room, &message).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let server = Server::builder().app(App::new().message("/pub/chat", chat)).build();
//! let address = server.listen_websocket("127.0.0.1:0", "/ws").await?;
//! println!("ws://{address}/ws");
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! The messages of one connection are handled one after the other, in the order in which they were
//! sent, and a receipt is answered when the handler is done: a handler that waits holds up its own
//! client, and nobody else. What a client had sent before it went is still handled; what is behind a
//! message that was refused is not, since an ERROR ends the session. What need not be waited for
//! belongs into a task of its own.
//!
//! # Errors
//!
//! What a handler or an argument refuses is answered by an ERROR, which ends the connection
//! (STOMP 1.2, "ERROR"). [`HandleError`](crate::server::HandleError) keeps what a client is told
//! apart from what went wrong inside; the latter goes to [`App::on_error`]. A handler that panics is
//! answered by an ERROR too and harms no other connection.
//!
//! # Who may do what
//!
//! [`App::authenticate`] decides who may connect; without it everybody may. Whoever is connected may
//!
//! - SEND to every destination that has a handler, which refuses what it likes: its arguments can
//!   ([`FromMessage`] has an example);
//! - SEND to every `/topic/…` and `/queue/…` of the broker, which publishes it unseen. Where only the
//!   program is to publish, [`App::prefix`] makes the prefix the application's;
//! - SUBSCRIBE to every destination of the broker. This cannot be restricted yet: what not every
//!   client may read does not belong into a topic.

#[allow(clippy::module_inception)] // The file of the type `App`.
mod app;
mod authentication;
mod error_report;
mod from_message;
mod handled;
mod handler;
mod json;
mod routes;
mod server_builder;
mod state;

pub use app::App;
pub use error_report::ErrorReport;
pub use from_message::FromMessage;
pub use handled::Handled;
pub use handler::Handler;
pub use json::Json;
pub use state::State;

#[cfg(test)]
mod tests;
