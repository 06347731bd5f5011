#![no_main]

#[path = "../src/server_session/mod.rs"]
mod server_session;

libfuzzer_sys::fuzz_target!(|script: server_session::Script| server_session::check(&script));
