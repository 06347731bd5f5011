//! `client_session`: what can happen to a client's session, in any order. A program asks for what it
//! may and may not have; a server answers by the rules, against them, with broken frames and in
//! pieces; the socket takes some of what it is given; the clock goes on.
//!
//! Nothing of it may panic. What is written is read by the letter, and what the program is told is
//! compared with a naive [`Model`] of the session. How an input is read stands in [`script`].

mod answers;
#[path = "../letters.rs"]
mod letters;
#[path = "../marked.rs"]
mod marked;
mod model;
#[path = "../../../tests/frame/representable.rs"]
mod representable;
mod requests;
mod script;

use std::borrow::Cow;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use stompbox::frame::{Command, Decoder, Frame, HeaderName, Leniency, Limits, Version};
use stompbox::session::{
    ClientEvent, ClientSession, ConnectOptions, Misuse, ServerFault, Unsettled,
};

use answers::Told;
use marked::{END, Mark, Marked, PING};
use model::{FrameText, Model, Stage, Written};
use representable::is_representable;
use script::Operation;

pub(crate) use script::Script;

/// Checks one script.
pub(crate) fn check(script: &Script) {
    let Some(mut client) = Client::connect(&script.options) else { return };
    for operation in &script.operations {
        client.apply(operation);
        client.check_state();
    }
    client.write(usize::MAX, usize::MAX);
    assert!(!client.session.is_waiting() && client.session.waiting_bytes() == 0);
}

/// A program with one connection: drives its session, and tells the model.
struct Client {
    session: ClientSession<Marked>,
    model: Model,
    now: Instant,
    /// What the server has sent and the client has not read.
    on_the_way: Vec<u8>,
    /// What the program was told to settle.
    unsettled: Vec<Unsettled>,
    /// How many messages the server has sent.
    messages: u64,
    pinged: bool,
    /// What was taken and is no whole payload yet.
    partial: Vec<u8>,
    /// What was taken and not written.
    rest: Vec<u8>,
}

impl Client {
    /// A client whose CONNECT waits, unless these options cannot be had.
    fn connect(options: &ConnectOptions) -> Option<Self> {
        // The only reading of the clock; nothing depends on what it reads.
        let now = Instant::now();
        let connected = ClientSession::connect(Marked, options.clone(), now);
        check_connect(options, connected.as_ref().err());
        let session = connected.ok()?;
        Some(Self {
            session,
            model: Model::new(options, now),
            now,
            on_the_way: Vec::new(),
            unsettled: Vec::new(),
            messages: 0,
            pinged: false,
            partial: Vec::new(),
            rest: Vec::new(),
        })
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Ask(request) => self.ask(request),
            Operation::Say(frame) => self.say(frame),
            Operation::Bytes(bytes) => self.on_the_way.extend_from_slice(bytes),
            Operation::Corrupt { from_end, octet } => {
                if let Some(corrupted) = self.on_the_way.iter_mut().nth_back(*from_end) {
                    *corrupted = *octet;
                }
            }
            Operation::Read(most) => self.read(*most),
            Operation::Write { most, took } => self.write(*most, *took),
            Operation::Clock { forward: true, by } => self.now += *by,
            Operation::Clock { forward: false, by } => {
                self.now = self.now.checked_sub(*by).unwrap_or(self.now);
            }
            Operation::Deadline { jump } => self.meet_deadline(*jump),
            Operation::Heard => {
                self.pinged = false;
                self.session.heard(self.now);
                self.model.heard(self.now);
            }
            Operation::Ping => self.raw(PING, Written::Ping),
            Operation::Close => self.raw(END, Written::End),
            Operation::End => self.end(),
            Operation::Nothing => {}
        }
    }

    fn read(&mut self, most: usize) {
        let behind = self.on_the_way.split_off(most.min(self.on_the_way.len()));
        let chunk = std::mem::replace(&mut self.on_the_way, behind);
        self.pinged = false;
        self.model.heard(self.now);
        if self.model.stage != Stage::Over {
            self.model.decoder.feed_slice(&chunk);
        }
        self.session.receive(Bytes::from(chunk), self.now);
        self.take_events();
    }

    fn take_events(&mut self) {
        loop {
            let told = self.session.next_event().transpose();
            if let Some(Ok(ClientEvent::Message(message))) = &told {
                self.unsettled.extend(message.unsettled.clone());
            }
            let told = told.map(Told::of);
            assert_eq!(told, self.model.next_told());
            if told.is_none() {
                return;
            }
        }
    }

    fn raw(&mut self, bytes: &[u8], written: Written) {
        self.session.raw(bytes);
        self.model.to_write.push_back(written);
    }

    fn end(&mut self) {
        self.session.end();
        self.model.end();
        self.partial.clear();
        self.rest.clear();
        assert!(!self.session.is_waiting());
    }

    /// Does what a driver does when its timer goes off.
    fn meet_deadline(&mut self, jump: bool) {
        if let Some(due) = self.session.next_deadline().filter(|_| jump) {
            self.now = self.now.max(due);
        }
        let expected = self.model.handle_deadline(self.session.is_waiting(), self.now);
        let overdue = self.session.handle_deadline(self.now);
        assert_eq!(overdue, expected);
        match overdue {
            Err(ServerFault::HeartBeatMissed { .. }) if !self.pinged => {
                self.pinged = true;
                self.session.grant_period(self.now);
                self.model.grant_period(self.now);
                self.raw(PING, Written::Ping);
            }
            Err(ServerFault::HeartBeatMissed { .. }) => self.end(),
            Err(_) | Ok(()) => {}
        }
        let is_past = |due: Instant| due <= self.now;
        assert!(!self.session.next_deadline().is_some_and(is_past), "the deadline was met");
    }

    /// Takes at most `most` bytes, of which the socket takes `took`.
    fn write(&mut self, most: usize, took: usize) {
        let (mut out, waiting) = (BytesMut::new(), self.session.waiting_bytes());
        self.session.take(&mut out, most, self.now);
        assert_eq!(out.len(), most.min(waiting));
        if !out.is_empty() {
            self.model.last_sent = self.now;
        }
        let again = out.len().min(self.rest.len());
        assert_eq!(out[..again], self.rest[..again], "what was put back goes first");
        self.look(&out[again..]);
        let put_back = out.get(took..).unwrap_or_default();
        self.session.put_back(put_back);
        self.rest.splice(..again, put_back.iter().copied());
        if !self.session.is_waiting() {
            let is_whole = self.partial.is_empty() && self.model.to_write.is_empty();
            assert!(is_whole, "something is missing: {:?}", self.model.to_write);
        }
    }

    /// Looks at what was taken for the first time.
    fn look(&mut self, taken: &[u8]) {
        self.partial.extend_from_slice(taken);
        let bytes = std::mem::take(&mut self.partial);
        let mut rest = &bytes[..];
        while let Some((mark, payload)) = marked::split(&mut rest) {
            let written = match mark {
                Mark::Ping => Written::Ping,
                Mark::End => Written::End,
                Mark::Text if payload == b"\n" => Written::Beat,
                Mark::Text | Mark::Binary => {
                    let is_text = std::str::from_utf8(payload).is_ok();
                    assert_eq!(mark == Mark::Text, is_text, "{}", payload.escape_ascii());
                    Written::Frame(frame_text(&decode(payload, self.session.version())))
                }
            };
            assert_eq!(Some(written), self.model.to_write.pop_front());
        }
        self.partial = rest.to_vec();
    }

    /// What holds whatever happened.
    fn check_state(&self) {
        let (session, model) = (&self.session, &self.model);
        assert_eq!(session.is_connected(), model.stage == Stage::Connected);
        assert_eq!(session.is_over(), model.stage == Stage::Over);
        assert_eq!(session.version(), model.version);
        assert_eq!(session.next_deadline(), model.next_deadline(session.is_waiting()));
        assert_eq!(session.is_waiting(), session.waiting_bytes() > 0);
        let unconfirmed = session.unconfirmed().map(|asked| (asked.number(), asked.command()));
        assert!(unconfirmed.eq(model.unconfirmed.iter().map(|(number, of)| (*number, *of))));
    }
}

/// What came of CONNECT has to be this.
fn check_connect(options: &ConnectOptions, misuse: Option<&Misuse>) {
    let FrameText { command, headers, .. } = model::connect(options);
    let has_versions = !options.versions.is_empty();
    let reserved = options.headers.iter().any(|(name, _)| name == "receipt");
    let is_said =
        |(name, value): &(String, String)| is_representable(Version::V1_2, command, name, value);
    let is_said = headers.iter().all(is_said);
    match misuse {
        None => assert!(has_versions && !reserved && is_said, "it was asked for"),
        Some(Misuse::NoVersion) => assert!(!has_versions),
        Some(Misuse::ReservedHeader { .. }) => assert!(reserved),
        Some(Misuse::Unrepresentable { .. }) => assert!(!is_said),
        Some(misuse) => panic!("CONNECT cannot fail so: {misuse}"),
    }
}

/// The one frame of `wire`, by the letter. Nothing is escaped in CONNECT, whatever was agreed since.
fn decode(wire: &[u8], version: Version) -> Frame {
    let limits = Limits::default().with_head(1 << 20).with_headers(usize::MAX);
    let mut decoder = Decoder::new(limits, Leniency::strict());
    let is_connect = wire.starts_with(b"CONNECT\n");
    decoder.set_version(if is_connect { Version::V1_2 } else { version });
    decoder.feed_slice(wire);
    let frame = match decoder.next_frame() {
        Ok(Some(frame)) => frame,
        other => panic!("{}: {other:?}", wire.escape_ascii()),
    };
    assert_eq!((decoder.next_frame(), decoder.buffered()), (Ok(None), 0), "one frame");
    frame
}

fn frame_text(frame: &Frame) -> FrameText {
    let own = HeaderName::ContentLength.as_str();
    let headers = frame.headers().iter().filter(|(name, _)| name != own);
    let headers = headers.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let length = frame.header(own).map(Cow::into_owned);
    let has_body = !frame.body().is_empty();
    assert_eq!(length, has_body.then(|| frame.body().len().to_string()));
    assert!(!has_body || frame.command() == Command::Send, "only SEND has a body");
    FrameText { command: frame.command(), headers, body: frame.body().to_vec() }
}
