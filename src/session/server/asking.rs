use std::borrow::Cow;

use crate::frame::{Command, Frame, HeaderName, Version};

use super::super::event::{
    CommitFrame, ConnectFrame, Event, HeldFrame, MessageName, SendFrame, SettleFrame,
    SubscribeFrame, UnsubscribeFrame, UnsubscribeTarget,
};
use super::super::{AckMode, HeartBeat, Receipt, Refusal, SessionError, Settlement};
use super::{ServerSession, Stage};

impl ServerSession {
    /// What a frame asks for; `None` if nothing is left to be done.
    pub(super) fn event(
        &mut self,
        frame: Frame,
        receipt: Option<Receipt>,
    ) -> Result<Option<Event>, Refusal> {
        let command = frame.command();
        match command {
            Command::Connect | Command::Stomp => return Ok(Some(self.connect(frame)?)),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                return Err(SessionError::ServerFrame { command }.into());
            }
            _ if self.stage != Stage::Connected => {
                return Err(SessionError::NotConnected { command }.into());
            }
            _ => {}
        }
        Ok(Some(match command {
            Command::Send => return Ok(self.send(frame, receipt)?),
            Command::Subscribe => {
                let id = frame.header(HeaderName::Id).map(Cow::into_owned);
                let subscribe = self.subscribe(frame, receipt);
                Event::Subscribe(subscribe.map_err(|error| concerning(error, id.as_deref()))?)
            }
            Command::Unsubscribe => {
                let unsubscribe = self.unsubscribe(&frame, receipt);
                let id = || frame.header(HeaderName::Id);
                Event::Unsubscribe(unsubscribe.map_err(|error| concerning(error, id().as_deref()))?)
            }
            Command::Ack | Command::Nack => {
                let id = || frame.header(HeaderName::Subscription);
                let settle = self.settle(&frame, receipt);
                return settle.map_err(|error| concerning(error, id().as_deref()));
            }
            Command::Begin => {
                let id = required(&frame, HeaderName::Transaction)?;
                self.transactions.begin(&id, &self.settings)?;
                return Ok(receipt.map(Event::Done));
            }
            Command::Abort => {
                self.transactions.end(&required(&frame, HeaderName::Transaction)?)?;
                return Ok(receipt.map(Event::Done));
            }
            Command::Commit => {
                let operations =
                    self.transactions.end(&required(&frame, HeaderName::Transaction)?)?;
                Event::Commit(CommitFrame { operations, receipt })
            }
            _ => {
                self.stage = Stage::Over;
                Event::Disconnect(receipt)
            }
        }))
    }

    fn connect(&mut self, frame: Frame) -> Result<Event, SessionError> {
        if self.stage == Stage::Connected {
            return Err(SessionError::AlreadyConnected { command: frame.command() });
        }
        let version = self.negotiate(&frame)?;
        match frame.header(HeaderName::Host) {
            Some(host) if !self.settings.serves(&host) => {
                return Err(SessionError::UnknownHost { host: host.into_owned() });
            }
            None if version > Version::V1_0 && !self.settings.accepts_missing_host => {
                required(&frame, HeaderName::Host)?;
            }
            _ => {}
        }
        let heart_beat = match frame.header(HeaderName::HeartBeat) {
            None => HeartBeat::NONE,
            // Clients with one CONNECT for all versions send it, and then do not beat in 1.0.
            Some(_) if version == Version::V1_0 => HeartBeat::NONE,
            Some(value) => HeartBeat::parse(&value).ok_or_else(|| {
                let expected = "two numbers of milliseconds with a comma between them are expected";
                invalid(&frame, HeaderName::HeartBeat, &value, expected)
            })?,
        };
        let until = match self.stage {
            Stage::New { until } => until,
            _ => None,
        };
        self.stage = Stage::Connecting { until };
        Ok(Event::Connect(Box::new(ConnectFrame { frame: frame.compact(), version, heart_beat })))
    }

    /// STOMP 1.2, "Protocol Negotiation": the highest version that both know.
    fn negotiate(&self, frame: &Frame) -> Result<Version, SessionError> {
        let offered = frame.header(HeaderName::AcceptVersion).unwrap_or(Cow::Borrowed("1.0"));
        let known = offered.split(',').filter_map(|version| Version::parse(version.trim()));
        let common = known.filter(|version| self.settings.versions.contains(version)).max();
        common.ok_or_else(|| {
            let mut spoken = self.settings.versions.clone();
            spoken.sort_unstable();
            let spoken: Vec<_> = spoken.into_iter().map(Version::as_str).collect();
            SessionError::Version { offered: offered.into_owned(), spoken: spoken.join(",") }
        })
    }

    fn send(
        &mut self,
        frame: Frame,
        receipt: Option<Receipt>,
    ) -> Result<Option<Event>, SessionError> {
        let destination = required(&frame, HeaderName::Destination)?.into();
        let transaction = frame.header(HeaderName::Transaction).map(Box::<str>::from);
        let send = SendFrame { destination, frame, receipt };
        match transaction {
            None => Ok(Some(Event::Send(send))),
            Some(id) => self.hold(&id, HeldFrame::Send(Box::new(send))),
        }
    }

    fn settle(
        &mut self,
        frame: &Frame,
        receipt: Option<Receipt>,
    ) -> Result<Option<Event>, SessionError> {
        let (command, version) = (frame.command(), self.version);
        let settlement = match command {
            Command::Nack if version == Version::V1_0 => {
                return Err(SessionError::NotInVersion { command, version });
            }
            Command::Nack => Settlement::Rejected,
            _ => Settlement::Acknowledged,
        };
        let message = match version {
            Version::V1_2 => MessageName::Ack(required(frame, HeaderName::Id)?.into()),
            Version::V1_1 => MessageName::InSubscription {
                message: required(frame, HeaderName::MessageId)?.into(),
                subscription: required(frame, HeaderName::Subscription)?.into(),
            },
            Version::V1_0 => MessageName::Message(required(frame, HeaderName::MessageId)?.into()),
        };
        let settle = SettleFrame { message, settlement, receipt };
        match frame.header(HeaderName::Transaction) {
            None => Ok(Some(Event::Settle(settle))),
            Some(id) => self.hold(&id, HeldFrame::Settle(settle)),
        }
    }

    /// Holds a frame back for its COMMIT. Its own receipt is owed at once: being held is all that
    /// happens to it until then.
    fn hold(&mut self, id: &str, operation: HeldFrame) -> Result<Option<Event>, SessionError> {
        let (operation, receipt) = operation.split_receipt();
        self.transactions.hold(id, operation, &self.settings)?;
        Ok(receipt.map(Event::Done))
    }

    fn subscribe(
        &self,
        frame: Frame,
        receipt: Option<Receipt>,
    ) -> Result<SubscribeFrame, SessionError> {
        let destination = required(&frame, HeaderName::Destination)?.into();
        let id = match frame.header(HeaderName::Id) {
            None if self.version == Version::V1_0 => None,
            _ => Some(required(&frame, HeaderName::Id)?.into()),
        };
        let ack = match frame.header(HeaderName::Ack) {
            None => AckMode::Auto,
            Some(value) => AckMode::parse(&value).ok_or_else(|| {
                invalid(
                    &frame,
                    HeaderName::Ack,
                    &value,
                    "auto, client or client-individual is expected",
                )
            })?,
        };
        let individual = ack == AckMode::ClientIndividual && self.version == Version::V1_0;
        if individual && !self.settings.accepts_individual_in_1_0 {
            let expected = "STOMP 1.0 knows auto and client";
            return Err(invalid(&frame, HeaderName::Ack, ack.as_str(), expected));
        }
        let prefetch = match frame.header(HeaderName::PrefetchCount) {
            None => None,
            Some(value) => match value.parse::<usize>() {
                Ok(count) if count > 0 => Some(count),
                _ => {
                    let expected = "a number of messages from 1 on is expected";
                    return Err(invalid(&frame, HeaderName::PrefetchCount, &value, expected));
                }
            },
        };
        Ok(SubscribeFrame { id, destination, ack, prefetch, frame, receipt })
    }

    fn unsubscribe(
        &self,
        frame: &Frame,
        receipt: Option<Receipt>,
    ) -> Result<UnsubscribeFrame, SessionError> {
        let target = match (frame.header(HeaderName::Id), frame.header(HeaderName::Destination)) {
            (None, Some(destination)) if self.version == Version::V1_0 => {
                UnsubscribeTarget::Destination(destination.into())
            }
            _ => UnsubscribeTarget::Id(required(frame, HeaderName::Id)?.into()),
        };
        Ok(UnsubscribeFrame { target, receipt })
    }
}

impl HeldFrame {
    fn split_receipt(self) -> (Self, Option<Receipt>) {
        match self {
            Self::Send(mut send) => {
                let receipt = send.receipt.take();
                (Self::Send(send), receipt)
            }
            Self::Settle(mut settle) => {
                let receipt = settle.receipt.take();
                (Self::Settle(settle), receipt)
            }
        }
    }
}

/// STOMP 1.2, "Standard Headers": any client frame but CONNECT may ask for a receipt.
///
/// The error is an id that the RECEIPT could not name, since only 1.2 can write a CR at the end of
/// a value.
pub(super) fn receipt_of(frame: &Frame, version: Version) -> Result<Option<Receipt>, SessionError> {
    let asks = !matches!(frame.command(), Command::Connect | Command::Stomp);
    let Some(id) = frame.header(HeaderName::Receipt).filter(|_| asks) else { return Ok(None) };
    if version != Version::V1_2 && id.ends_with('\r') {
        let expected = "a value that this version of STOMP can represent is expected";
        return Err(invalid(frame, HeaderName::Receipt, &id, expected));
    }
    Ok(Some(Receipt::new(&id)))
}

/// The refusal of a frame that is about a subscription.
fn concerning(error: SessionError, subscription: Option<&str>) -> Refusal {
    Refusal::from(error).with_subscription(subscription)
}

fn required(frame: &Frame, header: HeaderName) -> Result<Cow<'_, str>, SessionError> {
    frame.header(header).ok_or_else(|| SessionError::MissingHeader {
        command: frame.command(),
        header: header.as_str(),
    })
}

fn invalid(frame: &Frame, header: HeaderName, value: &str, expected: &'static str) -> SessionError {
    SessionError::InvalidHeader {
        command: frame.command(),
        header: header.as_str(),
        value: value.to_owned(),
        expected,
    }
}
