//! The NATS of the tests, and one of its own for a test that ends it.

#[path = "../engine.rs"]
mod any;

pub(crate) use any::Engine;
use any::setting;

use crate::nats_monitor;

const SCRIPT: &str = "nats";
const URL: &str = "NATS_URL";

/// The URL of the NATS that was started for the tests.
pub(crate) fn url() -> String {
    setting(URL)
}

impl Engine {
    /// Starts one.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_new(SCRIPT, URL, name)
    }

    /// With what stands in its configuration.
    pub(crate) fn start_with(name: &str, configuration: &str) -> Self {
        Self::start_configured(SCRIPT, URL, name, configuration)
    }

    pub(crate) fn start_without_jetstream(name: &str) -> Self {
        Self::start_as("start-core", SCRIPT, URL, name, "")
    }

    /// With TLS alone, and what stands in its configuration.
    pub(crate) fn start_with_tls(name: &str, configuration: &str) -> Self {
        Self::start_as("start-tls", SCRIPT, URL, name, configuration)
    }

    /// What it tells of its connections and their subscriptions, as JSON.
    pub(crate) fn connections(&self) -> String {
        nats_monitor::ask(&self.settings, "/connz?subs=1")
    }

    /// The file of its certificate.
    pub(crate) fn certificate(&self) -> String {
        self.settings["NATS_CERTIFICATE"].clone()
    }
}
