//! The frame codec alone: `cargo bench --bench frame`. Beside its rivals and the floor it stands in
//! `compare/`.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, measurement::WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use stompbox::frame::{Decoder, Frame, Leniency, Limits, Version};

#[path = "instructions/wire.rs"]
mod wire;

criterion_group!(benches, decode, encode);
criterion_main!(benches);

/// Octets in a read of a busy socket; small frames come so many at once.
const READ: usize = 16 * 1024;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    one_read(&mut group, "small", &wire::small());
    one_read(&mut group, "13 headers", &wire::headers13());
    one_read(&mut group, "64 KiB, content-length", &wire::large(64 << 10, true));
    one_read(&mut group, "64 KiB, open", &wire::large(64 << 10, false));
    one_read(&mut group, "heart-beats", b"\n");
    let large = wire::large(1 << 20, false);
    in_chunks(&mut group, "1 MiB, open, one chunk", &large, large.len());
    in_chunks(&mut group, "1 MiB, open, 1 KiB chunks", &large, 1 << 10);
    group.finish();
}

/// The frame as often as a read holds it, in a buffer that is not copied.
fn one_read(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, wire: &[u8]) {
    let times = (READ / wire.len()).max(1);
    let read = BytesMut::from(&wire.repeat(times)[..]).freeze();
    group.throughput(Throughput::Bytes(read.len() as u64));
    group.bench_function(name, |bencher| {
        let mut decoder = decoder();
        bencher.iter_batched(
            || Bytes::clone(&read),
            |read| {
                decoder.feed(read);
                drain(&mut decoder);
            },
            BatchSize::SmallInput,
        );
    });
}

fn in_chunks(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, wire: &[u8], chunk: usize) {
    group.throughput(Throughput::Bytes(wire.len() as u64));
    group.bench_function(name, |bencher| {
        let mut decoder = decoder();
        bencher.iter(|| {
            for chunk in black_box(wire).chunks(chunk) {
                decoder.feed_slice(chunk);
                drain(&mut decoder);
            }
        });
    });
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, wire) in [
        ("small", wire::small()),
        ("13 headers", wire::headers13()),
        ("64 KiB", wire::large(64 << 10, true)),
    ] {
        let decoded = first(&wire);
        let headers = decoded.headers().iter().filter(|(name, _)| name != "content-length");
        let built = headers.fold(Frame::new(decoded.command()), |frame, (name, value)| {
            frame.with_header(name, value)
        });
        let built = built.with_body(decoded.body());
        group.throughput(Throughput::Bytes(wire.len() as u64));
        for (how, frame) in [("built", &built), ("decoded", &decoded)] {
            let mut out = BytesMut::with_capacity(2 * wire.len());
            group.bench_function(format!("{name}, {how}"), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    black_box(frame).encode_into(Version::V1_2, &mut out);
                    black_box(&out);
                });
            });
        }
    }
    group.finish();
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::new(Limits::default().with_body(2 << 20), Leniency::strict());
    decoder.set_version(Version::V1_2);
    decoder
}

fn drain(decoder: &mut Decoder) {
    while let Ok(Some(frame)) = decoder.next_frame() {
        black_box(frame);
    }
}

fn first(wire: &[u8]) -> Frame {
    let mut decoder = decoder();
    decoder.feed_slice(wire);
    let frame = decoder.next_frame().ok().flatten();
    frame.unwrap_or_else(|| unreachable!("the frame is complete"))
}
