//! The frame codec for callgrind, which counts instructions: figures that repeat exactly.
//!
//! `benches/instructions/run` prints them. Called by hand, with the name of an operation, this does
//! it [`TIMES`] times; without one it names them all.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use stompbox::frame::{
    Command, Decoder, Encoder, Frame, FrameRef, HeaderName, Leniency, Limits, SharedMessage,
    Version,
};

mod wire;

/// How often an operation is done.
const TIMES: usize = 1000;

type Operation = fn() -> Box<dyn FnMut()>;

const OPERATIONS: [(&str, Operation); 13] = [
    ("decode-small", || decode(&wire::small())),
    ("decode-13-headers", || decode(&wire::headers13())),
    ("decode-64KiB-content-length", || decode(&wire::large(64 << 10, true))),
    ("decode-64KiB-open", || decode(&wire::large(64 << 10, false))),
    ("decode-64-heart-beats", heart_beats),
    ("borrow-small", borrow_small),
    ("header-by-name", header_by_name),
    ("encode-small-built", encode_built),
    ("build-and-encode-small", || build_and_encode(&wire::small())),
    ("build-and-encode-13-headers", || build_and_encode(&wire::headers13())),
    ("encode-small-decoded", encode_decoded),
    ("encode-small-by-encoder", encode_by_encoder),
    ("share-small", share_small),
];

fn main() {
    let name = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    match name.and_then(|name| OPERATIONS.iter().find(|(known, _)| *known == name)) {
        Some((_, operation)) => counted(&mut *operation()),
        None => OPERATIONS.iter().for_each(|(name, _)| println!("{name}")),
    }
}

/// What is counted: callgrind collects within this function.
#[inline(never)]
fn counted(operation: &mut dyn FnMut()) {
    for _ in 0..TIMES {
        operation();
    }
}

/// Decodes one frame out of many in one buffer.
fn decode(wire: &[u8]) -> Box<dyn FnMut()> {
    let mut decoder = decoder();
    decoder.feed(BytesMut::from(&wire.repeat(TIMES)[..]).freeze());
    Box::new(move || {
        black_box(decoder.next_frame().is_ok());
    })
}

fn heart_beats() -> Box<dyn FnMut()> {
    let mut decoder = decoder();
    Box::new(move || {
        decoder.feed(Bytes::from_static(&[b'\n'; 64]));
        black_box(decoder.next_frame().is_ok());
    })
}

fn borrow_small() -> Box<dyn FnMut()> {
    let (wire, limits) = (wire::small(), Limits::default());
    Box::new(move || {
        let frame = FrameRef::parse(&wire, Version::V1_2, &limits, Leniency::strict());
        black_box(frame.is_ok());
    })
}

fn header_by_name() -> Box<dyn FnMut()> {
    let frame = decoded();
    Box::new(move || {
        black_box(black_box(&frame).header(HeaderName::Destination));
    })
}

fn encode_built() -> Box<dyn FnMut()> {
    let (headers, body) = contents(&wire::small());
    encode(build(&headers, &body))
}

/// Builds a frame by the texts of its names, as a program does, and encodes it.
fn build_and_encode(wire: &[u8]) -> Box<dyn FnMut()> {
    let (headers, body) = contents(wire);
    let mut out = BytesMut::with_capacity(1024);
    Box::new(move || {
        out.clear();
        build(black_box(&headers), black_box(&body)).encode_into(Version::V1_2, &mut out);
    })
}

fn build(headers: &[(String, String)], body: &[u8]) -> Frame {
    let headers = headers.iter();
    headers
        .fold(Frame::new(Command::Message), |frame, (name, value)| frame.with_header(name, value))
        .with_body(body)
}

/// The headers of a frame, without `content-length`, and its body.
fn contents(wire: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
    let frame = first_of(wire);
    let headers = frame.headers().iter().filter(|(name, _)| name != "content-length");
    let headers = headers.map(|(name, value)| (name.into_owned(), value.into_owned()));
    (headers.collect(), frame.body().to_vec())
}

fn encode_decoded() -> Box<dyn FnMut()> {
    encode(decoded())
}

fn encode(frame: Frame) -> Box<dyn FnMut()> {
    let mut out = BytesMut::with_capacity(1024);
    Box::new(move || {
        out.clear();
        black_box(&frame).encode_into(Version::V1_2, &mut out);
    })
}

fn encode_by_encoder() -> Box<dyn FnMut()> {
    let (frame, mut out) = (decoded(), BytesMut::with_capacity(1024));
    Box::new(move || {
        out.clear();
        let mut encoder = Encoder::new(&mut out, Version::V1_2, Command::Message);
        encoder
            .header(HeaderName::Subscription, black_box("0"))
            .header(HeaderName::MessageId, black_box("17-204"))
            .header(HeaderName::Destination, black_box("/topic/room/5"));
        encoder.finish(frame.body());
    })
}

fn share_small() -> Box<dyn FnMut()> {
    let frame = decoded();
    Box::new(move || {
        let headers = [("content-type", "application/json")];
        black_box(SharedMessage::new("/topic/room/5", headers, frame.body()));
    })
}

fn decoded() -> Frame {
    first_of(&wire::small())
}

fn first_of(wire: &[u8]) -> Frame {
    let mut decoder = decoder();
    decoder.feed_slice(wire);
    let frame = decoder.next_frame().ok().flatten();
    frame.unwrap_or_else(|| Frame::new(Command::Error))
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::new(Limits::default(), Leniency::strict());
    decoder.set_version(Version::V1_2);
    decoder
}
