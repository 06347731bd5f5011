//! Loads STOMP servers over real WebSocket connections on loopback, and says what a delivery costs
//! them: in processor time, in latency and in memory.
//!
//! The servers run as processes of their own, a fresh one for each run, in turn, so that all figures
//! of a run are of one machine at one time. The floor is one of them: figures are ratios to it. The
//! last line of the output is JSON for whoever checks it by program.

mod clients;
mod command_line;
mod engines;
mod floor;
mod incoming;
mod process;
mod publishing;
mod record;
mod report;
mod run;
mod scenario;
mod sockets;
mod stamp;
mod stomp;
mod stopped;
mod websocket;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use command_line::CommandLine;
use process::Server;
use report::Measured;
use run::{Figures, Run};
use scenario::{Scenario, Special};

/// How often a run is repeated at the most because other processes were busy.
const REPEATS: usize = 4;

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let result = match &command_line.floor {
        Some(address) => floor::serve(address).map(|()| true),
        None => measure(&command_line),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("stompbox-load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything and prints it; returns whether nothing was lost, duplicated or reordered.
fn measure(command_line: &CommandLine) -> io::Result<bool> {
    // The servers inherit it.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut servers = command_line.servers()?;
    if command_line.smoke && !command_line.have_engines() {
        servers.remove(0);
    }
    let mut measured = Vec::new();
    let mut stopped = Vec::new();
    for scenario in command_line.scenarios() {
        if scenario.special == Special::StoppedReader {
            // The floor keeps all of it, and never closes.
            for server in &servers[1..] {
                stopped.push(stopped::measure(scenario, server, command_line)?);
            }
        } else {
            measured.push(interleaved(scenario, &servers, command_line)?);
        }
    }
    let names: Vec<_> = servers.iter().map(|server| server.name.as_str()).collect();
    if command_line.smoke {
        println!("{}", report::totals(&measured, &stopped));
    } else if command_line.have_engines() {
        engines::table(&names, &measured);
    } else {
        report::table(&names, &measured, &stopped);
        if !command_line.table {
            report::details(&names, &measured);
        }
        println!("\n{}", report::json(&names, &measured, &stopped));
    }
    let runs = report::runs(&measured, &stopped);
    Ok(runs.fold(true, |clean, figures| clean & is_clean(figures)))
}

/// Runs a scenario against all servers in turn, so often as is wanted.
fn interleaved(
    scenario: Scenario,
    servers: &[Server],
    command_line: &CommandLine,
) -> io::Result<Measured> {
    let mut runs = vec![Vec::new(); servers.len()];
    for round in 0..command_line.runs() {
        for (server, runs) in servers.iter().zip(&mut runs) {
            eprint!("{}, {}, run {}: ", scenario.name, server.name, round + 1);
            runs.push(quiet(scenario, server, false, command_line)?);
        }
    }
    Ok(Measured { scenario, runs })
}

/// One run, again where other processes were too busy meanwhile.
fn quiet(
    scenario: Scenario,
    server: &Server,
    stopped_reader: bool,
    command_line: &CommandLine,
) -> io::Result<Figures> {
    let run = Run { scenario, stopped_reader, before: &[] };
    let mut figures = run.against(server)?;
    for _ in 0..REPEATS {
        if figures.others <= command_line.quiet {
            break;
        }
        eprint!("({:.2} processors used by others, again) ", figures.others);
        figures = run.against(server)?;
    }
    eprintln!("{}", report::line(&figures));
    for fault in &figures.tally.faults {
        eprintln!("FAULT: {fault}");
    }
    Ok(figures)
}

/// Whether all came once and in order, and nothing else was wrong.
fn is_clean(figures: &Figures) -> bool {
    let tally = &figures.tally;
    tally.lost + tally.duplicated + tally.reordered == 0 && tally.faults.is_empty()
}
