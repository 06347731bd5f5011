//! The Redis of the tests, and one of its own for a test that ends it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The URL of the Redis that was started for the tests.
pub(crate) fn url() -> String {
    std::env::var("REDIS_URL").expect("REDIS_URL names a Redis: tests/live/run brokers redis")
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
        let url = script("start", &folder);
        let url = url.trim().strip_prefix("REDIS_URL=").expect("its URL").to_owned();
        Self { folder, url }
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
