//! The RabbitMQ of the tests, and one of its own for a test that ends it.

#[path = "../engine.rs"]
mod any;

pub(crate) use any::Engine;
use any::setting;

const SCRIPT: &str = "rabbitmq";
const URL: &str = "RABBITMQ_AMQP";

/// The URL of the RabbitMQ that was started for the tests.
pub(crate) fn url() -> String {
    setting(URL)
}

/// The same over TLS.
pub(crate) fn tls_url() -> String {
    setting("RABBITMQ_AMQPS")
}

/// The file with the certificate of the authority that has issued its own.
pub(crate) fn authority() -> String {
    setting("RABBITMQ_AUTHORITY")
}

/// The address of its STOMP plugin.
pub(crate) fn plugin() -> String {
    setting("RABBITMQ_TCP")
}

/// Has it do something, as `rabbitmqctl`. Returns what that prints.
pub(crate) fn ctl(arguments: &[&str]) -> String {
    Engine::lent(SCRIPT, URL).ctl(arguments)
}

impl Engine {
    /// Starts one.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_new(SCRIPT, URL, name)
    }

    /// Has it do something, as [`ctl`].
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        self.call(&[&["ctl"], arguments].concat())
    }
}
