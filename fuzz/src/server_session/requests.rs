//! What the client asks for, and what becomes of it.

use bytes::BytesMut;
use stompbox::frame::{Command, Frame, HeaderName, Version};
use stompbox::session::{
    AckMode, CommitFrame, Event, HeldFrame, MessageName, Receipt, Refusal, SessionError,
    SettleFrame, SubscribeFrame, UnsubscribeFrame,
};

use super::model::{Issued, Said};
use super::script::{Request, RequestKind};
use super::{Disconnecting, Pending, Server};

impl Server {
    /// The client sends a frame.
    pub(super) fn send(&mut self, request: &Request) {
        let version = self.session.version();
        let mut frame = frame(&request.kind, version, &self.model.issued);
        if let Some(transaction) = request.transaction {
            frame = frame.with_header("transaction", transaction.to_string());
        }
        if request.receipt {
            self.receipts += 1;
            frame = frame.with_header("receipt", format!("r{}", self.receipts));
        }
        let mut wire = BytesMut::new();
        frame.encode_into(version, &mut wire);
        let mut wire = wire.to_vec();
        if let Some(line) = &request.line {
            let first = frame.command().as_str().len() + 1;
            wire.splice(first..first, line.iter().copied().chain([b'\n']));
        }
        self.on_the_way.extend(wire);
    }

    /// Takes what the session makes of what was read.
    pub(super) fn take_events(&mut self) {
        loop {
            match self.session.next_event() {
                Ok(Some(event)) => {
                    assert!(!self.model.is_over(), "{event:?} after the end");
                    let is_first = matches!(event, Event::Connect(_));
                    assert_eq!(is_first, !self.accepted, "{event:?}");
                    if let Err(refusal) = self.on_event(event) {
                        self.refuse(&refusal);
                    }
                }
                Ok(None) => break,
                Err(refusal) => {
                    self.note(refusal.receipt());
                    self.check_strictness(&refusal);
                    self.refuse(&refusal);
                    assert!(matches!(self.session.next_event(), Ok(None)), "it is over");
                }
            }
        }
        self.finish_disconnect();
    }

    fn on_event(&mut self, event: Event) -> Result<(), Refusal> {
        match event {
            Event::Connect(connect) => {
                assert!(self.connecting.is_none(), "CONNECT twice");
                let has_host = connect.frame.headers().contains(HeaderName::Host);
                let needs_host = connect.version > Version::V1_0;
                assert!(has_host || !needs_host || self.settings.accepts_missing_host);
                self.connecting = Some(connect);
            }
            Event::Send(send) => self.ask(send.receipt, None),
            Event::Subscribe(subscribe) => self.on_subscribe(subscribe)?,
            Event::Unsubscribe(unsubscribe) => self.on_unsubscribe(unsubscribe)?,
            Event::Settle(settle) => {
                self.settle(&settle)?;
                self.ask(settle.receipt, None);
            }
            Event::Commit(commit) => self.on_commit(commit)?,
            Event::Done(receipt) => {
                self.note(Some(&receipt));
                self.confirm_now(Some(&receipt));
            }
            Event::Disconnect(receipt) => {
                self.note(receipt.as_ref());
                self.disconnecting = Some(Disconnecting { receipt });
            }
            other => panic!("{other:?} is not known here"),
        }
        Ok(())
    }

    /// What only the strict profile refuses is refused by no other.
    fn check_strictness(&self, refusal: &Refusal) {
        let accepted = match refusal.error() {
            Some(SessionError::MissingHeader { header: "host", .. }) => {
                self.settings.accepts_missing_host
            }
            Some(SessionError::InvalidHeader { header: "ack", value, .. })
                if AckMode::parse(value).is_some() =>
            {
                self.settings.accepts_individual_in_1_0
            }
            _ => false,
        };
        assert!(!accepted, "{}", refusal.detail());
    }

    fn on_subscribe(&mut self, subscribe: SubscribeFrame) -> Result<(), Refusal> {
        let is_1_1 = subscribe.ack == AckMode::ClientIndividual;
        let is_refused = is_1_1 && !self.settings.accepts_individual_in_1_0;
        assert!(!is_refused || self.model.version != Version::V1_0);
        let opened = self.leaving.subscribe(&subscribe);
        self.model.subscribe(&subscribe, &opened, &self.settings);
        if let Err(error) = opened {
            self.note(subscribe.receipt.as_ref());
            return Err(Refusal::from(error).with_receipt(subscribe.receipt));
        }
        self.ask(subscribe.receipt, Some(self.model.subscriptions.len() - 1));
        Ok(())
    }

    fn on_unsubscribe(&mut self, unsubscribe: UnsubscribeFrame) -> Result<(), Refusal> {
        let found = self.leaving.find(&unsubscribe.target);
        let number = self.model.find(&unsubscribe.target, &found);
        match (found, number) {
            (Ok(key), Some(number)) => {
                let destination = self.leaving.unsubscribe(key).map(String::from);
                assert_eq!(destination, self.model.unsubscribe(number));
                assert_eq!(self.leaving.unsubscribe(key), None, "it has ended");
                self.ask(unsubscribe.receipt, None);
                Ok(())
            }
            (found, _) => {
                self.note(unsubscribe.receipt.as_ref());
                let error = found.expect_err("an unknown subscription");
                Err(Refusal::from(error).with_receipt(unsubscribe.receipt))
            }
        }
    }

    fn settle(&mut self, settle: &SettleFrame) -> Result<(), Refusal> {
        let settled = self.leaving.settle(settle);
        self.model.settle(settle, &settled, &self.settings);
        settled.map(drop).map_err(Refusal::from)
    }

    fn on_commit(&mut self, commit: CommitFrame) -> Result<(), Refusal> {
        assert!(commit.operations.len() <= self.settings.transaction_frames);
        for operation in &commit.operations {
            match operation {
                HeldFrame::Send(send) => assert_eq!(send.receipt, None, "answered before"),
                HeldFrame::Settle(settle) => {
                    assert_eq!(settle.receipt, None, "answered before");
                    self.settle(settle)?;
                }
                other => panic!("{other:?} is not known here"),
            }
        }
        self.ask(commit.receipt, None);
        Ok(())
    }

    /// Asks the broker for something.
    fn ask(&mut self, receipt: Option<Receipt>, activates: Option<usize>) {
        self.note(receipt.as_ref());
        self.pending.push_back(Pending { receipt, activates });
        if self.confirms_at_once {
            self.confirm(true);
        }
    }

    /// The broker confirms what it was asked for.
    pub(super) fn confirm(&mut self, newest: bool) {
        let done = if newest { self.pending.pop_back() } else { self.pending.pop_front() };
        let Some(Pending { receipt, activates }) = done else { return };
        match activates {
            Some(number) => {
                self.say_receipt(receipt.as_ref());
                let key = self.model.subscriptions[number].key;
                self.leaving.activate(key, receipt.as_ref());
                self.model.activate(number);
            }
            None => self.confirm_now(receipt.as_ref()),
        }
        self.finish_disconnect();
    }

    /// The broker fails.
    pub(super) fn fail(&mut self) {
        let Some(Pending { receipt, activates }) = self.pending.pop_front() else { return };
        if let Some(number) = activates {
            let key = self.model.subscriptions[number].key;
            let destination = self.leaving.unsubscribe(key).map(String::from);
            assert_eq!(destination, self.model.unsubscribe(number));
        }
        self.refuse(&Refusal::new("broker error", "it failed").with_receipt(receipt));
    }

    fn confirm_now(&mut self, receipt: Option<&Receipt>) {
        self.say_receipt(receipt);
        if let Some(receipt) = receipt {
            self.leaving.receipt(receipt);
        }
    }

    fn say_receipt(&mut self, receipt: Option<&Receipt>) {
        if let Some(receipt) = receipt {
            self.model.say(Said::Receipt { id: receipt.id().to_owned(), last: false });
        }
    }

    /// DISCONNECT is answered once all that was asked for before is done.
    fn finish_disconnect(&mut self) {
        if self.pending.is_empty()
            && let Some(Disconnecting { receipt }) = self.disconnecting.take()
        {
            self.model.disconnect(receipt.as_ref());
            self.leaving.disconnected(receipt.as_ref());
            self.session.end();
        }
    }

    /// Notes a receipt that a frame of the client asked for.
    fn note(&mut self, receipt: Option<&Receipt>) {
        self.asked.extend(receipt.map(|receipt| receipt.id().to_owned()));
    }

    /// No receipt was asked for more often than the client did.
    pub(super) fn check_receipts(&self) {
        let is_plain =
            |id: &&String| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        for id in self.asked.iter().filter(is_plain) {
            let asked = self.asked.iter().filter(|other| *other == id).count();
            let line = format!("receipt:{id}");
            let sent = self.received.windows(line.len()).filter(|at| *at == line.as_bytes());
            let padded = self.version_is_padded();
            assert!(padded || asked <= sent.count(), "{id} was asked for {asked} times");
        }
    }

    /// Whether names and values may have been sent with spaces around them.
    fn version_is_padded(&self) -> bool {
        self.session.version() == Version::V1_0 && self.settings.leniency.padding()
    }
}

/// A frame of the client as `version` has it.
fn frame(kind: &RequestKind, version: Version, issued: &[Issued]) -> Frame {
    let with = |frame: Frame, name: &'static str, value: Option<String>| match value {
        Some(value) => frame.with_header(name, value),
        None => frame,
    };
    match kind {
        RequestKind::Connect { versions, heart_beat } => {
            let frame = Frame::new(Command::Connect);
            let frame = with(frame, "accept-version", versions.map(str::to_owned));
            with(frame, "heart-beat", heart_beat.map(str::to_owned))
        }
        RequestKind::Subscribe { id, destination, ack } => {
            let frame = Frame::new(Command::Subscribe);
            let frame = with(frame, "id", id.map(String::from));
            let frame = with(frame, "destination", Some(format!("/topic/{destination}")));
            with(frame, "ack", ack.map(|ack| ack.to_string()))
        }
        RequestKind::Unsubscribe { by_id: true, name } => {
            Frame::new(Command::Unsubscribe).with_header("id", name.to_string())
        }
        RequestKind::Unsubscribe { by_id: false, name } => {
            Frame::new(Command::Unsubscribe).with_header("destination", format!("/topic/{name}"))
        }
        RequestKind::Send { destination } => Frame::new(Command::Send)
            .with_header("destination", format!("/topic/{destination}"))
            .with_body("hello"),
        RequestKind::Settle { command, nth_last } => {
            let issued = issued.iter().nth_back(*nth_last);
            let name = message_name(issued, version);
            match name {
                MessageName::Ack(id) => Frame::new(*command).with_header("id", id),
                MessageName::Message(id) => Frame::new(*command).with_header("message-id", id),
                MessageName::InSubscription { message, subscription } => Frame::new(*command)
                    .with_header("message-id", message)
                    .with_header("subscription", subscription),
            }
        }
        RequestKind::Transaction { command, id } => {
            Frame::new(*command).with_header("transaction", id.to_string())
        }
        RequestKind::Disconnect => Frame::new(Command::Disconnect),
    }
}

/// How the client names a MESSAGE that it has seen, or one that it has not.
fn message_name(issued: Option<&Issued>, version: Version) -> MessageName {
    let number = issued.map_or("1".to_owned(), |issued| issued.number.to_string());
    let text = |text: Option<&String>, other: &str| text.map_or(other, String::as_str).into();
    match version {
        Version::V1_2 => {
            MessageName::Ack(text(issued.and_then(|issued| issued.ack.as_ref()), "0-1"))
        }
        Version::V1_1 => MessageName::InSubscription {
            message: number.into(),
            subscription: text(issued.and_then(|issued| issued.subscription.as_ref()), "x"),
        },
        Version::V1_0 => MessageName::Message(number.into()),
    }
}
