mod arriving;
mod error;
mod event;
mod options;
mod outgoing;
mod requests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::frame::{Command, Decoder, Encoder, HeaderName, Version};

use super::incoming_beats::IncomingBeats;
use super::waiting::{Next, Waiting};
use super::{AckMode, Bare, Envelope, PayloadKind};

use options::RESERVED;

pub use error::{ClientError, Incompatible, Misuse, ServerFault};
pub use event::{ClientEvent, Confirm, ReceivedMessage, Request, ServerError, Unsettled, Welcome};
pub use options::ConnectOptions;
pub use outgoing::{NewMessage, NewSubscription};

/// A client's session: requests and bytes go in, what the server says and bytes come out.
///
/// It does no I/O and reads no clock. To drive it:
///
/// 1. [`connect`](Self::connect): its CONNECT waits to be written.
/// 2. Write what [`take`](Self::take) gives as long as [`is_waiting`](Self::is_waiting), which must
///    be asked again after each of the other steps; [`put_back`](Self::put_back) what the transport
///    did not take.
/// 3. [`receive`](Self::receive) what was read, then take [`next_event`](Self::next_event) until it
///    gives `None`.
/// 4. After [`ClientEvent::Connected`], make requests: [`subscribe`](Self::subscribe),
///    [`send`](Self::send), [`ack`](Self::ack), [`begin`](Self::begin). Each that asks for a receipt
///    is named by a later [`ClientEvent::Confirmed`].
/// 5. At [`next_deadline`](Self::next_deadline), which must be asked again after each of these, call
///    [`handle_deadline`](Self::handle_deadline).
/// 6. [`disconnect`](Self::disconnect), go on until [`ClientEvent::Disconnected`], and close.
///
/// A [`ClientError`] ends the session, and so does [`ClientEvent::Error`]: close then. A [`Misuse`]
/// changes nothing. When the transport fails, [`end`](Self::end) the session; what the server may or
/// may not have processed is then [`unconfirmed`](Self::unconfirmed).
///
/// ```
/// use std::time::Instant;
/// use bytes::BytesMut;
/// use stompbox::session::{
///     AckMode, Bare, ClientEvent, ClientSession, Confirm, ConnectOptions, NewSubscription,
/// };
///
/// let now = Instant::now();
/// let mut session = ClientSession::connect(Bare, ConnectOptions::new("chat.example"), now)?;
/// let mut out = BytesMut::new();
/// session.take(&mut out, usize::MAX, now);
/// assert!(out.starts_with(b"CONNECT\naccept-version:1.0,1.1,1.2\nhost:chat.example\n"));
///
/// session.receive("CONNECTED\nversion:1.2\n\n\0", now);
/// let Ok(Some(ClientEvent::Connected(_))) = session.next_event() else { panic!() };
/// let queue = NewSubscription::new("0", "/queue/a").with_ack(AckMode::Client);
/// let asked = session.subscribe(&queue, Confirm::Receipt)?;
///
/// session.receive("RECEIPT\nreceipt-id:1\n\n\0", now);
/// let Ok(Some(ClientEvent::Confirmed(request))) = session.next_event() else { panic!() };
/// assert_eq!(request, asked);
///
/// session.receive("MESSAGE\nsubscription:0\nmessage-id:7\nack:x\n\nhi\0", now);
/// let Ok(Some(ClientEvent::Message(message))) = session.next_event() else { panic!() };
/// session.ack(&message.unsettled.unwrap(), None, Confirm::No)?;
/// out.clear();
/// session.take(&mut out, usize::MAX, now);
/// assert!(out.ends_with(b"ACK\nid:x\n\n\0"));
/// # Ok::<(), stompbox::session::Misuse>(())
/// ```
pub struct ClientSession<E = Bare> {
    envelope: E,
    /// Without the secrets, once CONNECT is written.
    options: ConnectOptions,
    decoder: Decoder,
    stage: Stage,
    version: Version,
    waiting: Waiting,
    /// How often this side has promised a beat, if at all.
    beat: Option<Duration>,
    last_sent: Instant,
    incoming_beats: IncomingBeats,
    last_request: u64,
    /// What was asked for in requests that wait for their RECEIPT, by number.
    unconfirmed: BTreeMap<u64, Command>,
    subscriptions: HashMap<Box<str>, Subscribed>,
    transactions: HashSet<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// CONNECT is to be answered, until this instant if there is one.
    Connecting {
        until: Option<Instant>,
    },
    Connected,
    /// DISCONNECT, the request of this number, is to be answered.
    Disconnecting {
        request: u64,
        until: Option<Instant>,
    },
    /// Whatever else comes is ignored.
    Over,
}

/// One live subscription.
#[derive(Debug)]
struct Subscribed {
    destination: Box<str>,
    ack: AckMode,
}

impl<E: Envelope> ClientSession<E> {
    /// A session whose CONNECT waits to be written from `now` on.
    pub fn connect(envelope: E, options: ConnectOptions, now: Instant) -> Result<Self, Misuse> {
        let mut session = Self {
            envelope,
            decoder: Decoder::new(options.frame_limits, options.leniency),
            stage: Stage::Connecting { until: now.checked_add(options.connect_timeout) },
            version: Version::V1_2,
            waiting: Waiting::default(),
            beat: None,
            last_sent: now,
            incoming_beats: IncomingBeats::new(now),
            last_request: 0,
            unconfirmed: BTreeMap::new(),
            subscriptions: HashMap::new(),
            transactions: HashSet::new(),
            options,
        };
        session.say_connect()?;
        session.options.login = None;
        session.options.passcode = None;
        session.options.headers = Vec::new();
        Ok(session)
    }

    /// Takes what was read. Any byte counts as a heart-beat.
    pub fn receive(&mut self, bytes: impl Into<Bytes>, now: Instant) {
        self.heard(now);
        if self.stage != Stage::Over {
            self.decoder.feed(bytes.into());
        }
    }

    /// Notes a sign of life that carries no bytes of STOMP, such as a WebSocket Pong.
    pub fn heard(&mut self, now: Instant) {
        self.incoming_beats.heard(now);
    }

    /// Gives a server that counts as silent one more period, after the transport has asked it for a
    /// sign of life.
    pub fn grant_period(&mut self, now: Instant) {
        self.incoming_beats.grant_period(now);
    }

    /// Whether requests can be made.
    pub fn is_connected(&self) -> bool {
        self.stage == Stage::Connected
    }

    /// Whether the session has ended, for whichever reason.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The version of the session; 1.2 before it is negotiated.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The requests that wait for their RECEIPT, in the order in which they were made. Those of a
    /// session that is over may have been processed or not.
    pub fn unconfirmed(&self) -> impl Iterator<Item = Request> {
        self.unconfirmed
            .iter()
            .map(|(number, command)| Request { number: *number, command: *command })
    }

    /// Ends the session, since the transport has: whatever else comes is ignored, and nothing more
    /// is sent.
    pub fn end(&mut self) {
        self.stage = Stage::Over;
        self.waiting = Waiting::default();
    }

    /// Moves at most `most` bytes of what waits to be written to `out`.
    pub fn take(&mut self, out: &mut BytesMut, most: usize, now: Instant) {
        let before = out.len();
        while out.len() - before < most {
            match self.waiting.pop(most - (out.len() - before)) {
                Some(Next::Bytes(bytes)) => out.extend_from_slice(&bytes),
                // Nothing is delivered to a server.
                Some(Next::Delivery(..)) => {}
                None => break,
            }
        }
        if out.len() > before {
            self.last_sent = now;
        }
    }

    /// Takes back the end of what was [taken](Self::take) and not written: it goes first next time.
    pub fn put_back(&mut self, rest: &[u8]) {
        self.waiting.put_back(rest);
    }

    /// Whether anything waits to be written.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many bytes wait to be written.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.encoded()
    }

    /// Appends bytes of the transport itself, such as a WebSocket Pong or Close.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.waiting.append(|out| out.extend_from_slice(bytes));
    }

    /// When [`handle_deadline`](Self::handle_deadline) is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Connecting { until } | Stage::Disconnecting { until, .. } => until,
            Stage::Connected => {
                [self.next_beat(), self.incoming_beats.silent_at()].into_iter().flatten().min()
            }
            Stage::Over => None,
        }
    }

    /// Appends a heart-beat if one is due, and says what is overdue at `now`. After
    /// [`ServerFault::HeartBeatMissed`] the session is not over: a transport that can ask for a sign
    /// of life (a WebSocket Ping) does so first, [grants another period](Self::grant_period), and
    /// gives up when that has passed as well; [`heard`](Self::heard) takes the answer.
    pub fn handle_deadline(&mut self, now: Instant) -> Result<(), ServerFault> {
        match self.stage {
            Stage::Connecting { until: Some(until) } if until <= now => {
                self.stage = Stage::Over;
                Err(ServerFault::ConnectTimeout { limit: self.options.connect_timeout })
            }
            Stage::Disconnecting { until: Some(until), .. } if until <= now => {
                self.stage = Stage::Over;
                Err(ServerFault::DisconnectTimeout { limit: self.options.disconnect_timeout })
            }
            Stage::Connected => {
                if self.next_beat().is_some_and(|due| due <= now) {
                    self.wrap(PayloadKind::Text, b"\n");
                }
                let silence = self.incoming_beats.silence(now);
                silence.map_or(Ok(()), |silence| Err(ServerFault::HeartBeatMissed { silence }))
            }
            _ => Ok(()),
        }
    }

    /// When the next heart-beat is due, if nothing else is sent before.
    fn next_beat(&self) -> Option<Instant> {
        let beats = self.stage == Stage::Connected && !self.is_waiting();
        self.beat.filter(|_| beats).and_then(|period| self.last_sent.checked_add(period))
    }

    fn say_connect(&mut self) -> Result<(), Misuse> {
        let command = Command::Connect;
        if self.options.versions.is_empty() {
            return Err(Misuse::NoVersion);
        }
        for (name, _) in &self.options.headers {
            reserved(command, name, &RESERVED)?;
        }
        let options = &self.options;
        let (versions, heart_beat) = (options.accept_version(), options.heart_beat.to_string());
        let mut headers = vec![("accept-version", versions.as_str()), ("host", &options.host)];
        headers.push(("heart-beat", &heart_beat));
        headers.extend(options.login.as_deref().map(|login| ("login", login)));
        headers.extend(options.passcode.as_deref().map(|passcode| ("passcode", passcode)));
        headers.extend(options.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let frame = encode(self.version, command, headers, b"")?;
        self.wrap(PayloadKind::Text, &frame);
        Ok(())
    }

    /// Appends a frame or heart-beat in its envelope.
    fn wrap(&mut self, kind: PayloadKind, payload: &[u8]) {
        let envelope = &self.envelope;
        self.waiting.append(|out| envelope.wrap(kind, payload, out));
    }
}

/// Without the bytes, which may hold secrets.
impl<E> fmt::Debug for ClientSession<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession")
            .field("stage", &self.stage)
            .field("version", &self.version)
            .field("unconfirmed", &self.unconfirmed.len())
            .field("waiting_bytes", &self.waiting.encoded())
            .finish_non_exhaustive()
    }
}

/// A whole frame. The error is a header that cannot be represented: left out, it would change what
/// is asked for.
fn encode<'a>(
    version: Version,
    command: Command,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: &[u8],
) -> Result<BytesMut, Misuse> {
    let mut frame = BytesMut::with_capacity(128 + body.len());
    let mut encoder = Encoder::new(&mut frame, version, command);
    for (name, value) in headers {
        if encoder.header(name, value).left_out() > 0 {
            return Err(Misuse::Unrepresentable { command, header: name.to_owned(), version });
        }
    }
    let _none = encoder.finish(body);
    Ok(frame)
}

/// Refuses a header of the caller's that would be mistaken for one of the session's.
fn reserved(command: Command, name: &str, reserved: &[HeaderName]) -> Result<(), Misuse> {
    match reserved.iter().find(|known| known.as_str() == name) {
        Some(header) => Err(Misuse::ReservedHeader { command, header: header.as_str() }),
        None => Ok(()),
    }
}
