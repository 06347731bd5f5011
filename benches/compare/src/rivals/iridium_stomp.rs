//! iridium-stomp: a tokio codec; frames own their strings.

use std::hint::black_box;

use bytes::BytesMut;
use iridium_stomp::{Frame, StompCodec, StompItem};
use tokio_util::codec::Encoder;

use super::{read_framed, time_framed};
use crate::codec::{Codec, Outgoing, Run, Seen, Stream};

pub(super) struct Iridium;

impl Codec for Iridium {
    fn name(&self) -> &'static str {
        "iridium-stomp 0.6.0"
    }

    fn read(&self, stream: &Stream<'_>) -> Result<Vec<Seen>, String> {
        let mut seen = Vec::new();
        read_framed(StompCodec::new(), stream, |item| {
            if let StompItem::Frame(frame) = item {
                let mut names: Vec<_> = frame.headers.iter().map(|(name, _)| name).collect();
                names.sort();
                names.dedup();
                let value = |name| frame.get_header(name).unwrap_or_default();
                let headers = names.into_iter().map(|name| (name.as_str(), value(name)));
                seen.push(Seen::new(&frame.command, headers, &frame.body));
            }
        })?;
        Ok(seen)
    }

    fn decode(&self, stream: &Stream<'_>) -> Option<Run> {
        Some(time_framed(StompCodec::new(), stream))
    }

    fn write(&self, frame: &Outgoing) -> Vec<u8> {
        let mut out = BytesMut::new();
        let encoded = StompCodec::new().encode(item(frame), &mut out);
        encoded.map(|()| out.to_vec()).unwrap_or_default()
    }

    fn encode(&self, frame: &Outgoing, times: usize) -> Run {
        let mut out = BytesMut::with_capacity(2 * self.write(frame).len());
        let mut items = vec![item(frame); times];
        let mut codec = StompCodec::new();
        Box::new(move || {
            for item in items.drain(..) {
                out.clear();
                black_box(codec.encode(item, &mut out).is_ok());
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
                let built = item(black_box(&frame));
                black_box(StompCodec::new().encode(built, &mut out).is_ok());
                black_box(&out);
            }
            times
        })
    }
}

fn item(frame: &Outgoing) -> StompItem {
    let first = Frame::new("SEND").header("destination", &frame.destination);
    let headers = frame.headers.iter();
    let all = headers.fold(first, |frame, (name, value)| frame.header(name, value));
    StompItem::Frame(all.set_body(frame.body.clone()))
}
