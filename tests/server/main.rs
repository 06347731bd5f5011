//! The server from outside: real sockets, in-memory streams and a clock that stands still.

#![allow(
    // In tests a panic is the report.
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_collect
)]

mod abuse;
mod brokers;
mod embedding;
mod fan_out;
mod heart_beats;
mod listening;
mod peer;
#[cfg(feature = "app")]
mod review;
mod sessions;
mod shutdown;
mod web_socket;
