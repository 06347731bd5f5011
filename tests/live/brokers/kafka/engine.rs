use std::path::{Path, PathBuf};
use std::process::Command;

/// A Kafka of the test's own, in a folder and on a port of its own.
pub(crate) struct Engine {
    folder: PathBuf,
    pub(crate) url: String,
}

impl Engine {
    /// The name tells it from those of other tests.
    pub(crate) fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("stompbox-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut engine = Self { folder, url: String::new() };
        engine.start_again();
        engine
    }

    /// On the same data and the same port.
    pub(crate) fn start_again(&mut self) {
        let printed = self.call("start");
        let url = printed.lines().find_map(|line| line.strip_prefix("KAFKA_URL="));
        url.expect("a URL").clone_into(&mut self.url);
    }

    pub(crate) fn kill(&self) {
        self.call("kill");
    }

    pub(crate) fn pause(&self) {
        self.call("pause");
    }

    pub(crate) fn resume(&self) {
        self.call("resume");
    }

    fn call(&self, what: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/engines/kafka");
        let output = Command::new(script).arg(what).arg(&self.folder).output().expect("a script");
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.call("stop");
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
