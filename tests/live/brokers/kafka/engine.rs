//! The Kafka of the tests, and one of its own for a test that ends it.

#[path = "../engine.rs"]
mod any;

pub(crate) use any::{Engine, setting};

/// The URL of the Kafka that was started for the tests.
pub(crate) fn url() -> String {
    setting("KAFKA_URL")
}

impl Engine {
    /// Starts one.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_new("kafka", "KAFKA_URL", name)
    }
}
