use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use serde_json::Value;

use crate::process::Server;
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
    pub path: String,
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

    /// The floor, then stompbox, then the others.
    pub fn servers(&self) -> io::Result<Vec<Server>> {
        let unknown = |name: &&String| scenario::ALL.iter().all(|scenario| scenario.name != **name);
        if let Some(unknown) = self.scenarios.iter().find(unknown) {
            return Err(io::Error::other(format!("there is no scenario {unknown}; see --help")));
        }
        let own = env::current_exe()?.to_string_lossy().into_owned();
        let floor = vec![own, "--floor".into(), "127.0.0.1:{port}".into()];
        let mut servers = vec![Server { name: FLOOR.into(), command: floor }];
        let given = self.others.iter().find(|server| server.name == STOMPBOX);
        servers.push(given.map_or_else(built, |server| Ok(server.clone()))?);
        servers.extend(self.others.iter().filter(|server| server.name != STOMPBOX).cloned());
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
    Ok(Server { name: name.to_owned(), command })
}
