//! The Redis of the tests, and one of its own for a test that ends it.

#[path = "../engine.rs"]
mod any;

pub(crate) use any::{Engine, setting};

/// The URL of the Redis that was started for the tests.
pub(crate) fn url() -> String {
    setting("REDIS_URL")
}

impl Engine {
    /// Starts one.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_new("redis", "REDIS_URL", name)
    }
}
