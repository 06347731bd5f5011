//! The frame codec of stompbox beside those of other STOMP crates, and beside two floors.
//!
//! All in one run, in interleaved rounds; figures are medians. Only what a codec reads right is
//! timed; the rest is listed. The last line is JSON for whoever checks it by program.

mod codec;
mod faults;
mod floor;
mod inputs;
mod measure;
mod ours;
mod report;
mod rivals;

use codec::{Codec, Stream};
use inputs::{Input, Output};
use measure::Entry;
use report::Row;

fn main() {
    // A codec that panics is reported as such.
    std::panic::set_hook(Box::new(|_| {}));
    let rivals = rivals::all();
    let mut rows: Vec<Row> =
        inputs::decoded().iter().map(|input| decode_row(input, &rivals)).collect();
    rows.extend(inputs::encoded().iter().map(|output| encode_row(output, &rivals)));
    report::table(&rows, &rivals);
    println!("\nRefused, or read as something else than STOMP 1.2 has it:\n");
    report::faults(&ours::Ours);
    for rival in &rivals {
        report::faults(rival.as_ref());
    }
    println!();
    println!("{}", report::json(&rows));
}

/// Times the decoding of a stream by all who read it right.
fn decode_row(input: &Input, rivals: &[Box<dyn Codec>]) -> Row {
    let stream = input.stream();
    let one = stream.chunk.map(|_| Stream { chunk: Some(stream.wire.len()), ..input.stream() });
    let expected = ours::read(&stream);
    assert!(expected.is_ok(), "our own codec refuses {}", input.name);
    let takes_part = |rival: &dyn Codec| rival.read(&stream) == expected;
    let mut entries = vec![
        Entry { prepare: Box::new(|| ours::Ours.decode(&stream)) },
        Entry { prepare: Box::new(|| Some(floor::walk(&stream))) },
        Entry { prepare: Box::new(|| Some(floor::copy(&stream))) },
        Entry { prepare: Box::new(|| one.as_ref().and_then(|one| ours::Ours.decode(one))) },
    ];
    for rival in rivals {
        let takes_part = takes_part(rival.as_ref());
        let decode = move |stream: &Stream<'_>| rival.decode(stream).filter(|_| takes_part);
        let stream = input.stream();
        entries.push(Entry { prepare: Box::new(move || decode(&stream)) });
    }
    Row::new(input.name, stream.times, &measure::interleaved(&entries))
}

/// Times the encoding of a frame by all whose bytes say what they should.
fn encode_row(output: &Output, rivals: &[Box<dyn Codec>]) -> Row {
    let Output { name, frame, times, built } = output;
    let run = |codec: &dyn Codec| match built {
        true => codec.build(frame, *times),
        false => codec.encode(frame, *times),
    };
    let wire = ours::Ours.write(frame);
    let mut entries = vec![
        Entry { prepare: Box::new(|| Some(run(&ours::Ours))) },
        // Encoding has nothing to walk over.
        Entry { prepare: Box::new(|| None) },
        Entry { prepare: Box::new(|| Some(floor::copy_encoded(wire.clone(), *times))) },
        Entry { prepare: Box::new(|| None) },
    ];
    for rival in rivals {
        let wire = rival.write(frame);
        let read = ours::read(&Stream { wire: &wire, times: 1, chunk: None });
        let takes_part = read == Ok(vec![frame.seen()]);
        entries.push(Entry { prepare: Box::new(move || takes_part.then(|| run(rival.as_ref()))) });
    }
    Row::new(name, *times, &measure::interleaved(&entries))
}
