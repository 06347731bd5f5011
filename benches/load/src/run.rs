use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::clients::{Clients, Tally};
use crate::process::{Engine, Machine, Running, Server, own_cpu};
use crate::scenario::{Scenario, Special};
use crate::sockets::Sockets;

/// What one run of a scenario against one server has shown.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub tally: Tally,
    /// The latency that half of the deliveries did not exceed, 99 % and all, in milliseconds.
    pub p50: f64,
    pub p99: f64,
    pub longest: f64,
    /// From the first message sent to the last delivery.
    pub time: Duration,
    /// How many reads of the driver brought something meanwhile.
    pub reads: u64,
    /// The server's processor time for it, ACKs included.
    pub cpu: Duration,
    /// That of the engine behind it.
    pub engine_cpu: Duration,
    /// The driver's.
    pub own_cpu: Duration,
    /// What all other processes used meanwhile, in processors.
    pub others: f64,
    pub connections: usize,
    /// The server's processor time for making all connections.
    pub connect_cpu: Duration,
    /// How much the server has grown for each connection, in bytes: when they were new, and after
    /// the messages.
    pub bytes_new: f64,
    pub bytes_after: f64,
    /// The most that the server ever had, in bytes.
    pub peak: u64,
}

/// How many connections are being made at a time.
const AT_A_TIME: usize = 64;
/// How long making all connections may take, and all messages.
const CONNECTING: Duration = Duration::from_secs(60);
const MESSAGES: Duration = Duration::from_secs(120);
/// How long nothing may come.
const STALL: Duration = Duration::from_secs(5);
/// How long is waited for what should not come.
const LINGER: Duration = Duration::from_millis(200);
/// How long idle connections are held before they are looked at.
const HOLD: Duration = Duration::from_secs(1);
/// How long the connection of a stopped reader is read at the end, to see how it ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a scenario is run.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub scenario: Scenario,
    /// Whether there is one more subscriber, who stops reading.
    pub stopped_reader: bool,
    /// What the server is started by, if anything.
    pub before: &'a [&'a str],
}

impl Run<'_> {
    /// Starts the server, runs the scenario and ends the server.
    pub fn against(&self, server: &Server) -> io::Result<Figures> {
        let running = server.start(self.before)?;
        let load = Load {
            sockets: Sockets::new()?,
            clients: Clients::new(self.scenario, self.stopped_reader),
            address: running.address,
            path: &server.path,
        };
        self.measure(load, &running, server.engine)
    }

    fn measure(
        &self,
        mut load: Load<'_>,
        server: &Running,
        engine: Option<Engine>,
    ) -> io::Result<Figures> {
        let connections = load.clients.count();
        let mut figures = Figures { connections, ..Figures::default() };
        let (memory, cpu) = (server.resident()?, server.cpu()?);
        let engine_cpu = || engine.map_or(Ok(Duration::ZERO), Engine::cpu);
        let growth = |server: &Running| -> io::Result<f64> {
            Ok((server.resident()? as f64 - memory as f64) / connections as f64)
        };
        load.connect()?;
        load.pass(LINGER)?;
        figures.connect_cpu = server.cpu()? - cpu;
        if self.scenario.special == Special::Connections {
            load.pass(HOLD)?;
        }
        figures.bytes_new = growth(server)?;

        let stopped = self.stopped_reader.then(|| connections - 1);
        if let Some(stopped) = stopped {
            load.sockets.read_from(stopped, false)?;
        }
        let (machine, cpu, own) = (Machine::now()?, server.cpu()?, own_cpu()?);
        let before = engine_cpu()?;
        let reads = load.sockets.reads;
        figures.time = load.publish()?;
        figures.reads = load.sockets.reads - reads;
        if self.scenario.is_queue() {
            load.leave_queue()?;
        }
        figures.cpu = server.cpu()? - cpu;
        figures.engine_cpu = engine_cpu()?.saturating_sub(before);
        figures.own_cpu = own_cpu()? - own;
        let others = Machine::now()?.since(machine);
        let ours = figures.cpu + figures.engine_cpu + figures.own_cpu;
        let others = others.saturating_sub(ours);
        figures.others = others.as_secs_f64() / figures.time.as_secs_f64();

        load.pass(LINGER)?;
        figures.bytes_after = growth(server)?;
        figures.peak = server.peak()?;
        if self.scenario.is_queue() {
            load.look_for_more()?;
        }
        if let Some(stopped) = stopped {
            load.sockets.read_from(stopped, true)?;
            load.pass(LAST_WORDS)?;
        }
        load.clients.count_lost();
        let mut latencies = std::mem::take(&mut load.clients.tally.latencies);
        figures.p50 = latencies.percentile(50.0);
        figures.p99 = latencies.percentile(99.0);
        figures.longest = latencies.percentile(100.0);
        figures.tally = load.clients.tally;
        Ok(figures)
    }
}

/// The clients and their sockets.
struct Load<'a> {
    sockets: Sockets,
    clients: Clients,
    address: SocketAddr,
    path: &'a str,
}

impl Load<'_> {
    /// Connects and subscribes everybody.
    fn connect(&mut self) -> io::Result<()> {
        let (start, all) = (Instant::now(), self.clients.count());
        let mut opened = 0;
        while self.clients.connected < all
            || self.clients.receipts < self.clients.expected_receipts()
        {
            while opened < all && opened - self.clients.connected < AT_A_TIME {
                self.sockets.open(self.address, self.path)?;
                opened += 1;
            }
            self.turn(LINGER)?;
            if let Some(fault) = self.clients.tally.faults.first() {
                return Err(io::Error::other(fault.clone()));
            }
            if start.elapsed() > CONNECTING {
                let connected = self.clients.connected;
                return Err(io::Error::other(format!("only {connected} of {all} came up")));
            }
        }
        Ok(())
    }

    /// Publishes all messages; returns how long it took until the last was delivered.
    fn publish(&mut self) -> io::Result<Duration> {
        self.clients.publishing.begin();
        let start = Instant::now();
        let (mut last, mut deliveries) = (start, 0);
        self.clients.publishing.pump(&mut self.sockets.outgoing);
        while !self.clients.publishing.is_done() {
            self.turn(self.clients.publishing.wait())?;
            self.clients.publishing.pump(&mut self.sockets.outgoing);
            let now = Instant::now();
            if deliveries != self.clients.tally.deliveries {
                (last, deliveries) = (now, self.clients.tally.deliveries);
            }
            if now - last > STALL || now - start > MESSAGES {
                self.clients.fault(format!("{deliveries} deliveries, and then no more"));
                break;
            }
        }
        Ok(last - start)
    }

    /// The consumers disconnect, after which all ACKs have been read.
    fn leave_queue(&mut self) -> io::Result<()> {
        let start = Instant::now();
        self.clients.leave(&mut self.sockets.outgoing);
        while self.clients.are_leaving() {
            self.turn(LINGER)?;
            if start.elapsed() > STALL {
                self.clients.fault("no answer to DISCONNECT".to_owned());
                break;
            }
        }
        Ok(())
    }

    /// Whatever a new consumer of the queue gets is delivered a second time.
    fn look_for_more(&mut self) -> io::Result<()> {
        self.clients.late_consumer();
        self.sockets.open(self.address, self.path)?;
        self.pass(2 * LINGER)
    }

    /// Goes on for some time.
    fn pass(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left)?;
        }
    }

    fn turn(&mut self, at_most: Duration) -> io::Result<()> {
        let Self { sockets, clients, .. } = self;
        sockets.turn(at_most, |event, outgoing| clients.take(event, outgoing))
    }
}
