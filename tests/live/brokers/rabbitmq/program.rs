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
        Self::start_with(&url(), &[]).expect("it connects")
    }

    /// With this broker, and this added to its environment. The error is what it says.
    pub(crate) fn start_with(url: &str, environment: &[(&str, &str)]) -> Result<Self, String> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stompbox"))
            .args(["serve", "--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0"])
            .env("STOMPBOX_BROKER", url)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        match lines.find_map(|line| Some(line.strip_prefix("tcp: ")?.to_owned())) {
            Some(address) => Ok(Self { process, address }),
            None => {
                let ended = process.wait_with_output().expect("it ends");
                Err(String::from_utf8_lossy(&ended.stderr).into_owned())
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
