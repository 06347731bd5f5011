use crate::frame::{Command, Frame, HeaderName, Version};

use super::super::{Envelope, HeartBeat, MessageName};
use super::{
    ClientError, ClientEvent, ClientSession, Incompatible, ReceivedMessage, Request, ServerError,
    ServerFault, Stage, Unsettled, Welcome,
};

impl<E: Envelope> ClientSession<E> {
    /// The next thing that the server says. After an error the session is over.
    pub fn next_event(&mut self) -> Result<Option<ClientEvent>, ClientError> {
        if self.stage == Stage::Over {
            return Ok(None);
        }
        let event = match self.decoder.next_frame() {
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => self.event(frame),
            Err(error) => Err(ServerFault::Frame(error).into()),
        };
        if event.is_err() {
            self.stage = Stage::Over;
        }
        event.map(Some)
    }

    fn event(&mut self, frame: Frame) -> Result<ClientEvent, ClientError> {
        let command = frame.command();
        match (self.stage, command) {
            (_, Command::Error) => self.error(frame),
            (Stage::Connecting { .. }, Command::Connected) => self.connected(frame),
            (_, command) if command.is_from_client() => {
                Err(ServerFault::ClientFrame { command }.into())
            }
            (Stage::Connecting { .. }, _) => Err(ServerFault::NotConnected { command }.into()),
            (_, Command::Connected) => Err(ServerFault::AlreadyConnected.into()),
            (_, Command::Receipt) => Ok(self.receipt(&frame)?),
            _ => Ok(self.message(frame)?),
        }
    }

    fn connected(&mut self, frame: Frame) -> Result<ClientEvent, ClientError> {
        // STOMP 1.0 knows no version header.
        let answered = frame.header(HeaderName::Version).unwrap_or("1.0".into());
        let version = Version::parse(&answered);
        let version = version.filter(|version| self.options.versions.contains(version));
        let version = version.ok_or_else(|| Incompatible::Version {
            offered: self.options.accept_version(),
            answered: answered.clone().into_owned(),
        })?;
        let heart_beat = match frame.header(HeaderName::HeartBeat) {
            None => HeartBeat::NONE,
            Some(value) => HeartBeat::parse(&value).ok_or_else(|| ServerFault::InvalidHeader {
                command: Command::Connected,
                header: "heart-beat",
                value: value.clone().into_owned(),
            })?,
        };
        self.stage = Stage::Connected;
        self.version = version;
        self.decoder.set_version(version);
        self.beat = self.options.heart_beat.sends_to(heart_beat);
        let promised = heart_beat.sends_to(self.options.heart_beat);
        self.incoming_beats.promise(promised, self.options.heart_beat_margin);
        let frame = frame.compact();
        Ok(ClientEvent::Connected(Box::new(Welcome { frame, version, heart_beat })))
    }

    fn receipt(&mut self, frame: &Frame) -> Result<ClientEvent, ServerFault> {
        let id = required(frame, HeaderName::ReceiptId)?;
        let Some(request) = self.confirm(&id) else {
            return Err(ServerFault::UnknownReceipt { id });
        };
        match self.stage {
            Stage::Disconnecting { request: last, .. } if request.number == last => {
                self.stage = Stage::Over;
                Ok(ClientEvent::Disconnected)
            }
            _ => Ok(ClientEvent::Confirmed(request)),
        }
    }

    fn message(&self, frame: Frame) -> Result<ClientEvent, ServerFault> {
        let subscription = self.subscription_of(&frame)?;
        let live = subscription.as_deref().and_then(|id| Some((id, self.subscriptions.get(id)?)));
        let Some((id, live)) = live else {
            return Ok(ClientEvent::Stray(ReceivedMessage {
                subscription,
                unsettled: None,
                frame,
            }));
        };
        let unsettled = if live.ack.settles() {
            self.name(&frame, id)?.map(|name| Unsettled { subscription: id.into(), name })
        } else {
            None
        };
        Ok(ClientEvent::Message(ReceivedMessage { subscription, unsettled, frame }))
    }

    /// The subscription that a MESSAGE is for. STOMP 1.0 lets servers leave it out; of several to
    /// the destination it is then the one with the least id, and always the same.
    fn subscription_of(&self, frame: &Frame) -> Result<Option<Box<str>>, ServerFault> {
        if self.version != Version::V1_0 || frame.headers().contains(HeaderName::Subscription) {
            return Ok(Some(required(frame, HeaderName::Subscription)?.into()));
        }
        let destination = frame.header(HeaderName::Destination).unwrap_or_default();
        let subscriptions = self.subscriptions.iter();
        let found = subscriptions.filter(|(_, subscribed)| *subscribed.destination == *destination);
        Ok(found.map(|(id, _)| id).min().cloned())
    }

    /// How ACK and NACK name a message. A server that sends no `ack` in 1.2, as Spring's own broker
    /// does, has nothing to be settled.
    fn name(&self, frame: &Frame, subscription: &str) -> Result<Option<MessageName>, ServerFault> {
        let message_id = || required(frame, HeaderName::MessageId).map(Box::from);
        Ok(match self.version {
            Version::V1_2 => {
                frame.header(HeaderName::Ack).map(|id| MessageName::Ack((&*id).into()))
            }
            Version::V1_1 => Some(MessageName::InSubscription {
                message: message_id()?,
                subscription: subscription.into(),
            }),
            Version::V1_0 => Some(MessageName::Message(message_id()?)),
        })
    }

    fn error(&mut self, frame: Frame) -> Result<ClientEvent, ClientError> {
        if matches!(self.stage, Stage::Connecting { .. })
            && let Some(answered) = frame.header(HeaderName::Version)
            && !self.knows_any_of(&answered)
        {
            return Err(ClientError::Incompatible(Incompatible::Version {
                offered: self.options.accept_version(),
                answered: answered.into_owned(),
            }));
        }
        self.stage = Stage::Over;
        let request = frame.header(HeaderName::ReceiptId).and_then(|id| self.confirm(&id));
        let frame = frame.compact();
        Ok(ClientEvent::Error(Box::new(ServerError { frame, request })))
    }

    fn knows_any_of(&self, versions: &str) -> bool {
        let mut known = versions.split(',').filter_map(|version| Version::parse(version.trim()));
        known.any(|version| self.options.versions.contains(&version))
    }

    /// The request that a `receipt-id` names: it waits no more.
    fn confirm(&mut self, id: &str) -> Option<Request> {
        // Only as it was written: `01` names nothing.
        let number = id.parse::<u64>().ok().filter(|number| number.to_string() == id)?;
        let command = self.unconfirmed.remove(&number)?;
        Some(Request { number, command })
    }
}

fn required(frame: &Frame, header: HeaderName) -> Result<String, ServerFault> {
    let missing =
        || ServerFault::MissingHeader { command: frame.command(), header: header.as_str() };
    frame.header(header).map(std::borrow::Cow::into_owned).ok_or_else(missing)
}
