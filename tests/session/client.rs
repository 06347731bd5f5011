//! A client in a test, with both halves of the server's session behind it: text in, text out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use stompbox::broker::Message;
use stompbox::session::{
    Bare, Delivery, Envelope, Event, HeartBeat, HeldFrame, Leaving, Receipt, Refusal,
    ServerSession, SessionError, SessionSettings, SettleFrame, Settlement, SubscribeFrame,
    SubscriptionKey,
};

/// Both halves of a session, joined as a server joins them, less sockets and a broker.
pub(crate) struct Client<E = Bare> {
    pub(crate) session: ServerSession,
    pub(crate) leaving: Leaving<E>,
    pub(crate) now: Instant,
    /// What the server would do, in order.
    pub(crate) done: Vec<String>,
    /// The live subscriptions by their id, or their destination where they have none.
    keys: HashMap<String, SubscriptionKey>,
    /// Whether the broker confirms a SUBSCRIBE at once. If not, [`Client::confirm`] does.
    pub(crate) confirms: bool,
    unconfirmed: Vec<(SubscriptionKey, Option<Receipt>)>,
    /// Whether deliveries are encoded at once, as for a client that keeps up.
    pub(crate) direct: bool,
    /// What ended the session.
    pub(crate) refusal: Option<Refusal>,
    /// The tag of the last delivery.
    tag: u64,
}

pub(crate) fn settings() -> SessionSettings {
    let mut settings = SessionSettings::default();
    settings.server = String::from("test/1");
    settings.heart_beat = HeartBeat::NONE;
    settings
}

pub(crate) fn connected(version: &str) -> Client {
    connected_with(version, settings())
}

pub(crate) fn connected_with(version: &str, settings: SessionSettings) -> Client {
    let mut client = Client::new(settings);
    let answer = client.says(&format!("CONNECT\naccept-version:{version}\nhost:h\n\n^@"));
    assert!(answer.starts_with(&format!("CONNECTED\nversion:{version}\n")), "{answer}");
    client
}

pub(crate) fn delivery(destination: &str, body: &str) -> Delivery {
    let message = Message::builder(destination.parse().expect("a valid destination")).body(body);
    Delivery::new(message.into_shared())
}

/// A SUBSCRIBE whose id is this number, as a session gives it.
pub(crate) fn subscribe_frame(id: usize, settles: bool) -> SubscribeFrame {
    let ack = if settles { "client-individual" } else { "auto" };
    let text = format!(
        "CONNECT\naccept-version:1.2\n\n\0\
         SUBSCRIBE\nid:{id}\nack:{ack}\ndestination:/queue/a\n\n\0"
    );
    let now = Instant::now();
    let mut session = ServerSession::new(Arc::new(settings()), now);
    session.receive(text, now);
    let Ok(Some(Event::Connect(connect))) = session.next_event() else { panic!("a CONNECT") };
    let _connected = session.accept(&connect, now);
    let Ok(Some(Event::Subscribe(it))) = session.next_event() else { panic!("a SUBSCRIBE") };
    it
}

impl Client {
    pub(crate) fn new(settings: SessionSettings) -> Self {
        Self::over(Bare, settings)
    }
}

impl<E: Envelope> Client<E> {
    pub(crate) fn over(envelope: E, settings: SessionSettings) -> Self {
        let (settings, now) = (Arc::new(settings), Instant::now());
        Self {
            session: ServerSession::new(Arc::clone(&settings), now),
            leaving: Leaving::new(envelope, settings, now),
            now,
            done: Vec::new(),
            keys: HashMap::new(),
            confirms: true,
            unconfirmed: Vec::new(),
            direct: false,
            refusal: None,
            tag: 0,
        }
    }

    /// Sends, has everything done that is asked for, and returns what comes back.
    pub(crate) fn says(&mut self, text: &str) -> String {
        self.session.receive(text.replace("^@", "\0").into_bytes(), self.now);
        self.go_on();
        self.reads()
    }

    /// As [`Client::says`], in a text message of its own.
    pub(crate) fn says_in_a_message(&mut self, text: &str) -> String {
        self.session.receive(text.replace("^@", "\0").into_bytes(), self.now);
        self.session.end_of_message();
        self.go_on();
        self.reads()
    }

    /// Reads everything that waits.
    pub(crate) fn reads(&mut self) -> String {
        let mut out = BytesMut::new();
        self.leaving.take(&mut out, usize::MAX, self.now);
        assert!(!self.leaving.is_waiting() && self.leaving.waiting_bytes() == 0);
        shown(&out)
    }

    /// A message to a subscription, whose tag is one more than that of the one before.
    pub(crate) fn delivers(&mut self, subscription: &str, body: &str) -> String {
        self.tag += 1;
        let delivery = delivery("/queue/a", body).with_tag(self.tag);
        self.delivers_this(subscription, &delivery)
    }

    pub(crate) fn delivers_this(&mut self, subscription: &str, delivery: &Delivery) -> String {
        let key = self.keys[subscription];
        let deliveries = std::slice::from_ref(delivery);
        if self.direct && !self.leaving.holds(key, 1) {
            let mut out = BytesMut::new();
            self.leaving.deliver_into(key, deliveries, &mut out, usize::MAX, self.now);
            shown(&out)
        } else {
            self.leaving.deliver(key, deliveries, self.now).expect("there is room");
            self.reads()
        }
    }

    /// The broker confirms the oldest SUBSCRIBE that it has not confirmed.
    pub(crate) fn confirm(&mut self) -> String {
        let (key, receipt) = self.unconfirmed.remove(0);
        self.leaving.activate(key, receipt.as_ref());
        self.reads()
    }

    pub(crate) fn key(&self, subscription: &str) -> SubscriptionKey {
        self.keys[subscription]
    }

    pub(crate) fn passes(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    /// The error that ended the session.
    pub(crate) fn error(&self) -> &SessionError {
        self.refusal.as_ref().and_then(Refusal::error).expect("the session was refused")
    }

    fn go_on(&mut self) {
        loop {
            match self.session.next_event() {
                Ok(Some(event)) => {
                    if let Err(refusal) = self.does(event) {
                        self.session.end();
                        self.leaving.refuse(&refusal);
                        self.refusal = Some(refusal);
                    }
                }
                Ok(None) => return,
                Err(refusal) => {
                    self.leaving.refuse(&refusal);
                    self.refusal = Some(refusal);
                }
            }
        }
    }

    fn does(&mut self, event: Event) -> Result<(), Refusal> {
        let receipt = match event {
            Event::Connect(connect) => {
                let connected = self.session.accept(&connect, self.now);
                self.leaving.connected(&connected, "s1", None);
                None
            }
            Event::Send(send) => {
                self.sends(&send);
                send.receipt
            }
            Event::Subscribe(subscribe) => return self.subscribes(&subscribe),
            Event::Unsubscribe(unsubscribe) => {
                let found = self.leaving.find(&unsubscribe.target);
                let key = found.map_err(|error| unsubscribe.refused(error))?;
                let destination = self.leaving.unsubscribe(key).expect("it is live");
                self.done.push(format!("unsubscribe {destination}"));
                unsubscribe.receipt
            }
            Event::Settle(settle) => {
                self.settles(&settle)?;
                settle.receipt
            }
            Event::Commit(commit) => {
                for operation in commit.operations {
                    match operation {
                        HeldFrame::Send(send) => self.sends(&send),
                        HeldFrame::Settle(settle) => self.settles(&settle)?,
                        other => panic!("{other:?}"),
                    }
                }
                commit.receipt
            }
            Event::Done(receipt) => Some(receipt),
            Event::Disconnect(receipt) => {
                self.leaving.disconnected(receipt.as_ref());
                None
            }
            other => panic!("{other:?}"),
        };
        if let Some(receipt) = receipt {
            self.leaving.receipt(&receipt);
        }
        Ok(())
    }

    fn sends(&mut self, send: &stompbox::session::SendFrame) {
        let body = String::from_utf8_lossy(send.frame.body());
        self.done.push(format!("send {} {body}", send.destination));
    }

    fn subscribes(&mut self, subscribe: &SubscribeFrame) -> Result<(), Refusal> {
        let opened = self.leaving.subscribe(subscribe);
        let key = opened.map_err(|error| subscribe.refused(error))?;
        let id = subscribe.id.as_ref().unwrap_or(&subscribe.destination);
        self.keys.insert(id.to_string(), key);
        if self.confirms {
            self.leaving.activate(key, subscribe.receipt.as_ref());
        } else {
            self.unconfirmed.push((key, subscribe.receipt.clone()));
        }
        Ok(())
    }

    fn settles(&mut self, settle: &SettleFrame) -> Result<(), Refusal> {
        let settled = self.leaving.settle(settle);
        let verb = match settle.settlement {
            Settlement::Acknowledged => "ack",
            Settlement::Rejected => "nack",
        };
        if let Some(settled) = settled.map_err(|error| settle.refused(error))? {
            self.done.push(format!("{verb} {} {:?}", settled.destination, settled.tags));
        }
        Ok(())
    }
}

pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text").replace('\0', "^@")
}
