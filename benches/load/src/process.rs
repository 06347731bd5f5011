//! Servers as processes: started for one run, looked at from outside, and killed.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;

/// A server to measure, as it was named on the command line.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: String,
    pub launch: Launch,
    /// Of the WebSocket endpoint.
    pub path: String,
    /// The engine behind it: its processor time is measured, too.
    pub engine: Option<Engine>,
}

/// How there comes to be a server.
#[derive(Debug, Clone)]
pub enum Launch {
    /// The program and its arguments, `{port}` in one of them.
    Command(Vec<String>),
    /// It is there: what it costs is its engine's.
    Running(SocketAddr),
}

/// A server that runs, until this is dropped.
pub struct Running {
    /// `None` if somebody else has started it.
    process: Option<Process>,
    pub address: SocketAddr,
}

struct Process {
    child: Child,
    pid: Pid,
}

/// A process that runs already, with all that it has started.
#[derive(Debug, Clone, Copy)]
pub struct Engine(pub i32);

/// What the machine's processors have done since it started.
#[derive(Debug, Clone, Copy)]
pub struct Machine(Duration);

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// In which /proc/stat counts (`USER_HZ`, which is 100 on every Linux there is).
const TICK: Duration = Duration::from_millis(10);

impl Server {
    pub fn new(name: &str, launch: Launch) -> Self {
        Self { name: name.to_owned(), launch, path: "/".to_owned(), engine: None }
    }

    /// Starts it on a free port and waits until it listens there. `before` goes before the command.
    pub fn start(&self, before: &[&str]) -> io::Result<Running> {
        let own = match &self.launch {
            Launch::Command(command) => command,
            Launch::Running(address) => return Ok(Running { process: None, address: *address }),
        };
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let port = free.port().to_string();
        let command: Vec<_> = before.iter().map(|word| (*word).to_owned()).collect();
        let rest = own.iter().map(|word| word.replace("{port}", &port));
        let command: Vec<_> = command.into_iter().chain(rest).collect();
        let child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", command[0])))?;
        let pid = Pid::from_raw(child.id() as i32);
        let mut process = Process { child, pid };
        if !before.is_empty() {
            process.pid = process.first_child()?;
        }
        let deadline = Instant::now() + START;
        while TcpStream::connect(free).is_err() {
            if let Some(status) = process.child.try_wait()? {
                return Err(io::Error::other(format!("{} ended: {status}", self.name)));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{} does not listen", self.name)));
            }
            sleep(Duration::from_millis(10));
        }
        // It may still be busy with that connection.
        sleep(Duration::from_millis(50));
        Ok(Running { process: Some(process), address: free })
    }
}

impl Running {
    /// Its processor time.
    pub fn cpu(&self) -> io::Result<Duration> {
        self.process.as_ref().map_or(Ok(Duration::ZERO), |process| cpu(process.pid))
    }

    /// Resident bytes, exactly (`status` is behind by some pages a thread).
    pub fn resident(&self) -> io::Result<u64> {
        self.kilobytes("smaps_rollup", "Rss:")
    }

    /// The most that was ever resident, in bytes.
    pub fn peak(&self) -> io::Result<u64> {
        self.kilobytes("status", "VmHWM:")
    }

    fn kilobytes(&self, file: &str, field: &str) -> io::Result<u64> {
        self.process.as_ref().map_or(Ok(0), |process| process.kilobytes(file, field))
    }
}

impl Engine {
    /// The processor time of the process and of those that it has started and that still run.
    pub fn cpu(self) -> io::Result<Duration> {
        let mut sum = Duration::ZERO;
        let mut processes = vec![Pid::from_raw(self.0)];
        while let Some(process) = processes.pop() {
            sum += cpu(process)?;
            processes.extend(children(process)?);
        }
        Ok(sum)
    }
}

/// The processor time of all threads of a process, ended ones included: the sum of user and system
/// time in /proc/PID/stat, by the clock behind it instead of in ticks of 10 ms.
fn cpu(process: Pid) -> io::Result<Duration> {
    Ok(Duration::from(ClockId::pid_cpu_clock_id(process)?.now()?))
}

fn children(process: Pid) -> io::Result<Vec<Pid>> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // Which may just have ended.
        let listed = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        let pids = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
        children.extend(pids.map(Pid::from_raw));
    }
    Ok(children)
}

impl Process {
    /// The process that this one has started, as `strace` starts what it traces.
    fn first_child(&self) -> io::Result<Pid> {
        for _ in 0..200 {
            // The last: strace starts others, for a moment, to find out what it can do.
            if let Some(child) = children(self.pid)?.pop() {
                return Ok(child);
            }
            sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("it has started nothing"))
    }

    fn kilobytes(&self, file: &str, field: &str) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        number.map(|kilobytes| kilobytes << 10).ok_or_else(|| io::Error::other(field.to_owned()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Otherwise it has ended itself. Who has started it ends with it.
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Machine {
    pub fn now() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let ticks = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
        let ticks: Vec<u32> = ticks.map_while(|tick| tick.parse().ok()).collect();
        // user, nice, system; then idle and waiting; then interrupts, and what the host took.
        let busy = ticks.iter().take(3).chain(ticks.iter().skip(5).take(3)).sum::<u32>();
        Ok(Self(TICK * busy))
    }

    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The processor time of this process.
pub fn own_cpu() -> io::Result<Duration> {
    Ok(Duration::from(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?))
}
