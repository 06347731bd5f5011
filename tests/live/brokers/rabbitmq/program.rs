//! The program over RabbitMQ.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::engine::url;

/// A `stompbox serve`, which ends with this.
pub(crate) struct Program {
    process: Child,
    pub(crate) address: String,
}

impl Program {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stompbox"))
            .args(["serve", "--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0"])
            .env("STOMPBOX_BROKER", url())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.strip_prefix("tcp: ")?.to_owned()));
        Self { process, address: address.expect("the address that it listens on") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
