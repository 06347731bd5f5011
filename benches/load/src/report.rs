//! What is printed.

use serde_json::{Map, Value, json};

use crate::run::Figures;
use crate::scenario::Scenario;
use crate::stopped::Stopped;

/// A scenario and its runs, by server.
pub struct Measured {
    pub scenario: Scenario,
    pub runs: Vec<Vec<Figures>>,
}

/// A row of the table.
struct Row {
    /// The scenario that it is from.
    of: &'static str,
    /// What stands behind the scenario's title.
    what: &'static str,
    figure: fn(&Figures) -> f64,
    digits: usize,
    target: Target,
}

/// What stompbox must reach.
enum Target {
    /// So many times the floor's figure, or less.
    Times(f64),
    /// This figure, or less.
    AtMost(f64),
}

const ROWS: [Row; 11] = [
    row("fan-out", "", Figures::cpu_per_delivery, Target::Times(1.25)),
    row("fan-out-1", "", Figures::cpu_per_delivery, Target::Times(1.25)),
    row("rooms", "", Figures::cpu_per_delivery, Target::Times(1.25)),
    row("pairs", "", Figures::cpu_per_delivery, Target::Times(1.35)),
    row("publishers", "", Figures::cpu_per_delivery, Target::Times(1.3)),
    row("rate", "", Figures::cpu_per_delivery, Target::Times(1.3)),
    row("rate", ": p99, ms", |it| it.p99, Target::Times(1.2)),
    row("queue", "", Figures::cpu_per_delivery, Target::Times(2.0)),
    Row { digits: 0, ..row("idle", ": bytes of each", |it| it.bytes_new, Target::AtMost(4e3)) },
    Row {
        digits: 0,
        ..row("idle", ": bytes of each after a burst", |it| it.bytes_after, Target::AtMost(4e3))
    },
    Row {
        digits: 1,
        ..row("idle", ": CPU µs for making one", Figures::cpu_per_connection, Target::Times(2.5))
    },
];

const fn row(
    of: &'static str,
    what: &'static str,
    figure: fn(&Figures) -> f64,
    target: Target,
) -> Row {
    Row { of, what, figure, digits: 2, target }
}

/// How much longer the p99 of the others may be because of a stopped reader.
const STOPPED_P99: f64 = 1.25;

impl Figures {
    /// In microseconds.
    pub fn cpu_per_delivery(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.tally.deliveries.max(1) as f64
    }

    /// In microseconds.
    pub fn cpu_per_connection(&self) -> f64 {
        self.connect_cpu.as_secs_f64() * 1e6 / self.connections as f64
    }

    /// How many deliveries came in one read: about as many as the server has put into one write.
    pub fn deliveries_per_read(&self) -> f64 {
        self.tally.deliveries as f64 / self.reads.max(1) as f64
    }

    /// Deliveries a second.
    pub fn rate(&self) -> f64 {
        self.tally.deliveries as f64 / self.time.as_secs_f64()
    }
}

impl Measured {
    fn runs(&self) -> impl Iterator<Item = &Figures> {
        self.runs.iter().flatten()
    }

    pub fn figure(&self, server: usize, figure: fn(&Figures) -> f64) -> f64 {
        median(self.runs[server].iter().map(figure))
    }

    /// The median over the rounds of a server's figure over the floor's in the same round.
    fn ratio(&self, server: usize, figure: fn(&Figures) -> f64) -> f64 {
        let rounds = self.runs[server].iter().zip(&self.runs[0]);
        median(rounds.map(|(own, floor)| figure(own) / figure(floor)))
    }

    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(|row| row.of == self.scenario.name)
    }
}

/// Prints the table in Markdown: the floor first, then stompbox, then the others.
pub fn table(servers: &[&str], measured: &[Measured], stopped: &[Stopped]) {
    if !measured.is_empty() {
        ratios(servers, measured);
    }
    for stopped in stopped {
        stopped_reader(stopped);
    }
}

fn ratios(servers: &[&str], measured: &[Measured]) {
    let head = ["scenario", "floor", "stompbox", "ratio", "target"].iter().chain(&servers[2..]);
    println!("| {} |", head.copied().collect::<Vec<_>>().join(" | "));
    println!("| --- | ---: | ---: | ---: | ---: |{}", " ---: |".repeat(servers.len() - 2));
    for (measured, row) in measured.iter().flat_map(|it| it.rows().map(move |row| (it, row))) {
        let figure = |server| format!("{:.*}", row.digits, measured.figure(server, row.figure));
        let ratio = |server| format!("×{:.2}", measured.ratio(server, row.figure));
        let target = match row.target {
            Target::Times(times) => format!("×{times:.2}"),
            Target::AtMost(most) => format!("{most:.0}"),
        };
        let others = (2..servers.len()).map(|server| match row.target {
            Target::Times(_) => format!(" {} ({}) |", figure(server), ratio(server)),
            Target::AtMost(_) => format!(" {} |", figure(server)),
        });
        println!(
            "| {}{} | {} | {} | {} | {target} |{}",
            measured.scenario.title,
            row.what,
            figure(0),
            figure(1),
            if matches!(row.target, Target::Times(_)) { ratio(1) } else { "–".to_owned() },
            others.collect::<String>(),
        );
    }
    let runs = measured.first().map_or(0, |measured| measured.runs[0].len());
    println!(
        "\nServer CPU µs per delivery where nothing else is said; medians of {runs} runs, ratios \
         medians of the ratios of each round."
    );
}

fn stopped_reader(stopped: &Stopped) {
    let failed = stopped.failed_writes.map_or("unknown".to_owned(), |count| count.to_string());
    println!(
        "\nA stopped reader among 200, {}: p99 of the others ×{:.2} (target ×{STOPPED_P99}, median \
         of {} pairs), failed writes {failed}, memory at its peak {:+.2} MiB, its connection: {}.",
        stopped.server,
        stopped.p99(),
        stopped.pairs.len(),
        stopped.memory() / f64::from(1 << 20),
        stopped.end(),
    );
}

/// Prints what is behind the ratios.
pub fn details(servers: &[&str], measured: &[Measured]) {
    if measured.is_empty() {
        return;
    }
    println!(
        "\n| scenario | server | deliveries/s | a read | p50 ms | p99 ms | max ms | driver CPU µs | others' \
         processors | lost | duplicated | reordered |"
    );
    println!("| --- | --- |{}", " ---: |".repeat(10));
    for measured in measured {
        for (server, name) in servers.iter().enumerate() {
            let figure = |figure| measured.figure(server, figure);
            let own_cpu =
                |it: &Figures| it.own_cpu.as_secs_f64() * 1e6 / it.tally.deliveries.max(1) as f64;
            let runs = &measured.runs[server];
            let sum = |of: fn(&Figures) -> u64| runs.iter().map(of).sum::<u64>();
            println!(
                "| {} | {name} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} | {} |",
                measured.scenario.name,
                figure(Figures::rate),
                figure(Figures::deliveries_per_read),
                figure(|it| it.p50),
                figure(|it| it.p99),
                figure(|it| it.longest),
                figure(own_cpu),
                figure(|it| it.others),
                sum(|it| it.tally.lost),
                sum(|it| it.tally.duplicated),
                sum(|it| it.tally.reordered),
            );
        }
    }
}

/// One run, for who waits.
pub fn line(figures: &Figures) -> String {
    let tally = &figures.tally;
    format!(
        "{:.2} µs a delivery, {:.0}/s, p99 {:.2} ms, {} lost, {} duplicated, {} reordered",
        figures.cpu_per_delivery(),
        figures.rate(),
        figures.p99,
        tally.lost,
        tally.duplicated,
        tally.reordered
    )
}

/// All figures that there are targets for, and what came of the messages.
pub fn json(servers: &[&str], measured: &[Measured], stopped: &[Stopped]) -> Value {
    let mut scenarios = Map::new();
    for (measured, row) in measured.iter().flat_map(|it| it.rows().map(move |row| (it, row))) {
        let figures = servers.iter().enumerate().map(|(server, name)| {
            ((*name).to_owned(), rounded(measured.figure(server, row.figure)))
        });
        let mut figures: Map<_, _> = figures.collect();
        figures.insert("ratio".into(), rounded(measured.ratio(1, row.figure)));
        scenarios.insert(format!("{}{}", measured.scenario.name, row.what), figures.into());
    }
    for stopped in stopped {
        let figures = json!({
            "p99_ratio": rounded(stopped.p99()),
            "failed_writes": stopped.failed_writes,
            "peak_bytes": stopped.memory(),
            "ended": stopped.end(),
        });
        scenarios.insert(format!("stopped, {}", stopped.server), figures);
    }
    let mut json = totals(measured, stopped);
    json["scenarios"] = scenarios.into();
    json
}

/// What came of all messages of all runs.
pub fn totals(measured: &[Measured], stopped: &[Stopped]) -> Value {
    let sum = |of: fn(&Figures) -> u64| runs(measured, stopped).map(of).sum::<u64>();
    json!({
        "deliveries": sum(|it| it.tally.deliveries),
        "lost": sum(|it| it.tally.lost),
        "duplicated": sum(|it| it.tally.duplicated),
        "reordered": sum(|it| it.tally.reordered),
        "faults": sum(|it| it.tally.faults.len() as u64),
    })
}

/// All runs that were done.
pub fn runs<'a>(
    measured: &'a [Measured],
    stopped: &'a [Stopped],
) -> impl Iterator<Item = &'a Figures> {
    measured.iter().flat_map(Measured::runs).chain(stopped.iter().flat_map(Stopped::runs))
}

pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => figures[length / 2],
        length => f64::midpoint(figures[length / 2 - 1], figures[length / 2]),
    }
}

fn rounded(figure: f64) -> Value {
    json!((figure * 1e3).round() / 1e3)
}
