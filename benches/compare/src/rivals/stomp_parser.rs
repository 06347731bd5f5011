//! stomp-parser: a parser on nom of one frame, whose end the caller has to know.

use std::hint::black_box;

use stomp_parser::client::{SendFrame, SendFrameBuilder};
use stomp_parser::headers::{CustomValue, DecodableValue, HeaderValue};
use stomp_parser::server::ServerFrame;

use crate::codec::{Codec, Outgoing, Run, Seen, Stream};

pub(super) struct StompParser;

impl Codec for StompParser {
    fn name(&self) -> &'static str {
        "stomp-parser 0.8.0"
    }

    fn read(&self, stream: &Stream<'_>) -> Result<Vec<Seen>, String> {
        // Each frame, and each chunk, as one that came in a message of its own.
        let messages = match stream.chunk {
            None => vec![stream.wire.to_vec(); stream.times],
            Some(_) => stream.chunks(),
        };
        messages.into_iter().map(see).collect()
    }

    fn decode(&self, stream: &Stream<'_>) -> Option<Run> {
        if stream.chunk.is_some() {
            return None;
        }
        let mut messages = vec![stream.wire.to_vec(); stream.times];
        Some(Box::new(move || {
            let mut frames = 0;
            for message in messages.drain(..) {
                let frame = ServerFrame::try_from(message);
                frames += usize::from(black_box(&frame).is_ok());
            }
            frames
        }))
    }

    fn write(&self, frame: &Outgoing) -> Vec<u8> {
        builder(frame).build().into()
    }

    fn encode(&self, frame: &Outgoing, times: usize) -> Run {
        let mut builders: Vec<_> = (0..times).map(|_| builder(frame)).collect();
        Box::new(move || {
            for builder in builders.drain(..) {
                let frame: SendFrame<'_> = builder.build();
                let wire: Vec<u8> = frame.into();
                black_box(&wire);
            }
            times
        })
    }

    fn build(&self, frame: &Outgoing, times: usize) -> Run {
        let frame = frame.clone();
        Box::new(move || {
            for _ in 0..times {
                let built: SendFrame<'_> = builder(black_box(&frame)).build();
                let wire: Vec<u8> = built.into();
                black_box(&wire);
            }
            times
        })
    }
}

fn builder(frame: &Outgoing) -> SendFrameBuilder {
    let mut builder = SendFrameBuilder::new(frame.destination.clone());
    for (name, value) in &frame.headers {
        builder = builder.add_custom_header(name.clone(), value.clone());
    }
    let length = u32::try_from(frame.body.len()).unwrap_or(u32::MAX);
    builder.content_length(length).body(frame.body.clone())
}

fn see(message: Vec<u8>) -> Result<Seen, String> {
    // Headers are read while the frame lives: those that outlive it dangle.
    let frame = ServerFrame::try_from(message).map_err(|error| format!("{error:?}"))?;
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut own = |name: &str, value: Option<String>| {
        headers.extend(value.map(|value| (name.to_owned(), value)));
    };
    match &frame {
        ServerFrame::Message(message) => {
            own("destination", Some(decoded(message.destination())?));
            own("message-id", Some(decoded(message.message_id())?));
            own("subscription", Some(decoded(message.subscription())?));
            own("content-type", message.content_type().map(decoded).transpose()?);
            for custom in &message.custom {
                let name = custom.decoded_name().map_err(|error| format!("{error:?}"))?;
                let name = name.either(str::to_owned, |name| name);
                if headers.iter().all(|(other, _)| *other != name) {
                    headers.push((name, decoded::<CustomValue>(custom)?));
                }
            }
            let body = message.body().unwrap_or_default();
            Ok(Seen::new("MESSAGE", headers, body))
        }
        ServerFrame::Connected(connected) => {
            own("version", Some(connected.version().value().to_string()));
            own("session", connected.session().map(|session| session.value().to_owned()));
            own("server", connected.server().map(|server| server.value().to_owned()));
            let heart_beat = connected.heartbeat();
            own("heart-beat", heart_beat.map(|interval| interval.value().to_string()));
            Ok(Seen::new("CONNECTED", headers, b""))
        }
        ServerFrame::Receipt(receipt) => {
            own("receipt-id", Some(decoded(receipt.receipt_id())?));
            Ok(Seen::new("RECEIPT", headers, b""))
        }
        ServerFrame::Error(_) => Err("no case needs ERROR".to_owned()),
    }
}

fn decoded<V: DecodableValue + HeaderValue>(value: &V) -> Result<String, String> {
    let decoded = value.decoded_value().map_err(|error| format!("{error:?}"))?;
    Ok(decoded.either(str::to_owned, |value| value))
}
