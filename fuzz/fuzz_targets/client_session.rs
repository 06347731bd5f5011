#![no_main]

#[path = "../src/client_session/mod.rs"]
mod client_session;

libfuzzer_sys::fuzz_target!(|script: client_session::Script| client_session::check(&script));
