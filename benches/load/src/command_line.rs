use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use serde_json::Value;

use crate::process::{Engine, Launch, Server};
use crate::scenario::{self, Scenario, Special};

/// Loads STOMP servers over real WebSocket connections and says what a delivery costs them.
#[derive(Debug, Parser)]
pub struct CommandLine {
    /// What to run: fan-out, fan-out-1, rooms, pairs, publishers, rate, queue, idle, stopped. All
    /// unless given.
    scenarios: Vec<String>,
    /// How often each scenario is run against each server; figures are medians.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many pairs of runs tell what a stopped reader costs the others.
    #[arg(long, default_value_t = 5)]
    pub pairs: usize,
    /// Another server to compare with: a name and the command that serves STOMP over WebSocket on
    /// 127.0.0.1:{port}. `stompbox` replaces the one that is built.
    #[arg(long = "server", value_name = "NAME=COMMAND", value_parser = server)]
    others: Vec<Server>,
    /// The path of the WebSocket endpoint on all servers.
    #[arg(long, default_value = "/")]
    path: String,
    /// One that is there already: a name, and its address with the path of its endpoint.
    #[arg(long, value_name = "NAME=HOST:PORT/PATH", value_parser = running)]
    running: Vec<Server>,
    /// The engine behind a server: the number of a process, which counts with all that it has
    /// started. With it the table says what the servers and their engines cost, without the floor.
    #[arg(long = "engine", value_name = "NAME=PROCESS", value_parser = engine)]
    engines: Vec<(String, Engine)>,
    /// Run small scenarios once, without the floor: whether anything is lost, not how fast it is.
    #[arg(long)]
    pub smoke: bool,
    /// Print the table of ratios, without the figures behind it.
    #[arg(long)]
    pub table: bool,
    /// Repeat a run during which other processes used more processors than this, four times at most.
    #[arg(long, value_name = "PROCESSORS", default_value_t = f64::INFINITY)]
    pub quiet: f64,
    /// Be the floor server on this address.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub floor: Option<String>,
}

const FLOOR: &str = "floor";
const STOMPBOX: &str = "stompbox";

impl CommandLine {
    pub fn runs(&self) -> usize {
        if self.smoke { 1 } else { self.runs.max(1) }
    }

    pub fn scenarios(&self) -> Vec<Scenario> {
        let wanted = |scenario: &Scenario| {
            self.scenarios.is_empty() || self.scenarios.iter().any(|name| name == scenario.name)
        };
        let scenarios = scenario::ALL.into_iter().filter(wanted);
        if !self.smoke {
            return scenarios.collect();
        }
        // A reader who stops is not noticed until megabytes have been sent.
        let scenarios = scenarios.filter(|it| it.special != Special::StoppedReader);
        scenarios.map(Scenario::small).collect()
    }

    /// Whether the servers have engines behind them.
    pub fn have_engines(&self) -> bool {
        !self.engines.is_empty()
    }

    /// The floor, then stompbox, then the others; of those with engines, only what is given.
    pub fn servers(&self) -> io::Result<Vec<Server>> {
        let unknown = |name: &&String| scenario::ALL.iter().all(|scenario| scenario.name != **name);
        if let Some(unknown) = self.scenarios.iter().find(unknown) {
            return Err(io::Error::other(format!("there is no scenario {unknown}; see --help")));
        }
        let mut servers = Vec::new();
        let (first, mut others): (Vec<_>, Vec<_>) =
            self.others.iter().cloned().partition(|server| server.name == STOMPBOX);
        if self.have_engines() {
            others.splice(..0, first);
        } else {
            let own = env::current_exe()?.to_string_lossy().into_owned();
            let floor = vec![own, "--floor".into(), "127.0.0.1:{port}".into()];
            servers.push(Server::new(FLOOR, Launch::Command(floor)));
            servers.push(first.into_iter().next().map_or_else(built, Ok)?);
        }
        servers.extend(others);
        for server in &mut servers {
            server.path.clone_from(&self.path);
        }
        servers.extend(self.running.iter().cloned());
        for (name, engine) in &self.engines {
            let server = servers.iter_mut().find(|server| server.name == *name);
            let server = server.ok_or_else(|| io::Error::other(format!("no server {name}")))?;
            server.engine = Some(*engine);
        }
        Ok(servers)
    }
}

/// The `stompbox` program of this repository, built for release.
fn built() -> io::Result<Server> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let arguments = "build --release --locked --features cli --bin stompbox --message-format json";
    let build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments.split(' '))
        .current_dir(repository)
        .stderr(Stdio::inherit())
        .output()?;
    let messages = String::from_utf8_lossy(&build.stdout);
    let program = messages.lines().rev().find_map(|message| {
        let message: Value = serde_json::from_str(message).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    let program = program.filter(|_| build.status.success());
    let program = program.ok_or_else(|| io::Error::other("stompbox was not built"))?;
    let command = format!("{} serve --ws 127.0.0.1:{{port}} --path /", program.display());
    server(&format!("{STOMPBOX}={command}")).map_err(io::Error::other)
}

fn server(argument: &str) -> Result<Server, String> {
    let (name, command) = argument.split_once('=').ok_or("a name, `=` and a command are needed")?;
    let command: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
    if !command.iter().any(|word| word.contains("{port}")) {
        return Err("the command has to say {port} somewhere".to_owned());
    }
    Ok(Server::new(name, Launch::Command(command)))
}

fn running(argument: &str) -> Result<Server, String> {
    let parts = argument.split_once('=').and_then(|(name, at)| Some((name, at.split_once('/')?)));
    let (name, (address, path)) = parts.ok_or("a name, `=`, an address and a path are needed")?;
    let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
    Ok(Server { path: format!("/{path}"), ..Server::new(name, Launch::Running(address)) })
}

fn engine(argument: &str) -> Result<(String, Engine), String> {
    let (name, process) = argument.split_once('=').ok_or("a name, `=` and a number are needed")?;
    let process = process.parse().map_err(|error| format!("{process}: {error}"))?;
    Ok((name.to_owned(), Engine(process)))
}
