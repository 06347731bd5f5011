//! The router and the in-memory broker through the public API, with outlets that record.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking"
)]

mod destinations;
mod history;
mod holding;
mod outcomes;
mod patterns;
mod queue_model;
mod queue_policies;
mod queue_stress;
mod queues;
mod recorder;
mod retention;
mod router;
mod router_model;
mod storm;
mod stress;
mod topics;
mod transactions;
