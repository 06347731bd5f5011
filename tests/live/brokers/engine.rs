//! An engine that a test started, or that `tests/live/run` started for all of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `tests/live/run` says about the engine that it started, by the name of the setting.
pub(crate) fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by tests/live/run"))
}

/// An engine whose data is in a folder of its own, started and ended by its script in
/// `tests/live/engines`.
pub(crate) struct Engine {
    script: &'static str,
    /// What its script is asked to start it.
    start: &'static str,
    folder: PathBuf,
    /// Whether somebody else ends it, and removes its folder.
    lent: bool,
    /// Where clients connect.
    pub(crate) url: String,
    /// All that the script says about it.
    pub(crate) settings: HashMap<String, String>,
}

#[allow(dead_code, reason = "not every engine's tests do everything to it")]
impl Engine {
    /// Starts one. The name tells it from those of other tests, and `url` is the setting with its URL.
    pub(crate) fn start_new(script: &'static str, url: &str, name: &str) -> Self {
        Self::start_configured(script, url, name, "")
    }

    /// Starts one, with more in its configuration, where the script has one.
    pub(crate) fn start_configured(
        script: &'static str,
        url: &str,
        name: &str,
        configuration: &str,
    ) -> Self {
        Self::start_as("start", script, url, name, configuration)
    }

    /// Starts one by another action of its script than `start`.
    pub(crate) fn start_as(
        start: &'static str,
        script: &'static str,
        url: &str,
        name: &str,
        configuration: &str,
    ) -> Self {
        let folder = std::env::temp_dir().join(format!("stompbox-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder of its own");
        std::fs::write(folder.join("configuration"), configuration).expect("a file");
        let mut engine = Self {
            script,
            start,
            folder,
            lent: false,
            url: String::new(),
            settings: HashMap::new(),
        };
        engine.settings = parse(&engine.call(&[start]));
        engine.url = engine.settings.get(url).expect("its URL").clone();
        engine
    }

    /// The one that `tests/live/run` started, which goes on after the test.
    pub(crate) fn lent(script: &'static str, url: &str) -> Self {
        let folder = PathBuf::from(setting("LIVE_ENGINE"));
        let settings = std::env::vars().collect();
        Self { script, start: "start", folder, lent: true, url: setting(url), settings }
    }

    /// Starts it again, on its data and its ports.
    pub(crate) fn start_again(&self) {
        self.call(&[self.start]);
    }

    /// Does to it what a crash does.
    pub(crate) fn kill(&self) {
        self.call(&["kill"]);
    }

    /// Lets it hang.
    pub(crate) fn pause(&self) {
        self.call(&["pause"]);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.call(&["resume"]);
    }

    /// A file in its folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Calls its script. Returns what that printed.
    pub(crate) fn call(&self, action: &[&str]) -> String {
        let [action, more @ ..] = action else { panic!("no action") };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/engines");
        let script = script.join(self.script);
        let output = Command::new(script).arg(action).arg(&self.folder).args(more).output();
        let output = output.expect("bash");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "engines/{} {action}: {said}", self.script);
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !self.lent {
            self.call(&["stop"]);
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}

/// Lines such as `REDIS_URL=redis://127.0.0.1:6379`.
fn parse(settings: &str) -> HashMap<String, String> {
    let pairs = settings.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
