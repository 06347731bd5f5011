//! A program of a test's own, and those who use it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A `stompbox serve`, which ends with this.
pub(crate) struct Program {
    process: Child,
    address: String,
}

impl Program {
    pub(crate) fn start(url: &str, environment: &[(&str, String)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stompbox"))
            .args(["serve", "--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0"])
            .env("STOMPBOX_BROKER", url)
            .envs(environment.iter().cloned())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.strip_prefix("tcp: ")?.to_owned()));
        Self { process, address: address.expect("the address that it listens on") }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        let mut client = Client(BufReader::new(stream));
        client.send("CONNECT\naccept-version:1.2\nhost:localhost\nheart-beat:0,0\n\n");
        assert!(client.receive().starts_with("CONNECTED\n"));
        client
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A client of such a program, over TCP.
pub(crate) struct Client(BufReader<TcpStream>);

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
