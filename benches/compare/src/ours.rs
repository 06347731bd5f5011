//! stompbox.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use stompbox::frame::{Command, Decoder, Frame, Leniency, Limits, Version};

use crate::codec::{Codec, Outgoing, Run, Seen, Stream};

/// stompbox's codec, strict and with its default limits (but for the row of 1 MiB, which is just
/// above the default).
pub struct Ours;

/// Largest body of the inputs, in octets.
const BODY: usize = 2 << 20;

fn decoder() -> Decoder {
    let mut decoder = Decoder::new(Limits::default().with_body(BODY), Leniency::strict());
    decoder.set_version(Version::V1_2);
    decoder
}

/// Everything that came out of a stream, by its own decoder.
pub fn read(stream: &Stream<'_>) -> Result<Vec<Seen>, String> {
    let mut decoder = decoder();
    let mut seen = Vec::new();
    for chunk in stream.chunks() {
        decoder.feed_slice(&chunk);
        while let Some(frame) = decoder.next_frame().map_err(|error| error.to_string())? {
            // The first of repeated headers is the one that a user gets.
            let headers = frame.headers();
            let first = |name: &str| headers.get(name).unwrap_or_default().into_owned();
            let mut names: Vec<_> = headers.iter().map(|(name, _)| name.into_owned()).collect();
            names.sort();
            names.dedup();
            let headers = names.into_iter().map(|name| (name.clone(), first(&name)));
            seen.push(Seen::new(frame.command().as_str(), headers, frame.body()));
        }
    }
    Ok(seen)
}

impl Codec for Ours {
    fn name(&self) -> &'static str {
        "stompbox"
    }

    fn read(&self, stream: &Stream<'_>) -> Result<Vec<Seen>, String> {
        read(stream)
    }

    fn decode(&self, stream: &Stream<'_>) -> Option<Run> {
        let mut decoder = decoder();
        if stream.chunk.is_some() {
            let chunks = stream.chunks();
            return Some(Box::new(move || {
                let mut frames = 0;
                for chunk in &chunks {
                    decoder.feed_slice(chunk);
                    while let Ok(Some(frame)) = decoder.next_frame() {
                        black_box(&frame);
                        frames += 1;
                    }
                }
                frames
            }));
        }
        let mut whole = Bytes::from(BytesMut::from(&stream.wire.repeat(stream.times)[..]));
        Some(Box::new(move || {
            decoder.feed(std::mem::take(&mut whole));
            let mut frames = 0;
            while let Ok(Some(frame)) = decoder.next_frame() {
                black_box(&frame);
                frames += 1;
            }
            frames
        }))
    }

    fn write(&self, frame: &Outgoing) -> Vec<u8> {
        let mut out = BytesMut::new();
        to_frame(frame).encode_into(Version::V1_2, &mut out);
        out.to_vec()
    }

    fn encode(&self, frame: &Outgoing, times: usize) -> Run {
        let frame = to_frame(frame);
        let mut out = BytesMut::with_capacity(2 * frame.encoded_len(Version::V1_2));
        Box::new(move || {
            for _ in 0..times {
                out.clear();
                black_box(&frame).encode_into(Version::V1_2, &mut out);
                black_box(&out);
            }
            times
        })
    }

    fn build(&self, frame: &Outgoing, times: usize) -> Run {
        let frame = frame.clone();
        let mut out = BytesMut::with_capacity(2 * self.write(&frame).len());
        Box::new(move || {
            for _ in 0..times {
                out.clear();
                to_frame(black_box(&frame)).encode_into(Version::V1_2, &mut out);
                black_box(&out);
            }
            times
        })
    }
}

fn to_frame(frame: &Outgoing) -> Frame {
    let first = Frame::new(Command::Send).with_header("destination", &frame.destination);
    let headers = frame.headers.iter();
    headers
        .fold(first, |frame, (name, value)| frame.with_header(name, value))
        .with_body(&frame.body)
}
