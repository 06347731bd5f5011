//! What a reader who stops costs the others, and the server.

use std::fs;
use std::io;
use std::process::Command;

use crate::command_line::CommandLine;
use crate::process::Server;
use crate::report::median;
use crate::run::{Figures, Run};
use crate::scenario::Scenario;

/// Pairs of runs against one server, without and with a reader that stops.
pub struct Stopped {
    pub server: String,
    pub pairs: Vec<[Figures; 2]>,
    /// How many writes of the server failed since a socket was full; `None` where that cannot be
    /// counted.
    pub failed_writes: Option<u64>,
}

pub fn measure(
    scenario: Scenario,
    server: &Server,
    command_line: &CommandLine,
) -> io::Result<Stopped> {
    let mut pairs = Vec::new();
    for pair in 0..command_line.pairs {
        let run = |stopped| {
            let how = if stopped { "with" } else { "without" };
            eprint!("{}, {}, pair {}, {how}: ", scenario.name, server.name, pair + 1);
            crate::quiet(scenario, server, stopped, command_line)
        };
        pairs.push([run(false)?, run(true)?]);
    }
    let failed_writes = failed_writes(scenario, server)?;
    Ok(Stopped { server: server.name.clone(), pairs, failed_writes })
}

impl Stopped {
    /// The p99 of the others with the stopped reader over that without: the median of the pairs.
    pub fn p99(&self) -> f64 {
        median(self.pairs.iter().map(|[without, with]| with.p99 / without.p99))
    }

    /// By how much the server's memory was higher at its peak, in bytes.
    pub fn memory(&self) -> f64 {
        median(self.pairs.iter().map(|[without, with]| with.peak as f64 - without.peak as f64))
    }

    /// How the stopped reader's connection ended.
    pub fn end(&self) -> &str {
        let last = self.pairs.last().and_then(|[_, with]| with.tally.stopped.as_deref());
        last.unwrap_or("not closed")
    }

    pub fn runs(&self) -> impl Iterator<Item = &Figures> {
        self.pairs.iter().flatten()
    }
}

/// Among how many subscribers the stopped reader is while strace, which is slow, counts.
const COUNTED_AMONG: usize = 10;

/// Runs the scenario with the stopped reader once more under strace, which counts.
fn failed_writes(scenario: Scenario, server: &Server) -> io::Result<Option<u64>> {
    if Command::new("strace").arg("-V").output().is_err() {
        return Ok(None);
    }
    let trace = std::env::temp_dir().join(format!("stompbox-load-{}", std::process::id()));
    let file = trace.to_string_lossy();
    let calls = "trace=write,writev,sendto,sendmsg";
    let before =
        ["strace", "-f", "--seccomp-bpf", "-qq", "-o", &file, "-e", calls, "-e", "status=failed"];
    let scenario = Scenario { subscribers: COUNTED_AMONG, ..scenario };
    let run = Run { scenario, stopped_reader: true, before: &before };
    run.against(server)?;
    let calls = fs::read_to_string(&trace)?;
    fs::remove_file(trace)?;
    Ok(Some(calls.lines().filter(|call| call.contains("EAGAIN")).count() as u64))
}
