//! The other STOMP codecs in Rust, each as its own users call it.

mod async_stomp;
mod iridium_stomp;
mod stomp_parser;
mod tokio_stomp;

use std::hint::black_box;

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use crate::codec::{Codec, Run, Stream};

/// Every rival.
pub fn all() -> Vec<Box<dyn Codec>> {
    vec![
        Box::new(iridium_stomp::Iridium),
        Box::new(async_stomp::AsyncStomp),
        Box::new(stomp_parser::StompParser),
        Box::new(tokio_stomp::TokioStomp),
    ]
}

/// Reads a stream as `tokio_util`'s `Framed` does: each read goes behind what is left, and the codec
/// is called until it has nothing more.
fn read_framed<D: Decoder>(
    mut codec: D,
    stream: &Stream<'_>,
    mut each: impl FnMut(D::Item),
) -> Result<(), String>
where
    D::Error: std::fmt::Display,
{
    let mut source = BytesMut::new();
    for chunk in stream.chunks() {
        source.extend_from_slice(&chunk);
        while let Some(item) = codec.decode(&mut source).map_err(|error| error.to_string())? {
            each(item);
        }
    }
    if source.is_empty() { Ok(()) } else { Err(format!("leaves {} octets", source.len())) }
}

/// The same, to be timed. What came in one piece stands in the buffer beforehand.
fn time_framed<D: Decoder + 'static>(mut codec: D, stream: &Stream<'_>) -> Run {
    let chunks = stream.chunks();
    let (first, others) = chunks.split_first().expect("a stream is not empty");
    let mut source = BytesMut::from(&first[..]);
    let others = others.to_vec();
    Box::new(move || {
        let mut items = 0;
        let mut chunks = others.iter();
        loop {
            while let Ok(Some(item)) = codec.decode(&mut source) {
                black_box(&item);
                items += 1;
            }
            let Some(chunk) = chunks.next() else {
                return items;
            };
            source.extend_from_slice(chunk);
        }
    })
}
