//! The tokio server: listeners, connections, and what an application plugs in.
//!
//! ```
//! use std::time::Duration;
//! use stompbox::server::Server;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let server = Server::builder().build();
//! let address = server.listen_websocket("127.0.0.1:0", "/ws").await?;
//! println!("ws://{address}/ws");
//!
//! server.shutdown(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```

mod authenticate;
#[cfg(feature = "axum")]
mod axum;
mod builder;
mod clock;
mod connection;
mod connections;
mod counters;
mod echo;
mod handle;
mod host;
mod lent;
mod linger;
mod listener;
#[cfg(all(test, stompbox_loom))]
mod models;
mod outlet;
mod principal;
mod publisher;
mod refusals;
#[allow(clippy::module_inception)] // The file of the type `Server`.
mod server;
mod settings;
mod shared;
mod socket;
mod wire;

pub use authenticate::{Authenticate, Authenticating, AuthenticationError, ConnectRequest};
#[cfg(feature = "axum")]
pub use axum::route;
pub use builder::ServerBuilder;
pub use counters::ServerCounters;
pub use handle::{Handle, HandleError, Handling, SendRequest};
pub use listener::WebSocketPaths;
pub use principal::Principal;
pub use publisher::{PublishError, Publisher, Publishing};
pub use server::{Server, Shutdown};
pub use settings::ServerSettings;

/// A session's id: 128 bits from the operating system, in hexadecimal, so that it cannot be guessed
/// and holds neither `\` nor `:`.
fn session_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
