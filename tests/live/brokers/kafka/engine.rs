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

    /// Starts one that has clients of one listener come to this port. Returns the URL of that listener.
    pub(crate) fn start_behind(name: &str, proxy: u16) -> (Self, String) {
        let configuration = format!("proxy={proxy}\n");
        let engine = Self::start_configured("kafka", "KAFKA_URL", name, &configuration);
        let proxied = engine.settings["KAFKA_PROXIED"].clone();
        (engine, proxied)
    }
}
