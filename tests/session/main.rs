//! The server's session as transcripts: what a client writes, and what it is answered; the client's
//! session likewise; and the two joined by a simulated wire, on a clock of their own (`pair`).
//!
//! Tests are named after the rows of the protocol table that they show: `c` for the connection, `s`
//! for subscriptions, acknowledgement and transactions, `f` for frames. In a transcript `^@` is NUL.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking"
)]

mod acknowledging;
mod chunking;
mod client;
mod client_session;
mod connecting;
mod frames;
mod heart_beats;
mod leaving_model;
mod limits;
mod pair;
mod pair_heart_beats;
mod pair_loss;
mod pair_model;
mod pair_rows;
mod profiles;
mod receipts;
mod slow_consumers;
mod slow_consumers_model;
mod subscriptions;
mod transactions;
