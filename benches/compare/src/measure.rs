//! Timing in interleaved rounds: what disturbs the machine disturbs all alike.

use std::time::{Duration, Instant};

use crate::codec::Run;

/// Rounds of a row, unless its time is up before.
const ROUNDS: usize = 401;
/// Rounds at least.
const LEAST: usize = 5;
/// How long a row may take, its preparations included.
const ROW: Duration = Duration::from_secs(6);

/// One participant of a row.
pub struct Entry<'a> {
    /// Makes what is timed, anew for each round.
    pub prepare: Box<dyn Fn() -> Option<Run> + 'a>,
}

/// The times of one participant in nanoseconds, a round each; empty if it does not take part.
pub type Times = Vec<f64>;

/// Times all participants, one after the other, round by round.
pub fn interleaved(entries: &[Entry<'_>]) -> Vec<Times> {
    let mut times = vec![Times::new(); entries.len()];
    let begin = Instant::now();
    for round in 0..ROUNDS {
        if round >= LEAST && begin.elapsed() > ROW {
            break;
        }
        for (entry, times) in entries.iter().zip(&mut times) {
            if let Some(mut run) = (entry.prepare)() {
                let start = Instant::now();
                std::hint::black_box(run());
                times.push(start.elapsed().as_nanos() as f64);
            }
        }
    }
    times
}

/// The middle value; `None` if there is none.
pub fn median(times: &[f64]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The median of the ratios of each round; `None` if one of the two did not take part.
pub fn ratio(over: &[f64], under: &[f64]) -> Option<f64> {
    let ratios: Times = over.iter().zip(under).map(|(over, under)| over / under).collect();
    median(&ratios)
}
