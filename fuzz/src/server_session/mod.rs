//! `server_session`: what can happen to a server's session, in any order. A client sends frames,
//! whole, broken and in pieces; a broker confirms, fails and delivers; the socket takes some of what
//! it is given; the clock goes on.
//!
//! Nothing of it may panic. What is sent is checked octet by octet by [`Seen`], against what a naive
//! [`Model`] of the session expects. How an input is read stands in [`script`].

#[path = "../letters.rs"]
mod letters;
#[path = "../marked.rs"]
mod marked;
mod model;
mod requests;
mod script;
mod seen;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use stompbox::frame::SharedMessage;
use stompbox::session::{
    ConnectFrame, Delivery, Leaving, Receipt, Refusal, ServerSession, SessionError, SessionSettings,
};

use marked::{END, Marked, PING};
use model::{Model, Said};
use script::{How, Operation, Target};
use seen::Seen;

pub(crate) use script::Script;

/// Checks one script.
pub(crate) fn check(script: &Script) {
    let mut server = Server::new(script);
    for operation in &script.operations {
        server.apply(operation);
        server.check_state();
    }
    server.finish();
}

/// A server with one connection: drives both halves of its session as the real one does, and tells
/// the model.
struct Server {
    settings: Arc<SessionSettings>,
    session: ServerSession,
    leaving: Leaving<Marked>,
    model: Model,
    seen: Seen,
    now: Instant,
    /// What the client has sent and the server has not read.
    on_the_way: Vec<u8>,
    /// What the server has read.
    received: Vec<u8>,
    /// How many receipts the client's own frames have asked for.
    receipts: usize,
    /// What the session said was asked for.
    asked: Vec<String>,
    connecting: Option<Box<ConnectFrame>>,
    /// Whether a CONNECT was accepted.
    accepted: bool,
    disconnecting: Option<Disconnecting>,
    pinged: bool,
    confirms_at_once: bool,
    /// What the broker has not confirmed, oldest first.
    pending: VecDeque<Pending>,
    last_message: Option<(SharedMessage, u64)>,
    /// What was encoded and not taken by the socket.
    rest: Vec<u8>,
}

/// A DISCONNECT came.
struct Disconnecting {
    receipt: Option<Receipt>,
}

/// What the broker was asked for.
struct Pending {
    receipt: Option<Receipt>,
    /// The subscription that is active then, by its number in the model.
    activates: Option<usize>,
}

impl Server {
    fn new(script: &Script) -> Self {
        let settings = Arc::new(script.settings.clone());
        // The only reading of the clock; nothing depends on what it reads.
        let now = Instant::now();
        Self {
            session: ServerSession::new(Arc::clone(&settings), now),
            leaving: Leaving::new(Marked, Arc::clone(&settings), now),
            settings,
            model: Model::new(),
            seen: Seen::default(),
            now,
            on_the_way: Vec::new(),
            received: Vec::new(),
            receipts: 0,
            asked: Vec::new(),
            connecting: None,
            accepted: false,
            disconnecting: None,
            pinged: false,
            confirms_at_once: script.confirms_at_once,
            pending: VecDeque::new(),
            last_message: None,
            rest: Vec::new(),
        }
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Frame(request) => self.send(request),
            Operation::Bytes(bytes) => self.on_the_way.extend_from_slice(bytes),
            Operation::Corrupt { from_end, octet } => {
                if let Some(corrupted) = self.on_the_way.iter_mut().nth_back(*from_end) {
                    *corrupted = *octet;
                }
            }
            Operation::Read(most) => self.read(*most),
            Operation::EndOfMessage => {
                self.session.end_of_message();
                self.take_events();
            }
            Operation::Accept => self.accept(),
            Operation::Refuse => self.refuse(&Refusal::new("not allowed", "go away\0")),
            Operation::Confirm { newest } => self.confirm(*newest),
            Operation::Fail => self.fail(),
            Operation::Deliver { to, content, how } => {
                let message = seen::message(self.model.next_serial(), *content);
                self.last_message = Some(message.clone());
                match to {
                    Target::One(number) => self.deliver(*number, &message, false, *how),
                    Target::All => (0..self.model.subscriptions.len())
                        .for_each(|number| self.deliver(number, &message, false, *how)),
                }
            }
            Operation::Redeliver { to } => {
                if let Some(message) = self.last_message.clone() {
                    self.deliver(*to, &message, true, How::Kept);
                }
            }
            Operation::Write { most, took } => self.write(*most, *took),
            Operation::WriteAll => self.write(usize::MAX, usize::MAX),
            Operation::Clock { forward: true, by } => self.now += *by,
            Operation::Clock { forward: false, by } => {
                self.now = self.now.checked_sub(*by).unwrap_or(self.now);
            }
            Operation::Deadline { jump } => self.meet_deadline(*jump),
            Operation::Heard => {
                self.pinged = false;
                self.session.heard(self.now);
            }
            Operation::Ping => self.ping(),
            Operation::Binary => {
                self.leaving.set_binary();
                self.seen.set_binary();
            }
            Operation::End => self.end(),
            Operation::Nothing => {}
        }
    }

    fn read(&mut self, most: usize) {
        let behind = self.on_the_way.split_off(most.min(self.on_the_way.len()));
        let chunk = std::mem::replace(&mut self.on_the_way, behind);
        self.received.extend_from_slice(&chunk);
        self.pinged = false;
        self.session.receive(Bytes::from(chunk), self.now);
        self.take_events();
    }

    fn accept(&mut self) {
        let Some(connect) = self.connecting.take() else { return };
        assert!(self.settings.versions.contains(&connect.version));
        let connected = self.session.accept(&connect, self.now);
        assert!(self.session.is_connected());
        self.accepted = true;
        self.model.version = connected.version;
        self.model.say(Said::Connected {
            settings: Arc::clone(&self.settings),
            version: connected.version,
        });
        self.leaving.connected(&connected, "session-1", Some("J. R. \\ \"Bob\":"));
        self.take_events();
    }

    /// Sends an ERROR and ends the session. What the broker was asked for may still be confirmed.
    fn refuse(&mut self, refusal: &Refusal) {
        self.model.refuse(refusal);
        self.leaving.refuse(refusal);
        self.connecting = None;
        self.session.end();
    }

    fn ping(&mut self) {
        self.model.say_raw(Said::Ping);
        self.leaving.raw(PING);
    }

    fn end(&mut self) {
        self.model.say_raw(Said::End);
        self.leaving.end(END);
        self.connecting = None;
        self.session.end();
    }

    /// Delivers to a subscription, which may have ended.
    fn deliver(&mut self, to: usize, message: &(SharedMessage, u64), again: bool, how: How) {
        let Some(key) = self.model.subscriptions.get(to).map(|subscription| subscription.key)
        else {
            return;
        };
        let tag = self.model.next_serial();
        let delivery =
            Delivery::new(message.0.clone()).with_tag(tag).with_attempt(1 + u32::from(again));
        let (takes, holds) = (self.model.takes(to), self.leaving.holds(key, 1));
        assert!(holds || !self.model.is_held(to), "its SUBSCRIBE was not confirmed");
        if how == How::Direct {
            let mut out = BytesMut::new();
            let encoded =
                self.leaving.deliver_into(key, &[delivery], &mut out, usize::MAX, self.now);
            let live = encoded == 1;
            assert_eq!(live, takes && !holds);
            if live {
                self.model.deliver(to, message, tag, again);
            }
            self.encoded(&out, out.len() / 2);
            return;
        }
        match self.leaving.deliver(key, &[delivery], self.now) {
            Ok(live) => {
                assert_eq!(live, takes);
                if live {
                    let kept = self.leaving.waiting_bytes() + self.leaving.held_bytes();
                    assert!(kept <= self.settings.waiting_bytes, "{kept} are kept");
                    self.model.deliver(to, message, tag, again);
                }
            }
            Err(slow) => {
                assert!(matches!(slow, SessionError::SlowConsumer { .. }), "{slow}");
                self.refuse(&slow.into());
            }
        }
    }

    /// Encodes about `most` bytes, of which the socket takes `took`.
    fn write(&mut self, most: usize, took: usize) {
        let mut out = BytesMut::new();
        self.leaving.take(&mut out, most, self.now);
        assert!(out.len() >= most || !self.leaving.is_waiting(), "less than there is");
        self.encoded(&out, took);
    }

    /// Looks at what was encoded, and puts back what the socket does not take.
    fn encoded(&mut self, out: &[u8], took: usize) {
        let again = out.len().min(self.rest.len());
        assert_eq!(out[..again], self.rest[..again], "what was put back goes first");
        self.seen.look(&out[again..], &mut self.model);
        let put_back = out.get(took..).unwrap_or_default();
        self.leaving.put_back(put_back);
        self.rest.splice(..again, put_back.iter().copied());
        if !self.leaving.is_waiting() {
            assert!(self.seen.is_whole() && self.model.said.is_empty(), "something is missing");
        }
    }

    /// Does what the server does when its timer goes off.
    fn meet_deadline(&mut self, jump: bool) {
        let due = [self.session.next_deadline(), self.leaving.next_beat()];
        if let Some(due) = due.into_iter().flatten().min().filter(|_| jump) {
            self.now = self.now.max(due);
        }
        match self.session.handle_deadline(self.now) {
            Some(_) if self.session.is_connected() && !self.pinged => {
                self.pinged = true;
                self.session.grant_period(self.now);
                self.ping();
            }
            Some(error) => self.refuse(&error.into()),
            None => {}
        }
        let is_past = |due: Instant| due <= self.now;
        assert!(!self.session.next_deadline().is_some_and(is_past), "the deadline was met");
        if self.leaving.next_beat().is_some_and(is_past) {
            self.model.say(Said::Beat);
        }
        self.leaving.beat(self.now);
        assert!(!self.leaving.next_beat().is_some_and(is_past), "the beat waits");
    }

    /// What holds whatever happened.
    fn check_state(&self) {
        assert_eq!(self.leaving.is_over(), self.model.is_over());
        assert_eq!(self.leaving.counters().messages, self.seen.messages());
        assert!(self.model.unsettled() <= self.settings.unsettled);
        if !self.leaving.is_waiting() {
            assert_eq!(self.leaving.waiting_bytes(), 0, "nothing waits");
        }
    }

    /// The socket takes everything, and the connection is gone.
    fn finish(mut self) {
        self.write(usize::MAX, usize::MAX);
        assert!(!self.leaving.is_waiting());
        self.model.check_all_seen(&self.settings);
        self.check_receipts();
        let ended = self.leaving.unsubscribe_all().into_iter();
        let ended: HashSet<_> = ended.map(|(key, name)| (key, String::from(name))).collect();
        assert_eq!(ended, self.model.unsubscribe_all());
        self.write(usize::MAX, usize::MAX);
        assert_eq!((self.leaving.waiting_bytes(), self.leaving.held_bytes()), (0, 0));
    }
}
