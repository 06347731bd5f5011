mod asking;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::frame::{Decoder, Frame, Version};

use super::event::{ConnectFrame, Event};
use super::incoming_beats::IncomingBeats;
use super::transaction::Transactions;
use super::{Connected, HeartBeat, Refusal, SessionError, SessionSettings};

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
    beats: IncomingBeats,
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
            decoder: Decoder::new(settings.first_frame_limits(), settings.leniency),
            stage: Stage::New { until: now.checked_add(settings.connect_timeout) },
            version: Version::V1_2,
            beats: IncomingBeats::new(now),
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
        self.beats.heard(now);
    }

    /// Gives a client that counts as silent one more period, after the transport has asked it for a
    /// sign of life.
    pub fn grant_period(&mut self, now: Instant) {
        self.beats.grant_period(now);
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
            let (receipt, event) = match asking::receipt_of(&frame, self.version) {
                Ok(receipt) => (receipt.clone(), self.event(frame, receipt)),
                Err(error) => (None, Err(error.into())),
            };
            match event {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(refusal) => {
                    self.stage = Stage::Over;
                    return Err(refusal.with_receipt(receipt));
                }
            }
        }
    }

    /// Accepts a CONNECT. The result is for [`Leaving::connected`](super::Leaving::connected).
    pub fn accept(&mut self, connect: &ConnectFrame, now: Instant) -> Connected {
        self.stage = Stage::Connected;
        self.version = connect.version;
        self.decoder.set_version(connect.version);
        self.decoder.set_limits(self.settings.frame_limits);
        // STOMP 1.0 knows no heart-beats.
        let ours = match connect.version {
            Version::V1_0 => HeartBeat::NONE,
            _ => self.settings.heart_beat,
        };
        self.heard(now);
        self.beats.promise(connect.heart_beat.sends_to(ours), self.settings.heart_beat_margin);
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
            Stage::Connected => self.beats.silent_at(),
            Stage::Over => None,
        }
    }

    /// Says what is overdue at `now`, if anything is. After an overdue heart-beat the session is
    /// not over: a transport that can ask for a sign of life (a WebSocket Ping) does so first,
    /// [grants another period](Self::grant_period), and gives up when that has passed as well;
    /// [`heard`](Self::heard) takes the answer.
    pub fn handle_deadline(&mut self, now: Instant) -> Option<SessionError> {
        match self.stage {
            Stage::New { until: Some(until) } | Stage::Connecting { until: Some(until) }
                if until <= now =>
            {
                self.stage = Stage::Over;
                Some(SessionError::ConnectTimeout { limit: self.settings.connect_timeout })
            }
            Stage::Connected => {
                let silence = self.beats.silence(now);
                silence.map(|silence| SessionError::HeartBeatMissed { silence })
            }
            _ => None,
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
}
