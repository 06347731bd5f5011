//! A client's session and a server's, joined by a simulated connection on a clock that moves only
//! when nothing else is left to do.

mod node;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use stompbox::broker::MemoryBroker;
use stompbox::frame::Version;
use stompbox::session::{
    AckMode, Bare, ClientError, ClientEvent, ClientSession, Confirm, ConnectOptions, HeartBeat,
    NewMessage, NewSubscription, ReceivedMessage, Request, SessionSettings, Unsettled,
};

pub(crate) use node::Node;
pub(crate) use wire::Wire;

/// About how much an end takes for one write, in bytes: so little that most of what it says takes
/// several, and the wire may refuse each in part.
const TAKEN_AT_ONCE: usize = 50;

/// Both ends, and the connection between them.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) client: ClientSession,
    pub(crate) node: Node,
    /// From the client to the server.
    pub(crate) up: Wire,
    /// From the server to the client.
    pub(crate) down: Wire,
    /// What the client was told, in order.
    pub(crate) told: Vec<String>,
    /// What the client has to settle, by body.
    pub(crate) unsettled: HashMap<String, Unsettled>,
    /// What ended the client's session, if it was neither an ERROR nor the client.
    pub(crate) failure: Option<ClientError>,
    settings: Arc<SessionSettings>,
    connections: u64,
}

pub(crate) fn options(version: Version) -> ConnectOptions {
    let mut options = ConnectOptions::new("h");
    options.versions = vec![version];
    options.heart_beat = HeartBeat::NONE;
    options
}

impl Pair {
    /// A pair whose CONNECT waits to be written.
    pub(crate) fn new(options: ConnectOptions, settings: SessionSettings) -> Self {
        let (now, settings) = (Instant::now(), Arc::new(settings));
        let broker = Arc::new(MemoryBroker::new());
        Self {
            now,
            client: ClientSession::connect(Bare, options, now).expect("valid options"),
            node: Node::new(&broker, 1, &settings, now),
            up: Wire::new(),
            down: Wire::new(),
            told: Vec::new(),
            unsettled: HashMap::new(),
            failure: None,
            settings,
            connections: 1,
        }
    }

    /// A pair that is connected.
    pub(crate) fn connected(version: Version) -> Self {
        let mut pair = Self::new(options(version), crate::client::settings());
        pair.rests();
        assert_eq!(pair.tells(), [format!("connected {version}")]);
        pair
    }

    /// Another connection to the same broker, after this one has ended at both ends.
    pub(crate) fn connects_again(&mut self, options: ConnectOptions) {
        self.node.goes(self.now);
        self.connections += 1;
        self.node = Node::new(&self.node.broker, self.connections, &self.settings, self.now);
        self.client = ClientSession::connect(Bare, options, self.now).expect("valid options");
        (self.up, self.down) = (Wire::new(), Wire::new());
        self.unsettled.clear();
    }

    /// What the client was told since it was last asked.
    pub(crate) fn tells(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Goes on until nothing is on its way.
    pub(crate) fn rests(&mut self) {
        self.moves();
        while let Some(next) = self.next_arrival() {
            self.now = self.now.max(next);
            self.moves();
        }
    }

    /// Goes on for so long, with everything that is due meanwhile.
    pub(crate) fn passes(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.moves();
        while let Some(next) = self.next_due().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            let faulty = self.client.handle_deadline(self.now);
            if let Err(fault) = faulty {
                self.failure.get_or_insert(fault.into());
                self.client.end();
            }
            self.node.handle_deadline(self.now);
            self.moves();
        }
        self.now = end;
    }

    /// Whether the connection was lost, or closed.
    pub(crate) fn is_closed(&self) -> bool {
        let lost = self.up.is_lost() || self.down.is_lost();
        let drained = self.next_arrival().is_none();
        (lost || self.node.is_done() || self.client.is_over()) && drained
    }

    fn next_arrival(&self) -> Option<Instant> {
        [self.up.next_arrival(), self.down.next_arrival()].into_iter().flatten().min()
    }

    fn next_due(&self) -> Option<Instant> {
        let deadlines = [self.client.next_deadline(), self.node.next_deadline()];
        self.next_arrival().into_iter().chain(deadlines.into_iter().flatten()).min()
    }

    /// Everything that can be done at this instant.
    fn moves(&mut self) {
        loop {
            let mut moved = self.client_writes();
            while self.node.write(&mut self.down, self.now) {
                moved = true;
            }
            while let Some(bytes) = self.up.read(self.now) {
                self.node.receive(bytes, self.now);
                moved = true;
            }
            while let Some(bytes) = self.down.read(self.now) {
                self.client.receive(bytes, self.now);
                self.takes_events();
                moved = true;
            }
            if !moved {
                break;
            }
        }
        if self.is_closed() {
            self.client.end();
            self.node.goes(self.now);
        }
    }

    fn client_writes(&mut self) -> bool {
        let mut out = BytesMut::new();
        self.client.take(&mut out, TAKEN_AT_ONCE, self.now);
        let taken = self.up.write(&out, self.now);
        self.client.put_back(&out[taken..]);
        taken > 0
    }

    fn takes_events(&mut self) {
        loop {
            match self.client.next_event() {
                Ok(Some(event)) => self.takes(event),
                Ok(None) => return,
                Err(error) => self.failure = Some(error),
            }
        }
    }

    fn takes(&mut self, event: ClientEvent) {
        let told = match event {
            ClientEvent::Connected(welcome) => format!("connected {}", welcome.version),
            ClientEvent::Message(message) => {
                let body = body(&message);
                let again = message.frame.headers().contains("redelivered");
                if let Some(unsettled) = message.unsettled {
                    self.unsettled.insert(body.clone(), unsettled);
                }
                let subscription = message.subscription.unwrap_or_default();
                format!("{subscription}: {body}{}", if again { " again" } else { "" })
            }
            ClientEvent::Stray(message) => {
                let body = body(&message);
                format!("stray {}: {body}", message.subscription.unwrap_or_default())
            }
            ClientEvent::Confirmed(request) => format!("confirmed {request}"),
            ClientEvent::Error(error) => {
                let request = error.request.map(|request| format!(" of {request}"));
                let subscription = error.subscription().map(|id| format!(" in {id}"));
                let about = [request, subscription].into_iter().flatten().collect::<String>();
                format!("error{about}: {}", error.summary())
            }
            ClientEvent::Disconnected => "disconnected".to_owned(),
            other => panic!("{other:?}"),
        };
        self.told.push(told);
    }
}

fn body(message: &ReceivedMessage) -> String {
    String::from_utf8(message.frame.body().to_vec()).expect("text")
}

/// The few words that the tests are written in. All of it asks for a receipt.
impl Pair {
    pub(crate) fn subscribe(&mut self, id: &str, destination: &str, ack: AckMode) -> Request {
        let subscription = NewSubscription::new(id, destination).with_ack(ack);
        self.client.subscribe(&subscription, Confirm::Receipt).expect("it can be")
    }

    pub(crate) fn send(&mut self, destination: &str, body: &str) -> Request {
        let message = NewMessage::to(destination).with_body(body.as_bytes());
        self.client.send(&message, Confirm::Receipt).expect("it can be")
    }

    pub(crate) fn send_in(&mut self, transaction: &str, destination: &str, body: &str) -> Request {
        let message = NewMessage::to(destination).with_body(body.as_bytes());
        let message = message.in_transaction(transaction);
        self.client.send(&message, Confirm::Receipt).expect("it can be")
    }

    /// Acknowledges what came with this body.
    pub(crate) fn ack(&mut self, body: &str, transaction: Option<&str>) -> Request {
        let unsettled = self.unsettled[body].clone();
        self.client.ack(&unsettled, transaction, Confirm::Receipt).expect("it can be")
    }

    pub(crate) fn nack(&mut self, body: &str) -> Request {
        let unsettled = self.unsettled[body].clone();
        self.client.nack(&unsettled, None, Confirm::Receipt).expect("it can be")
    }

    /// How many messages a queue holds, unsettled ones included.
    pub(crate) fn queued(&self, destination: &str) -> usize {
        self.node.broker.queued(&destination.parse().expect("a valid destination"))
    }
}
