//! What is printed.

use serde_json::{Value, json};

use crate::codec::Codec;
use crate::faults;
use crate::inputs::CHUNKED;
use crate::measure::{Times, median, ratio};

/// One row of the table.
pub struct Row {
    name: &'static str,
    /// Our time for one frame in nanoseconds.
    ours: f64,
    /// Our time over that of the walk, of the copy, and of our own decoder when all comes at once.
    walk: Option<f64>,
    copy: Option<f64>,
    one_chunk: Option<f64>,
    /// Each rival's time over ours; `None` where it does not take part.
    rivals: Vec<Option<f64>>,
}

impl Row {
    /// The medians of a row: ours, the walk, the copy, ours in one chunk, and the rivals.
    pub fn new(name: &'static str, frames: usize, times: &[Times]) -> Self {
        let [ours, walk, copy, one_chunk, rivals @ ..] = times else {
            panic!("four participants and the rivals");
        };
        Self {
            name,
            ours: median(ours).expect("our codec takes part") / frames as f64,
            walk: ratio(ours, walk),
            copy: ratio(ours, copy),
            one_chunk: ratio(ours, one_chunk),
            rivals: rivals.iter().map(|rival| ratio(rival, ours)).collect(),
        }
    }

    /// The fastest rival's time over ours.
    fn best_rival(&self) -> Option<f64> {
        self.rivals.iter().flatten().copied().min_by(f64::total_cmp)
    }
}

/// Prints the table in Markdown.
pub fn table(rows: &[Row], rivals: &[Box<dyn Codec>]) {
    println!("| | stompbox | over walk | over memcpy |{}", header(rivals));
    println!("| --- | ---: | ---: | ---: |{}", " ---: |".repeat(rivals.len()));
    for row in rows {
        let rivals = row.rivals.iter().map(|ratio| format!(" {} |", times(*ratio)));
        println!(
            "| {} | {} | {} | {} |{}",
            row.name,
            duration(row.ours),
            times(row.walk),
            times(row.copy),
            rivals.collect::<String>(),
        );
    }
    println!(
        "\nTime of stompbox for one frame (heart-beat, octet); its time over that of a bare memchr \
         walk and of a memcpy;\neach rival's time over that of stompbox. –: takes no part, see \
         below."
    );
    for row in rows {
        if let Some(ratio) = row.one_chunk {
            println!("{}: {ratio:.2}× the time of stompbox in one chunk.", row.name);
        }
    }
    let behind = rows.iter().filter(|row| row.best_rival().is_some_and(|ratio| ratio < 1.0));
    for row in behind {
        println!("Not the fastest: {}.", row.name);
    }
}

/// Prints what a codec does not do as the specification has it.
pub fn faults(codec: &dyn Codec) {
    let faults = faults::of(codec);
    println!("- {}: {}", codec.name(), if faults.is_empty() { "nothing" } else { "" });
    for fault in faults {
        println!("  - {fault}");
    }
}

/// The figures that there are targets for.
pub fn json(rows: &[Row]) -> Value {
    let row = |name: &str| rows.iter().find(|row| row.name == name);
    let figure = |name: &str, of: fn(&Row) -> Option<f64>| row(name).and_then(of).map(rounded);
    json!({
        "small_vs_best_rival": figure("small", Row::best_rival),
        "headers13_vs_best_rival": figure("13 headers", Row::best_rival),
        "small_vs_walk": figure("small", |row| row.walk),
        "chunked_vs_one": figure(CHUNKED, |row| row.one_chunk),
        "encode_vs_memcpy": figure("encode small", |row| row.copy),
    })
}

fn header(rivals: &[Box<dyn Codec>]) -> String {
    rivals.iter().map(|rival| format!(" {} |", rival.name())).collect()
}

fn times(ratio: Option<f64>) -> String {
    match ratio {
        None => "–".to_owned(),
        Some(ratio) if ratio < 100.0 => format!("{ratio:.2}×"),
        Some(ratio) => format!("{ratio:.0}×"),
    }
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

fn rounded(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}
