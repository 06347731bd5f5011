//! tokio-stomp: the ancestor of async-stomp, on nom.

use std::hint::black_box;

use bytes::BytesMut;
use tokio_stomp::client::ClientCodec;
use tokio_stomp::{FromServer, Message, ToServer};
use tokio_util::codec::Encoder;

use super::{read_framed, time_framed};
use crate::codec::{Codec, Outgoing, Run, Seen, Stream};

pub(super) struct TokioStomp;

impl Codec for TokioStomp {
    fn name(&self) -> &'static str {
        "tokio-stomp 0.4.0"
    }

    fn read(&self, stream: &Stream<'_>) -> Result<Vec<Seen>, String> {
        let mut seen = Vec::new();
        read_framed(ClientCodec, stream, |message| seen.push(see(message)))?;
        Ok(seen)
    }

    fn decode(&self, stream: &Stream<'_>) -> Option<Run> {
        Some(time_framed(ClientCodec, stream))
    }

    fn write(&self, frame: &Outgoing) -> Vec<u8> {
        let mut out = BytesMut::new();
        let encoded = ClientCodec.encode(message(frame), &mut out);
        encoded.map(|()| out.to_vec()).unwrap_or_default()
    }

    fn encode(&self, frame: &Outgoing, times: usize) -> Run {
        let mut out = BytesMut::with_capacity(2 * self.write(frame).len());
        let mut messages: Vec<_> = (0..times).map(|_| message(frame)).collect();
        Box::new(move || {
            for message in messages.drain(..) {
                out.clear();
                black_box(ClientCodec.encode(message, &mut out).is_ok());
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
                let built = message(black_box(&frame));
                black_box(ClientCodec.encode(built, &mut out).is_ok());
                black_box(&out);
            }
            times
        })
    }
}

fn message(frame: &Outgoing) -> Message<ToServer> {
    let (destination, body) = (frame.destination.clone(), Some(frame.body.clone()));
    let headers = frame.headers.iter();
    Message {
        content: ToServer::Send { destination, transaction: None, body },
        extra_headers: headers
            .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
            .collect(),
    }
}

fn see(message: Message<FromServer>) -> Seen {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in &message.extra_headers {
        let text = |octets| String::from_utf8_lossy(octets).into_owned();
        let (name, value) = (text(name), text(value));
        if headers.iter().all(|(other, _)| *other != name) {
            headers.push((name, value));
        }
    }
    let mut own = |name: &str, value: Option<String>| {
        headers.extend(value.map(|value| (name.to_owned(), value)));
    };
    let (command, body) = match message.content {
        FromServer::Connected { version, session, server, heartbeat } => {
            own("version", Some(version));
            own("session", session);
            own("server", server);
            own("heart-beat", heartbeat);
            ("CONNECTED", None)
        }
        FromServer::Message { destination, message_id, subscription, body } => {
            own("destination", Some(destination));
            own("message-id", Some(message_id));
            own("subscription", Some(subscription));
            ("MESSAGE", body)
        }
        FromServer::Receipt { receipt_id } => {
            own("receipt-id", Some(receipt_id));
            ("RECEIPT", None)
        }
        FromServer::Error { message, body } => {
            own("message", message);
            ("ERROR", body)
        }
    };
    Seen::new(command, headers, &body.unwrap_or_default())
}
