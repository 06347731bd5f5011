//! What the server says, and what the program is told of it.

use std::borrow::Cow;
use std::time::Duration;

use stompbox::frame::{Command, Frame, Version};
use stompbox::session::{
    ClientError, ClientEvent, Incompatible, MessageName, ReceivedMessage, Request, ServerFault,
};

use super::Client;
use super::model::{Model, Stage};
use super::script::ServerFrame;

/// What the program is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Connected { version: Version, heart_beat: String },
    Message { subscription: Option<String>, names: Option<MessageName>, frame: Frame },
    Stray { subscription: Option<String>, frame: Frame },
    Confirmed { number: u64, command: Command },
    Error { summary: String, request: Option<(u64, Command)> },
    Disconnected,
    Failed(ClientError),
}

impl Told {
    /// What the session says.
    pub(super) fn of(event: Result<ClientEvent, ClientError>) -> Self {
        let pair = |request: Request| (request.number(), request.command());
        match event {
            Ok(ClientEvent::Connected(welcome)) => {
                let heart_beat = welcome.heart_beat.to_string();
                Self::Connected { version: welcome.version, heart_beat }
            }
            Ok(ClientEvent::Message(message)) => {
                let ReceivedMessage { subscription, unsettled, frame, .. } = message;
                if let Some(unsettled) = &unsettled {
                    assert_eq!(Some(unsettled.subscription()), subscription.as_deref());
                }
                let subscription = subscription.map(String::from);
                let names = unsettled.map(|unsettled| unsettled.name().clone());
                Self::Message { subscription, names, frame }
            }
            Ok(ClientEvent::Stray(message)) => {
                assert_eq!(message.unsettled, None);
                let subscription = message.subscription.map(String::from);
                Self::Stray { subscription, frame: message.frame }
            }
            Ok(ClientEvent::Confirmed(request)) => {
                Self::Confirmed { number: request.number(), command: request.command() }
            }
            Ok(ClientEvent::Error(error)) => {
                let summary = error.summary().into_owned();
                Self::Error { summary, request: error.request.map(pair) }
            }
            Ok(ClientEvent::Disconnected) => Self::Disconnected,
            Ok(other) => panic!("{other:?} is not known here"),
            Err(error) => Self::Failed(error),
        }
    }
}

impl Model {
    /// What the session should say next.
    pub(super) fn next_told(&mut self) -> Option<Told> {
        if self.stage == Stage::Over {
            return None;
        }
        let told = match self.decoder.next_frame() {
            Ok(None) => return None,
            Ok(Some(frame)) => self.told(frame),
            Err(error) => Err(ServerFault::Frame(error).into()),
        };
        Some(told.unwrap_or_else(|error| {
            self.stage = Stage::Over;
            Told::Failed(error)
        }))
    }

    fn told(&mut self, frame: Frame) -> Result<Told, ClientError> {
        let command = frame.command();
        let connecting = matches!(self.stage, Stage::Connecting { .. });
        match command {
            Command::Error => self.error(&frame, connecting),
            Command::Connected if connecting => self.connected(&frame),
            _ if command.is_from_client() => Err(ServerFault::ClientFrame { command }.into()),
            _ if connecting => Err(ServerFault::NotConnected { command }.into()),
            Command::Connected => Err(ServerFault::AlreadyConnected.into()),
            Command::Receipt => Ok(self.receipt(&frame)?),
            _ => Ok(self.message(frame)?),
        }
    }

    fn connected(&mut self, frame: &Frame) -> Result<Told, ClientError> {
        let answered = header(frame, "version").unwrap_or("1.0".to_owned());
        let versions = Version::ALL.into_iter().filter(|version| version.as_str() == answered);
        let offered = { versions }.find(|version| self.options.versions.contains(version));
        let Some(version) = offered else { return Err(self.incompatible(answered)) };
        let text = header(frame, "heart-beat").unwrap_or("0,0".to_owned());
        let Some((sends, wants)) = periods(&text) else {
            let (command, header) = (Command::Connected, "heart-beat");
            return Err(ServerFault::InvalidHeader { command, header, value: text }.into());
        };
        let (can, want) = periods(&self.options.heart_beat.to_string()).expect("it is ours");
        let agreed = |sends: u32, wants: u32| {
            let both = sends != 0 && wants != 0;
            both.then(|| Duration::from_millis(sends.max(wants).into()))
        };
        self.beat = agreed(can, wants);
        self.promised = agreed(sends, want);
        self.heard(self.last_heard);
        self.stage = Stage::Connected;
        self.version = version;
        self.decoder.set_version(version);
        Ok(Told::Connected { version, heart_beat: format!("{sends},{wants}") })
    }

    fn receipt(&mut self, frame: &Frame) -> Result<Told, ServerFault> {
        let id = required(frame, "receipt-id")?;
        let Some((number, command)) = self.confirm(&id) else {
            return Err(ServerFault::UnknownReceipt { id });
        };
        match self.stage {
            Stage::Disconnecting { request, .. } if request == number => {
                self.stage = Stage::Over;
                Ok(Told::Disconnected)
            }
            _ => Ok(Told::Confirmed { number, command }),
        }
    }

    fn message(&self, frame: Frame) -> Result<Told, ServerFault> {
        let subscription = match header(&frame, "subscription") {
            None if self.version == Version::V1_0 => {
                let from = header(&frame, "destination").unwrap_or_default();
                let mut live = self.subscriptions.iter();
                live.find(|(_, live)| live.destination == from).map(|(id, _)| id.clone())
            }
            _ => Some(required(&frame, "subscription")?),
        };
        let live = subscription.as_ref().and_then(|id| self.subscriptions.get_key_value(id));
        let Some((id, live)) = live else { return Ok(Told::Stray { subscription, frame }) };
        let names = match self.version {
            _ if !live.ack.settles() => None,
            Version::V1_2 => header(&frame, "ack").map(|id| MessageName::Ack(id.into())),
            Version::V1_1 => Some(MessageName::InSubscription {
                message: required(&frame, "message-id")?.into(),
                subscription: id.as_str().into(),
            }),
            Version::V1_0 => Some(MessageName::Message(required(&frame, "message-id")?.into())),
        };
        Ok(Told::Message { subscription, names, frame })
    }

    fn error(&mut self, frame: &Frame, connecting: bool) -> Result<Told, ClientError> {
        if let Some(answered) = header(frame, "version")
            && connecting
        {
            let knows = |version: &str| {
                self.options.versions.iter().any(|known| known.as_str() == version.trim())
            };
            if !answered.split(',').any(knows) {
                return Err(self.incompatible(answered));
            }
        }
        self.stage = Stage::Over;
        let request = header(frame, "receipt-id").and_then(|id| self.confirm(&id));
        Ok(Told::Error { summary: header(frame, "message").unwrap_or_default(), request })
    }

    fn incompatible(&self, answered: String) -> ClientError {
        let offered = super::model::connect(&self.options).headers.swap_remove(0).1;
        Incompatible::Version { offered, answered }.into()
    }

    fn confirm(&mut self, id: &str) -> Option<(u64, Command)> {
        let number = *self.unconfirmed.keys().find(|number| number.to_string() == id)?;
        Some((number, self.unconfirmed.remove(&number)?))
    }
}

impl Client {
    /// The server sends a frame, in the session's version.
    pub(super) fn say(&mut self, frame: &ServerFrame) {
        let frame = match frame {
            ServerFrame::Connected { version, heart_beat } => {
                let frame = with(Frame::new(Command::Connected), "version", *version);
                with(frame, "heart-beat", *heart_beat)
            }
            ServerFrame::Message { subscription, destination, how } => {
                self.messages += 1;
                let (number, ack) = (self.messages.to_string(), format!("a:{}", self.messages));
                let frame = Frame::new(Command::Message);
                let frame = with(frame, "subscription", subscription.map(String::from));
                let frame = with(frame, "message-id", Some(&number).filter(|_| *how != b'x'));
                let frame = with(frame, "ack", Some(ack).filter(|_| *how == b'a'));
                frame.with_header("destination", format!("/topic/{destination}")).with_body("hi")
            }
            ServerFrame::Receipt { nth } => {
                let waiting = self.model.unconfirmed.keys().nth(*nth).copied();
                let id = waiting.unwrap_or(*nth as u64).to_string();
                Frame::new(Command::Receipt).with_header("receipt-id", id)
            }
            ServerFrame::Error { nth, versions } => {
                let waiting = self.model.unconfirmed.keys().nth(*nth).map(u64::to_string);
                let frame = Frame::new(Command::Error).with_header("message", "no: never");
                with(with(frame, "receipt-id", waiting), "version", *versions).with_body("why")
            }
        };
        let mut wire = bytes::BytesMut::new();
        frame.encode_into(self.session.version(), &mut wire);
        self.on_the_way.extend_from_slice(&wire);
    }
}

fn with(frame: Frame, name: &'static str, value: Option<impl AsRef<str>>) -> Frame {
    match value {
        Some(value) => frame.with_header(name, value),
        None => frame,
    }
}

fn header(frame: &Frame, name: &'static str) -> Option<String> {
    frame.header(name).map(Cow::into_owned)
}

fn required(frame: &Frame, name: &'static str) -> Result<String, ServerFault> {
    let command = frame.command();
    header(frame, name).ok_or(ServerFault::MissingHeader { command, header: name })
}

/// The two numbers of a `heart-beat` header, which end at the largest that fits.
fn periods(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(',').map(|part| {
        let valid = !part.is_empty() && part.chars().all(|digit| digit.is_ascii_digit());
        valid.then(|| part.parse().unwrap_or(u32::MAX))
    });
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Some(sends)), Some(Some(wants)), None) => Some((sends, wants)),
        _ => None,
    }
}
