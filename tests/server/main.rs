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
mod authentication;
mod bounds;
mod brokers;
mod counting;
mod embedding;
mod fan_out;
mod heart_beats;
mod history;
#[cfg(feature = "app")]
mod idle_memory;
mod listening;
mod peer;
mod queues;
mod sessions;
mod shutdown;
mod slow_consumers;
#[cfg(feature = "app")]
mod turns;
mod web_socket;
