//! The `stompbox` program, as docs/brokers.md starts it, and those who use it over TCP.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A `stompbox serve` on ports that are free, which ends with this.
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
        let mut process = Command::new(env!("CARGO_BIN_EXE_stompbox"))
            .args(["serve", "--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0"])
            .args(arguments)
            .env("STOMPBOX_BROKER", url)
            .envs(environment.iter().cloned())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        let mut address = |label| lines.find_map(|line| Some(line.strip_prefix(label)?.to_owned()));
        let (web_socket, tcp) = (address("ws: ws://"), address("tcp: "));
        let mut program = Self { process, web_socket: String::new(), tcp: String::new() };
        // A program that does not say where it listens ends with this, too.
        let web_socket = web_socket.expect("the address that it listens on");
        web_socket.trim_end_matches("/ws").clone_into(&mut program.web_socket);
        program.tcp = tcp.expect("the address that it listens on");
        program
    }

    /// Connects a client.
    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(&self.tcp).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        let mut client = Client(BufReader::new(stream));
        client.send("CONNECT\naccept-version:1.2\nhost:localhost\nheart-beat:0,0\n\n");
        assert!(client.receive().starts_with("CONNECTED\n"));
        client
    }

    /// Does to it what a crash does.
    pub(crate) fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
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

/// A client that knows no more of STOMP than its frames.
pub(crate) struct Client(BufReader<TcpStream>);

#[allow(dead_code, reason = "not every engine's tests do everything with it")]
impl Client {
    pub(crate) fn send(&mut self, frame: &str) {
        self.0.get_mut().write_all(format!("{frame}\0").as_bytes()).expect("sent");
    }

    pub(crate) fn receive(&mut self) -> String {
        let mut frame = Vec::new();
        self.0.read_until(0, &mut frame).expect("a frame in time");
        let frame = String::from_utf8(frame).expect("text");
        frame.trim_start().trim_end_matches('\0').to_owned()
    }

    pub(crate) fn subscribe(&mut self, room: &str, more: &str) {
        self.send(&format!("SUBSCRIBE\nid:0\nreceipt:r\ndestination:{room}\n{more}\n"));
        assert!(self.receive().starts_with("RECEIPT\n"));
    }

    pub(crate) fn publish(&mut self, room: &str, body: &str) {
        self.send(&format!("SEND\nreceipt:r\ndestination:{room}\n\n{body}"));
    }
}
