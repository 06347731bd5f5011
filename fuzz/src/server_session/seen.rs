//! What leaves the session, checked octet by octet as the client sees it.

use std::borrow::Cow;

use stompbox::frame::{
    Command, Decoder, Frame, HeaderName, Leniency, Limits, SharedMessage, Version,
};
use stompbox::session::HeartBeat;

use super::marked::{self, Mark};
use super::model::{Issued, Model, Said};

/// A message with this serial number. Each content brings something that is written in its own way.
pub(super) fn message(serial: u64, content: u8) -> (SharedMessage, u64) {
    let number = serial.to_string();
    let serial_header = ("serial", number.as_str());
    let message = match content {
        b'0' => SharedMessage::new("/topic/a", [serial_header], b"hello"),
        b'1' => SharedMessage::new("/topic/a", [serial_header], b"\xFF\0\n"),
        b'2' => {
            let headers = [("a:b\\", "c:\\d\n\r"), serial_header, ("odd", "x\r"), ("odd", "2")];
            SharedMessage::new("/topic/a:\\b", headers, "é".as_bytes())
        }
        b'3' => SharedMessage::new("/topic/a", [serial_header], &[b'x'; 700]),
        _ => SharedMessage::new("/topic/a", [serial_header], b""),
    };
    (message, serial)
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Seen {
    stage: Stage,
    binary: bool,
    messages: u64,
    /// What was encoded and is no whole frame yet.
    partial: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    New,
    Connected,
    /// The ERROR, or the RECEIPT of DISCONNECT, was seen.
    Last,
    /// The transport's last word was seen.
    Ended,
}

impl Seen {
    /// Whatever is encoded from now on may be binary.
    pub(super) fn set_binary(&mut self) {
        self.binary = true;
    }

    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether all that was encoded ended with a whole frame.
    pub(super) fn is_whole(&self) -> bool {
        self.partial.is_empty()
    }

    /// Looks at what was encoded, which follows what was looked at before.
    pub(super) fn look(&mut self, encoded: &[u8], model: &mut Model) {
        self.partial.extend_from_slice(encoded);
        let bytes = std::mem::take(&mut self.partial);
        let mut rest = &bytes[..];
        while let Some((mark, payload)) = marked::split(&mut rest) {
            assert!(self.stage < Stage::Ended, "after the last word");
            match mark {
                Mark::Ping => assert!(matches!(model.said.pop_front(), Some(Said::Ping))),
                Mark::End => {
                    assert!(matches!(model.said.pop_front(), Some(Said::End)));
                    self.stage = Stage::Ended;
                }
                Mark::Text | Mark::Binary => self.payload(mark, payload, model),
            }
        }
        self.partial = rest.to_vec();
    }

    /// A frame or a beat.
    fn payload(&mut self, mark: Mark, payload: &[u8], model: &mut Model) {
        let is_text = std::str::from_utf8(payload).is_ok();
        if mark == Mark::Text {
            assert!(is_text, "text is UTF-8");
        } else {
            assert!(self.binary || !is_text, "text is sent as text");
        }
        assert!(self.stage < Stage::Last, "after the last frame: {}", payload.escape_ascii());
        if payload == b"\n" {
            assert!(matches!(model.said.pop_front(), Some(Said::Beat)));
        } else {
            self.frame(payload, model);
        }
    }

    fn frame(&mut self, wire: &[u8], model: &mut Model) {
        let frame = decode(wire, model.version);
        let get = |name| frame.header(name).map(Cow::into_owned);
        match frame.command() {
            Command::Message => {
                assert_eq!(self.stage, Stage::Connected, "before CONNECTED");
                self.messages += 1;
                let issued = issued(&frame);
                let message = model.see(issued);
                assert!(wire.ends_with(message.tail(model.version)), "headers and body");
            }
            Command::Connected => {
                let Some(Said::Connected { settings, version }) = model.said.pop_front() else {
                    panic!("{frame:?} was not said");
                };
                assert_eq!(self.stage, Stage::New);
                self.stage = Stage::Connected;
                assert_eq!(get(HeaderName::Version).as_deref(), Some(version.as_str()));
                // STOMP 1.0 knows no heart-beats.
                let none = HeartBeat::NONE;
                let ours = if version == Version::V1_0 { none } else { settings.heart_beat };
                assert_eq!(get(HeaderName::HeartBeat), Some(ours.to_string()));
                assert_eq!(get(HeaderName::Server).as_deref(), Some(&*settings.server));
                assert_eq!(get(HeaderName::Session).as_deref(), Some("session-1"));
            }
            Command::Receipt => {
                let Some(Said::Receipt { id, last }) = model.said.pop_front() else {
                    panic!("{frame:?} was not said");
                };
                assert_eq!(get(HeaderName::ReceiptId), Some(id));
                if last {
                    self.stage = Stage::Last;
                }
            }
            Command::Error => {
                let Some(Said::Error { summary, detail, receipt }) = model.said.pop_front() else {
                    panic!("{frame:?} was not said");
                };
                assert_eq!(get(HeaderName::Message), Some(summary));
                assert_eq!(get(HeaderName::ReceiptId), receipt);
                assert_eq!(frame.body(), detail.as_bytes());
                self.stage = Stage::Last;
            }
            command => panic!("a server sends no {command}"),
        }
    }
}

/// The one frame of `wire`, by the letter.
fn decode(wire: &[u8], version: Version) -> Frame {
    let limits = Limits::default().with_head(1 << 20).with_headers(usize::MAX);
    let mut decoder = Decoder::new(limits, Leniency::strict());
    decoder.set_version(version);
    decoder.feed_slice(wire);
    let frame = match decoder.next_frame() {
        Ok(Some(frame)) => frame,
        other => panic!("{}: {other:?}", wire.escape_ascii()),
    };
    assert_eq!((decoder.next_frame(), decoder.buffered()), (Ok(None), 0), "one frame");
    frame
}

fn issued(frame: &Frame) -> Issued {
    let get = |name| frame.header(name).map(Cow::into_owned);
    let number = |name: &str| {
        let value = frame.header(name).unwrap_or_else(|| panic!("no {name}: {frame:?}"));
        value.parse().expect("a number")
    };
    Issued {
        to: usize::MAX,
        number: number("message-id"),
        serial: number("serial"),
        subscription: get(HeaderName::Subscription),
        ack: get(HeaderName::Ack),
        redelivered: get(HeaderName::Redelivered).is_some(),
    }
}
