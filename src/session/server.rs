use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::frame::{Command, Decoder, Frame, Version};

use super::event::{
    Commit, Connect, Event, MessageName, Operation, Send, Settle, Subscribe, Unsubscribe,
    UnsubscribeTarget,
};
use super::transaction::Transactions;
use super::{
    AckMode, Connected, HeartBeat, Receipt, Refusal, SessionError, SessionSettings, Settlement,
};

/// The arriving half of a server's session: bytes go in, what the client asks for comes out.
///
/// It does no I/O and reads no clock. The other half, [`Leaving`](super::Leaving), holds the live
/// subscriptions and writes what the client is sent. To drive it:
///
/// 1. [`receive`](Self::receive) what was read.
/// 2. Take [`next_event`](Self::next_event) until it gives `None`, and do what each event asks. A
///    [`Refusal`] ends the session: hand it to the leaving half, then close.
/// 3. On [`Event::Connect`], decide whether the client may, and [`accept`](Self::accept) it; until
///    then there are no further events.
/// 4. At [`next_deadline`](Self::next_deadline), which must be asked again after each of these,
///    call [`handle_deadline`](Self::handle_deadline).
///
/// ```
/// use std::sync::Arc;
/// use std::time::Instant;
/// use stompbox::session::{Event, ServerSession, SessionSettings};
///
/// let now = Instant::now();
/// let mut session = ServerSession::new(Arc::new(SessionSettings::default()), now);
/// session.receive("CONNECT\naccept-version:1.2\n\n\0SEND\ndestination:/pub/chat\n\nhi\0", now);
///
/// let Ok(Some(Event::Connect(connect))) = session.next_event() else { panic!() };
/// let _connected = session.accept(&connect, now);
/// let Ok(Some(Event::Send(send))) = session.next_event() else { panic!() };
/// assert_eq!((&*send.destination, send.frame.body()), ("/pub/chat", &b"hi"[..]));
/// assert!(matches!(session.next_event(), Ok(None)));
/// ```
#[derive(Debug)]
pub struct ServerSession {
    settings: Arc<SessionSettings>,
    decoder: Decoder,
    stage: Stage,
    version: Version,
    /// How often the client has promised a beat, if at all.
    period: Option<Duration>,
    last_received: Instant,
    /// When the client counts as silent.
    silent_at: Option<Instant>,
    transactions: Transactions,
    /// Whether the transport's last message has been received whole.
    message_ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waiting for CONNECT, until this instant if there is one.
    New {
        until: Option<Instant>,
    },
    /// A CONNECT came and was not accepted yet; that has the same limit.
    Connecting {
        until: Option<Instant>,
    },
    Connected,
    /// A DISCONNECT came, or an error: whatever else comes is ignored.
    Over,
}

impl ServerSession {
    /// A session that waits for CONNECT from `now` on.
    pub fn new(settings: Arc<SessionSettings>, now: Instant) -> Self {
        Self {
            decoder: Decoder::new(settings.frame_limits, settings.leniency),
            stage: Stage::New { until: now.checked_add(settings.connect_timeout) },
            version: Version::V1_2,
            period: None,
            last_received: now,
            silent_at: None,
            transactions: Transactions::default(),
            message_ended: false,
            settings,
        }
    }

    /// Takes what was read. Any byte counts as a heart-beat.
    pub fn receive(&mut self, bytes: impl Into<Bytes>, now: Instant) {
        self.message_ended = false;
        self.heard(now);
        if self.stage != Stage::Over {
            self.decoder.feed(bytes.into());
        }
    }

    /// Says that a message of the transport ended here: a frame whose terminating NUL was cut off
    /// is complete, where the leniency for that is on. The events of this message must be taken
    /// before more is [received](Self::receive): after that, nobody knows where it ended.
    pub fn end_of_message(&mut self) {
        self.message_ended = true;
    }

    /// Notes a sign of life that carries no bytes of STOMP, such as a WebSocket Pong.
    pub fn heard(&mut self, now: Instant) {
        self.last_received = now;
        let silence = |period: Duration| period.checked_mul(self.settings.heart_beat_margin);
        let silence = self.period.and_then(silence);
        self.silent_at = silence.and_then(|silence| now.checked_add(silence));
    }

    /// Gives a client that counts as silent one more period, after the transport has asked it for a
    /// sign of life.
    pub fn grant_period(&mut self, now: Instant) {
        self.silent_at = self.period.and_then(|period| now.checked_add(period));
    }

    /// Whether a CONNECT was accepted and the session is not over.
    pub fn is_connected(&self) -> bool {
        self.stage == Stage::Connected
    }

    /// The version of the session; 1.2 before it is negotiated.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The next thing that the client asks for. After an error the session is over.
    pub fn next_event(&mut self) -> Result<Option<Event>, Refusal> {
        loop {
            if matches!(self.stage, Stage::Connecting { .. } | Stage::Over) {
                return Ok(None);
            }
            let Some(frame) = self.next_frame()? else { return Ok(None) };
            let (receipt, event) = match receipt_of(&frame, self.version) {
                Ok(receipt) => (receipt.clone(), self.event(frame, receipt)),
                Err(error) => (None, Err(error)),
            };
            match event {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(error) => {
                    self.stage = Stage::Over;
                    return Err(Refusal::from(error).with_receipt(receipt));
                }
            }
        }
    }

    /// Accepts a CONNECT. The result is for [`Leaving::connected`](super::Leaving::connected).
    pub fn accept(&mut self, connect: &Connect, now: Instant) -> Connected {
        self.stage = Stage::Connected;
        self.version = connect.version;
        self.decoder.set_version(connect.version);
        let ours = self.settings.heart_beat;
        self.period = connect.heart_beat.sends_to(ours);
        self.heard(now);
        Connected {
            version: connect.version,
            heart_beat: ours,
            beat: ours.sends_to(connect.heart_beat),
        }
    }

    /// Ends the session: whatever else comes is ignored.
    pub fn end(&mut self) {
        self.stage = Stage::Over;
    }

    /// When [`handle_deadline`](Self::handle_deadline) is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::New { until } | Stage::Connecting { until } => until,
            Stage::Connected => self.silent_at,
            Stage::Over => None,
        }
    }

    /// Says what is overdue at `now`, if anything is. After an overdue heart-beat the session is
    /// not over: a transport that can ask for a sign of life (a WebSocket Ping) does so first,
    /// [grants another period](Self::grant_period), and gives up when that has passed as well;
    /// [`heard`](Self::heard) takes the answer.
    pub fn handle_deadline(&mut self, now: Instant) -> Option<SessionError> {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match self.stage {
            Stage::New { .. } | Stage::Connecting { .. } => {
                self.stage = Stage::Over;
                Some(SessionError::ConnectTimeout { limit: self.settings.connect_timeout })
            }
            _ => {
                let silence = now.duration_since(self.last_received);
                Some(SessionError::HeartBeatMissed { silence })
            }
        }
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, Refusal> {
        match self.decoder.next_frame() {
            Ok(None) if self.message_ended => {
                self.message_ended = false;
                Ok(self.decoder.end_of_message())
            }
            Ok(frame) => Ok(frame),
            Err(error) => {
                self.stage = Stage::Over;
                Err(error.into())
            }
        }
    }

    fn event(
        &mut self,
        frame: Frame,
        receipt: Option<Receipt>,
    ) -> Result<Option<Event>, SessionError> {
        let command = frame.command();
        match command {
            Command::Connect | Command::Stomp => return self.connect(frame).map(Some),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                return Err(SessionError::ServerFrame { command });
            }
            _ if self.stage != Stage::Connected => {
                return Err(SessionError::NotConnected { command });
            }
            _ => {}
        }
        Ok(Some(match command {
            Command::Send => return self.send(frame, receipt),
            Command::Subscribe => Event::Subscribe(self.subscribe(frame, receipt)?),
            Command::Unsubscribe => Event::Unsubscribe(self.unsubscribe(&frame, receipt)?),
            Command::Ack => return self.settle(&frame, Settlement::Acknowledged, receipt),
            Command::Nack => return self.settle(&frame, Settlement::Rejected, receipt),
            Command::Begin => {
                let id = required(&frame, "transaction")?;
                self.transactions.begin(&id, &self.settings)?;
                return Ok(receipt.map(Event::Done));
            }
            Command::Abort => {
                self.transactions.end(&required(&frame, "transaction")?)?;
                return Ok(receipt.map(Event::Done));
            }
            Command::Commit => {
                let operations = self.transactions.end(&required(&frame, "transaction")?)?;
                Event::Commit(Commit { operations, receipt })
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
        let heart_beat = match frame.header("heart-beat") {
            None => HeartBeat::NONE,
            Some(value) => HeartBeat::parse(&value).ok_or_else(|| {
                let expected = "two numbers of milliseconds with a comma between them are expected";
                invalid(&frame, "heart-beat", &value, expected)
            })?,
        };
        let until = match self.stage {
            Stage::New { until } => until,
            _ => None,
        };
        self.stage = Stage::Connecting { until };
        Ok(Event::Connect(Box::new(Connect { frame: frame.compact(), version, heart_beat })))
    }

    /// STOMP 1.2, "Protocol Negotiation": the highest version that both know.
    fn negotiate(&self, frame: &Frame) -> Result<Version, SessionError> {
        let offered = frame.header("accept-version").unwrap_or(Cow::Borrowed("1.0"));
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
        let destination = required(&frame, "destination")?.into();
        let transaction = frame.header("transaction").map(Box::<str>::from);
        let send = Send { destination, frame, receipt };
        match transaction {
            None => Ok(Some(Event::Send(send))),
            Some(id) => self.hold(&id, Operation::Send(Box::new(send))),
        }
    }

    fn settle(
        &mut self,
        frame: &Frame,
        settlement: Settlement,
        receipt: Option<Receipt>,
    ) -> Result<Option<Event>, SessionError> {
        let (command, version) = (frame.command(), self.version);
        if command == Command::Nack && version == Version::V1_0 {
            return Err(SessionError::NotInVersion { command, version });
        }
        let message = match version {
            Version::V1_2 => MessageName::Ack(required(frame, "id")?.into()),
            Version::V1_1 => MessageName::InSubscription {
                message: required(frame, "message-id")?.into(),
                subscription: required(frame, "subscription")?.into(),
            },
            Version::V1_0 => MessageName::Message(required(frame, "message-id")?.into()),
        };
        let settle = Settle { message, settlement, receipt };
        match frame.header("transaction") {
            None => Ok(Some(Event::Settle(settle))),
            Some(id) => self.hold(&id, Operation::Settle(settle)),
        }
    }

    /// Holds a frame back for its COMMIT. Its own receipt is owed at once: being held is all that
    /// happens to it until then.
    fn hold(&mut self, id: &str, operation: Operation) -> Result<Option<Event>, SessionError> {
        let (operation, receipt) = operation.split_receipt();
        self.transactions.hold(id, operation, &self.settings)?;
        Ok(receipt.map(Event::Done))
    }

    fn subscribe(&self, frame: Frame, receipt: Option<Receipt>) -> Result<Subscribe, SessionError> {
        let destination = required(&frame, "destination")?.into();
        let id = match frame.header("id") {
            None if self.version == Version::V1_0 => None,
            _ => Some(required(&frame, "id")?.into()),
        };
        let ack = match frame.header("ack") {
            None => AckMode::Auto,
            Some(value) => AckMode::parse(&value).ok_or_else(|| {
                invalid(&frame, "ack", &value, "auto, client or client-individual is expected")
            })?,
        };
        let prefetch = match frame.header("prefetch-count") {
            None => None,
            Some(value) => match value.parse::<usize>() {
                Ok(count) if count > 0 => Some(count),
                _ => {
                    let expected = "a number of messages from 1 on is expected";
                    return Err(invalid(&frame, "prefetch-count", &value, expected));
                }
            },
        };
        Ok(Subscribe { id, destination, ack, prefetch, frame, receipt })
    }

    fn unsubscribe(
        &self,
        frame: &Frame,
        receipt: Option<Receipt>,
    ) -> Result<Unsubscribe, SessionError> {
        let target = match (frame.header("id"), frame.header("destination")) {
            (None, Some(destination)) if self.version == Version::V1_0 => {
                UnsubscribeTarget::Destination(destination.into())
            }
            _ => UnsubscribeTarget::Id(required(frame, "id")?.into()),
        };
        Ok(Unsubscribe { target, receipt })
    }
}

impl Operation {
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
fn receipt_of(frame: &Frame, version: Version) -> Result<Option<Receipt>, SessionError> {
    let asks = !matches!(frame.command(), Command::Connect | Command::Stomp);
    let Some(id) = frame.header("receipt").filter(|_| asks) else { return Ok(None) };
    if version != Version::V1_2 && id.ends_with('\r') {
        let expected = "a value that this version of STOMP can represent is expected";
        return Err(invalid(frame, "receipt", &id, expected));
    }
    Ok(Some(Receipt::new(&id)))
}

fn required<'a>(frame: &'a Frame, header: &'static str) -> Result<Cow<'a, str>, SessionError> {
    frame
        .header(header)
        .ok_or_else(|| SessionError::MissingHeader { command: frame.command(), header })
}

fn invalid(
    frame: &Frame,
    header: &'static str,
    value: &str,
    expected: &'static str,
) -> SessionError {
    SessionError::InvalidHeader {
        command: frame.command(),
        header,
        value: value.to_owned(),
        expected,
    }
}
