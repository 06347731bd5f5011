//! What is printed of servers with engines behind them.

use crate::report::Measured;
use crate::run::Figures;

impl Figures {
    /// In microseconds.
    fn engine_cpu_per_delivery(&self) -> f64 {
        self.engine_cpu.as_secs_f64() * 1e6 / self.tally.deliveries.max(1) as f64
    }
}

/// Prints the table in Markdown: for each scenario and server what a delivery costs the server, and
/// what it costs its engine.
pub fn table(servers: &[&str], measured: &[Measured]) {
    println!(
        "| scenario | server | deliveries/s | p50 ms | p99 ms | server CPU µs | engine CPU µs | both |"
    );
    println!("| --- | --- |{}", " ---: |".repeat(6));
    for measured in measured {
        for (server, name) in servers.iter().enumerate() {
            let figure = |figure| measured.figure(server, figure);
            let [own, engine] =
                [figure(Figures::cpu_per_delivery), figure(Figures::engine_cpu_per_delivery)];
            println!(
                "| {} | {name} | {:.0} | {:.2} | {:.2} | {own:.2} | {engine:.2} | {:.2} |",
                measured.scenario.title,
                figure(Figures::rate),
                figure(|it| it.p50),
                figure(|it| it.p99),
                own + engine,
            );
        }
    }
    let runs = measured.first().map_or(0, |measured| measured.runs[0].len());
    println!("\nCPU µs per delivery; medians of {runs} runs.");
}
