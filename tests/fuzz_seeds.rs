//! Every seed of the fuzzers, through the same checks: what `fuzz/` has once found stays found, on
//! a stable compiler and without a fuzzer.

#![allow(clippy::duplicate_mod, reason = "each fuzzer is a crate of its own")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what helps a test is a test too"
)]

#[path = "../fuzz/src/client_session/mod.rs"]
mod client_session;
#[path = "../fuzz/src/decode.rs"]
mod decode;
#[path = "../fuzz/src/handshake.rs"]
mod handshake;
#[path = "../fuzz/src/round_trip.rs"]
mod round_trip;
#[path = "../fuzz/src/server_session/mod.rs"]
mod server_session;

use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};

/// Checks each seed of a target, in the order of their names.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let entries = std::fs::read_dir(&seeds).expect("seeds");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {}", seeds.display());
    for path in paths {
        // Shown if the check fails.
        println!("{}", path.display());
        check(&std::fs::read(&path).expect("a seed"));
    }
}

#[test]
fn decode() {
    replay("decode", decode::check);
}

#[test]
fn round_trip() {
    replay("round_trip", round_trip::check);
}

#[test]
fn handshake() {
    replay("handshake", handshake::check);
}

#[test]
fn server_session() {
    replay("server_session", |seed| {
        let script = server_session::Script::arbitrary_take_rest(Unstructured::new(seed));
        server_session::check(&script.expect("every input is a script"));
    });
}

#[test]
fn client_session() {
    replay("client_session", |seed| {
        let script = client_session::Script::arbitrary_take_rest(Unstructured::new(seed));
        client_session::check(&script.expect("every input is a script"));
    });
}
