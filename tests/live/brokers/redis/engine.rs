//! The Redis of the tests, and one of its own for a test that ends it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The URL of the Redis that was started for the tests.
pub(crate) fn url() -> String {
    setting("REDIS_URL")
}

/// A setting that `tests/live/run` has from the script that starts Redis.
pub(crate) fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by: tests/live/run brokers redis"))
}

/// A Redis with its data in a folder of its own, both gone with this.
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
        let url = settings.lines().find_map(|line| line.strip_prefix("REDIS_URL="));
        Self { url: url.expect("its URL").to_owned(), folder }
    }

    /// Starts it again, on its data and its port.
    pub(crate) fn start_again(&self) {
        script("start", &self.folder);
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
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/engines/redis");
    let output = Command::new(script).arg(action).arg(folder).output().expect("bash");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "engines/redis {action}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
