//! The validator of Upgrade requests, on `http::Request` and on bytes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking"
)]

mod clients;
mod heads;
mod origins;
mod properties;
mod requests;
mod rows;
mod subprotocols;
