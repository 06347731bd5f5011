//! The RabbitMQ of the tests, and one of its own for a test that ends it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The URL of the RabbitMQ that was started for the tests.
pub(crate) fn url() -> String {
    setting("RABBITMQ_AMQP")
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

/// Has it do something, as `rabbitmqctl`.
pub(crate) fn ctl(arguments: &[&str]) {
    let folder = setting("RABBITMQ_FOLDER");
    script_with("ctl", Path::new(&folder), arguments);
}

fn setting(name: &str) -> String {
    let missing = "names a RabbitMQ: tests/live/run brokers rabbitmq";
    std::env::var(name).unwrap_or_else(|_| panic!("{name} {missing}"))
}

/// A RabbitMQ with its data in a folder of its own, both gone with this.
pub(crate) struct Engine {
    folder: PathBuf,
    pub(crate) url: String,
}

impl Engine {
    /// Starts one.
    pub(crate) fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("stompbox-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder of its own");
        let settings = script("start", &folder);
        let url = settings.lines().find_map(|line| line.strip_prefix("RABBITMQ_AMQP="));
        Self { folder, url: url.expect("its URL").to_owned() }
    }

    /// Starts it again, on its data and its ports.
    pub(crate) fn start_again(&self) {
        script("start", &self.folder);
    }

    /// Has it do something, as `rabbitmqctl`. Returns what that prints.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        script_with("ctl", &self.folder, arguments)
    }

    /// Does to it what a crash does.
    pub(crate) fn kill(&self) {
        script("kill", &self.folder);
    }

    /// Lets it hang.
    pub(crate) fn pause(&self) {
        script("pause", &self.folder);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        script("resume", &self.folder);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        script("kill", &self.folder);
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn script(action: &str, folder: &Path) -> String {
    script_with(action, folder, &[])
}

fn script_with(action: &str, folder: &Path, more: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/engines/rabbitmq");
    let output = Command::new(script).arg(action).arg(folder).args(more).output().expect("bash");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "engines/rabbitmq {action}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
