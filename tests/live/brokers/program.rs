//! The `stompbox` program, as docs/brokers.md starts it.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A `stompbox serve` on ports that are free, which ends with this.
#[allow(dead_code, reason = "not every test uses both of its ports")]
pub(crate) struct Program {
    process: Child,
    /// Where it takes WebSockets, at the path `/ws`: a host and a port.
    pub(crate) web_socket: String,
    /// Where it takes STOMP over TCP: a host and a port.
    pub(crate) tcp: String,
}

#[allow(dead_code, reason = "not every engine's tests do everything with it")]
impl Program {
    /// Starts one over the engine at a URL, with more settings of the environment.
    pub(crate) fn start(url: &str, environment: &[(&str, String)]) -> Self {
        Self::start_with(url, &[], environment)
    }

    /// Starts one with more arguments as well.
    pub(crate) fn start_with(
        url: &str,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Self {
        Self::try_start(url, arguments, environment).expect("it connects")
    }

    /// The error is what one says that does not start.
    pub(crate) fn try_start(
        url: &str,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Result<Self, String> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stompbox"))
            .args(["serve", "--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0"])
            .args(arguments)
            .env("STOMPBOX_BROKER", url)
            .envs(environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        let mut address = |label| lines.find_map(|line| Some(line.strip_prefix(label)?.to_owned()));
        // Read all the time, or one that says much would wait for ever.
        let errors = process.stderr.take().expect("its errors");
        let errors = std::thread::spawn(|| std::io::read_to_string(errors));
        let (Some(web_socket), Some(tcp)) = (address("ws: ws://"), address("tcp: ")) else {
            drop(process.wait());
            return Err(errors.join().expect("no panic").expect("text"));
        };
        let web_socket = web_socket.trim_end_matches("/ws").to_owned();
        Ok(Self { process, web_socket, tcp })
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let status = kill.args(["-s", signal, &self.process.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// Does to it what a crash does.
    pub(crate) fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// Ends it as a service manager does, and waits until it has ended.
    pub(crate) fn terminate(&mut self) {
        self.signal("TERM");
        let ended = self.process.wait().expect("it ends");
        assert!(ended.success(), "{ended}");
    }

    /// How many sockets it has open.
    pub(crate) fn sockets(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        let files = std::fs::read_dir(folder).expect("it runs");
        // One that was closed meanwhile is none.
        let open = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        let sockets = open.filter(|it| it.to_string_lossy().starts_with("socket:"));
        // A runtime has several files for one of them.
        sockets.collect::<HashSet<_>>().len()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
