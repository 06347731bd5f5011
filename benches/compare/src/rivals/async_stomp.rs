//! async-stomp: a tokio codec for clients; it decodes what servers send and encodes what clients do.

use std::hint::black_box;

use async_stomp::client::ClientCodec;
use async_stomp::{FromServer, Message, ToServer};
use bytes::BytesMut;
use tokio_util::codec::Encoder;

use super::{read_framed, time_framed};
use crate::codec::{Codec, Outgoing, Run, Seen, Stream};

pub(super) struct AsyncStomp;

impl Codec for AsyncStomp {
    fn name(&self) -> &'static str {
        "async-stomp 0.7.0"
    }

    fn read(&self, stream: &Stream<'_>) -> Result<Vec<Seen>, String> {
        let mut seen = Vec::new();
        read_framed(ClientCodec::new(), stream, |message| seen.push(see(message)))?;
        Ok(seen)
    }

    fn decode(&self, stream: &Stream<'_>) -> Option<Run> {
        Some(time_framed(ClientCodec::new(), stream))
    }

    fn write(&self, frame: &Outgoing) -> Vec<u8> {
        let mut out = BytesMut::new();
        let encoded = ClientCodec::new().encode(message(frame), &mut out);
        encoded.map(|()| out.to_vec()).unwrap_or_default()
    }

    fn encode(&self, frame: &Outgoing, times: usize) -> Run {
        let mut out = BytesMut::with_capacity(2 * self.write(frame).len());
        let mut messages: Vec<_> = (0..times).map(|_| message(frame)).collect();
        let mut codec = ClientCodec::new();
        Box::new(move || {
            for message in messages.drain(..) {
                out.clear();
                black_box(codec.encode(message, &mut out).is_ok());
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
                black_box(ClientCodec::new().encode(built, &mut out).is_ok());
                black_box(&out);
            }
            times
        })
    }
}

fn message(frame: &Outgoing) -> Message<ToServer> {
    let headers = (!frame.headers.is_empty()).then(|| frame.headers.clone());
    let (destination, body) = (frame.destination.clone(), Some(frame.body.clone()));
    ToServer::Send { destination, transaction: None, headers, body }.into()
}

fn see(message: Message<FromServer>) -> Seen {
    let extra = message.extra_headers.into_iter().map(|(name, value)| {
        let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
        (text(name), text(value))
    });
    match message.content {
        FromServer::Connected { version, session, server, heartbeat } => {
            let names = ["version", "session", "server", "heart-beat"].map(str::to_owned);
            let own = names.into_iter().zip([Some(version), session, server, heartbeat]);
            let own = own.filter_map(|(name, value)| Some((name, value?)));
            Seen::new("CONNECTED", own.chain(extra), b"")
        }
        // All of them, unescaped.
        FromServer::Message { mut headers, body, .. } => {
            let mut names = Vec::new();
            headers.retain(|(name, _)| {
                let first = !names.contains(name);
                names.push(name.clone());
                first
            });
            Seen::new("MESSAGE", headers, &body.unwrap_or_default())
        }
        FromServer::Receipt { receipt_id } => {
            Seen::new("RECEIPT", extra.chain([("receipt-id".to_owned(), receipt_id)]), b"")
        }
        FromServer::Error { message, body } => {
            let own = message.map(|message| ("message".to_owned(), message));
            Seen::new("ERROR", extra.chain(own), &body.unwrap_or_default())
        }
    }
}
