use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A NATS of the test's own, in a folder and on a port of its own.
pub(crate) struct Engine {
    folder: PathBuf,
    pub(crate) url: String,
    /// Where it tells what it has done.
    monitor: String,
    /// The file of its certificate, if it has one.
    pub(crate) certificate: String,
    /// How it is started.
    how: &'static str,
}

impl Engine {
    /// The name tells it from those of other tests.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_with(name, "")
    }

    /// With what stands in its configuration.
    pub(crate) fn start_with(name: &str, configuration: &str) -> Self {
        Self::start_as("start", name, configuration)
    }

    pub(crate) fn start_without_jetstream(name: &str) -> Self {
        Self::start_as("start-core", name, "")
    }

    /// With TLS alone, and what stands in its configuration.
    pub(crate) fn start_with_tls(name: &str, configuration: &str) -> Self {
        Self::start_as("start-tls", name, configuration)
    }

    fn start_as(how: &'static str, name: &str, configuration: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("stompbox-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("configuration"), configuration).expect("a file");
        let mut engine = Self {
            folder,
            url: String::new(),
            monitor: String::new(),
            certificate: String::new(),
            how,
        };
        engine.start_again();
        engine
    }

    /// On the same port.
    pub(crate) fn start_again(&mut self) {
        let printed = self.call(self.how);
        for (name, value) in printed.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "NATS_URL" => value.clone_into(&mut self.url),
                "NATS_MONITOR" => value.clone_into(&mut self.monitor),
                "NATS_CERTIFICATE" => value.clone_into(&mut self.certificate),
                _ => {}
            }
        }
    }

    /// What it tells of its connections and their subscriptions, as JSON.
    pub(crate) fn connections(&self) -> String {
        let mut stream = TcpStream::connect(&self.monitor).expect("a monitor");
        stream.write_all(b"GET /connz?subs=1 HTTP/1.0\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
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
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/engines/nats");
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
