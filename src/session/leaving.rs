use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::frame::{Command, Encoder, Version};

use super::event::{MessageName, Settle, Subscribe, UnsubscribeTarget};
use super::subscriptions::{Subscription, Subscriptions};
use super::waiting::{Waiting, WaitingItem};
use super::{
    AckMode, Delivery, Envelope, HeartBeat, PayloadKind, Receipt, Refusal, SessionError,
    SessionSettings, SubscriptionKey,
};

/// The leaving half of a server's session: everything that a client is sent goes through it, in the
/// order in which it was decided.
///
/// It holds the live subscriptions, the ledger of deliveries that the client has not settled, and
/// what waits to be written. It does no I/O: [`take`](Self::take) gives the bytes to be written, and
/// [`put_back`](Self::put_back) takes what the transport did not. Whoever delivers, from whichever
/// task, does so behind one lock around it.
///
/// After [`refuse`](Self::refuse) (an ERROR) or [`end`](Self::end) nothing more is sent.
#[derive(Debug)]
pub struct Leaving<E> {
    encoder: MessageEncoder<E>,
    settings: Arc<SessionSettings>,
    stage: Stage,
    subscriptions: Subscriptions,
    unsettled: usize,
    waiting: Waiting,
    beat: Option<Duration>,
    last_sent: Instant,
    counters: LeavingCounters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    /// An ERROR was sent, or the RECEIPT of DISCONNECT: only what ends the transport may follow.
    Last,
    /// The transport's own last word was said, such as a WebSocket Close.
    Ended,
}

/// What was negotiated when a CONNECT was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connected {
    /// The version of the session.
    pub version: Version,
    /// The server's `heart-beat` header.
    pub heart_beat: HeartBeat,
    /// How often this side sends a beat, if at all.
    pub beat: Option<Duration>,
}

/// What an ACK or NACK settled, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The subscription.
    pub key: SubscriptionKey,
    /// Its destination.
    pub destination: Box<str>,
    /// The tags of the deliveries.
    pub tags: Vec<u64>,
}

/// What is counted here, since the session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LeavingCounters {
    /// MESSAGE frames encoded.
    pub messages: u64,
    /// Headers left out because the version cannot represent them.
    pub headers_left_out: u64,
    /// ACKs and NACKs of what was settled before.
    pub settled_before: u64,
}

impl<E: Envelope> Leaving<E> {
    /// The leaving half of a session that begins now.
    pub fn new(envelope: E, settings: Arc<SessionSettings>, now: Instant) -> Self {
        Self {
            encoder: MessageEncoder {
                envelope,
                version: Version::V1_2,
                binary: false,
                last_message: 0,
            },
            stage: Stage::Open,
            subscriptions: Subscriptions::default(),
            unsettled: 0,
            waiting: Waiting::default(),
            beat: None,
            last_sent: now,
            counters: LeavingCounters::default(),
            settings,
        }
    }

    /// Notes that the client sends binary messages: it is sent binary ones from now on.
    pub fn set_binary(&mut self) {
        self.encoder.binary = true;
    }

    /// What was counted.
    pub fn counters(&self) -> LeavingCounters {
        self.counters
    }

    /// Whether an ERROR, or what ends the transport, was said.
    pub fn is_over(&self) -> bool {
        self.stage != Stage::Open
    }

    /// Answers CONNECT (STOMP 1.2, "CONNECTED Frame"). `session` is the session's id, `user_name`
    /// whom the client was authenticated as.
    pub fn connected(&mut self, connected: &Connected, session: &str, user_name: Option<&str>) {
        self.encoder.version = connected.version;
        self.beat = connected.beat;
        let heart_beat = connected.heart_beat.to_string();
        let settings = Arc::clone(&self.settings);
        self.say(Command::Connected, b"", |head| {
            head.header("version", connected.version.as_str());
            head.header("session", session);
            head.header("server", &settings.server);
            head.header("heart-beat", &heart_beat);
            if let Some(user_name) = user_name {
                head.header("user-name", user_name);
            }
        });
    }

    /// Answers a receipt: what it was asked for is done.
    pub fn receipt(&mut self, receipt: &Receipt) {
        self.say(Command::Receipt, b"", |head| {
            head.header("receipt-id", receipt.id());
        });
    }

    /// Answers DISCONNECT: after its receipt nothing more is sent.
    pub fn disconnected(&mut self, receipt: Option<&Receipt>) {
        if let Some(receipt) = receipt {
            self.receipt(receipt);
        }
        self.stage = self.stage.max(Stage::Last);
    }

    /// Sends an ERROR; nothing more is sent after it. Deliveries that wait are dropped, so that a
    /// client that was too slow need not read them all to learn why.
    pub fn refuse(&mut self, refusal: &Refusal) {
        self.waiting.drop_deliveries();
        self.say(Command::Error, refusal.detail().as_bytes(), |head| {
            head.header("message", refusal.summary());
            if let Some(receipt) = refusal.receipt() {
                head.header("receipt-id", receipt.id());
            }
            for (name, value) in refusal.headers() {
                head.header(name, value);
            }
            head.header("content-type", "text/plain;charset=utf-8");
        });
        self.stage = self.stage.max(Stage::Last);
    }

    /// Appends bytes of the transport itself, such as a WebSocket Ping or Pong.
    pub fn raw(&mut self, bytes: &[u8]) {
        if self.stage < Stage::Ended {
            self.waiting.append(|out| out.extend_from_slice(bytes));
        }
    }

    /// Appends the transport's own last word, such as a WebSocket Close, or nothing on TCP. After it
    /// nothing is sent; a second one is not sent either.
    pub fn end(&mut self, bytes: &[u8]) {
        self.raw(bytes);
        self.stage = Stage::Ended;
    }

    /// Opens a subscription. Until [`activate`](Self::activate) its deliveries are held back.
    pub fn subscribe(&mut self, subscribe: &Subscribe) -> Result<SubscriptionKey, SessionError> {
        self.subscriptions.open(subscribe, self.encoder.version, self.settings.subscriptions)
    }

    /// The broker has confirmed the subscription: its RECEIPT goes out, and then what was delivered
    /// meanwhile.
    pub fn activate(&mut self, key: SubscriptionKey, receipt: Option<&Receipt>) {
        if let Some(receipt) = receipt {
            self.receipt(receipt);
        }
        let held = self.subscriptions.get_mut(key).and_then(|live| live.held.take());
        for delivery in held.into_iter().flatten() {
            // It was counted when it came.
            self.waiting.push_counted(key, delivery);
        }
    }

    /// Finds what an UNSUBSCRIBE ends.
    pub fn find(&self, target: &UnsubscribeTarget) -> Result<SubscriptionKey, SessionError> {
        self.subscriptions.find(target)
    }

    /// Ends a subscription: from now on none of its deliveries is sent. Returns its destination, or
    /// `None` if it has ended before.
    pub fn unsubscribe(&mut self, key: SubscriptionKey) -> Option<Box<str>> {
        let subscription = self.subscriptions.remove(key)?;
        self.unsettled -= subscription.ledger.len();
        self.waiting.drop_held(subscription.held.into_iter().flatten());
        Some(subscription.destination)
    }

    /// Ends all subscriptions and returns them: the connection is gone.
    pub fn unsubscribe_all(&mut self) -> Vec<(SubscriptionKey, Box<str>)> {
        let keys: Vec<_> = self.subscriptions.iter().map(|(key, _)| key).collect();
        keys.into_iter().filter_map(|key| Some((key, self.unsubscribe(key)?))).collect()
    }

    /// Finds what an ACK or NACK settles, and takes it out of the ledger. `None` for what was
    /// settled before, or whose subscription has ended: such a frame is ignored and counted.
    pub fn settle(&mut self, settle: &Settle) -> Result<Option<Settled>, SessionError> {
        let Some((key, number)) = self.named(&settle.message)? else {
            self.counters.settled_before += 1;
            return Ok(None);
        };
        let Some(subscription) = self.subscriptions.get_mut(key) else { return Ok(None) };
        let tags = match subscription.ack {
            AckMode::Client => subscription.ledger.settle_up_to(number),
            _ => subscription.ledger.settle(number).into_iter().collect(),
        };
        if tags.is_empty() {
            self.counters.settled_before += 1;
            return Ok(None);
        }
        self.unsettled -= tags.len();
        let destination = subscription.destination.clone();
        Ok(Some(Settled { key, destination, tags }))
    }

    /// Takes deliveries to a subscription. They are encoded when they are [taken](Self::take).
    /// Returns whether the subscription is live.
    ///
    /// The error is that more waits than may: the connection reads too slowly.
    pub fn deliver(
        &mut self,
        key: SubscriptionKey,
        deliveries: &[Delivery],
    ) -> Result<bool, SessionError> {
        if self.is_over() {
            return Ok(false);
        }
        let Some(subscription) = self.subscriptions.get_mut(key) else { return Ok(false) };
        for delivery in deliveries {
            match &mut subscription.held {
                Some(held) => {
                    self.waiting.count(delivery);
                    held.push(delivery.clone());
                }
                None => self.waiting.push(key, delivery.clone()),
            }
        }
        let (waiting, limit) = (self.waiting.size(), self.settings.waiting_bytes);
        if waiting > limit {
            return Err(SessionError::SlowConsumer { waiting, limit });
        }
        Ok(true)
    }

    /// Encodes deliveries to `out` at once, behind everything that waits, which is taken first: the
    /// way of a connection that keeps up. Returns whether the subscription is live and active; if
    /// not, nothing was encoded for it.
    pub fn deliver_into(
        &mut self,
        key: SubscriptionKey,
        deliveries: &[Delivery],
        out: &mut BytesMut,
        now: Instant,
    ) -> bool {
        self.take(out, usize::MAX, now);
        if self.is_over() {
            return false;
        }
        let Some(subscription) = self.subscriptions.get_mut(key) else { return false };
        if subscription.held.is_some() {
            return false;
        }
        for delivery in deliveries {
            self.encoder.encode(key, subscription, delivery, out);
        }
        self.counters.messages += deliveries.len() as u64;
        if subscription.ack.settles() {
            self.unsettled += deliveries.len();
        }
        self.last_sent = now;
        true
    }

    /// Whether deliveries to this subscription are held back until the broker confirms it.
    pub fn is_held(&mut self, key: SubscriptionKey) -> bool {
        self.subscriptions.get_mut(key).is_some_and(|subscription| subscription.held.is_some())
    }

    /// Moves what waits to `out`, about `most` bytes of it and whole frames only. Deliveries whose
    /// subscription has ended meanwhile are left out.
    pub fn take(&mut self, out: &mut BytesMut, most: usize, now: Instant) {
        let before = out.len();
        while out.len() - before < most
            && let Some(item) = self.waiting.pop()
        {
            match item {
                WaitingItem::Bytes(bytes) => out.extend_from_slice(&bytes),
                WaitingItem::Delivery(key, delivery) => {
                    let Some(subscription) = self.subscriptions.get_mut(key) else { continue };
                    self.encoder.encode(key, subscription, &delivery, out);
                    self.counters.messages += 1;
                    self.unsettled += usize::from(subscription.ack.settles());
                }
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

    /// How many bytes wait, with what they cost to keep.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.size()
    }

    /// When the next heart-beat is due, if nothing else is sent before.
    pub fn next_beat(&self) -> Option<Instant> {
        let beats = self.stage == Stage::Open && !self.is_waiting();
        self.beat.filter(|_| beats).map(|period| self.last_sent + period)
    }

    /// Appends a heart-beat if one is due (STOMP 1.2, "Heart-beating": an EOL).
    pub fn beat(&mut self, now: Instant) {
        if self.next_beat().is_some_and(|due| due <= now) {
            self.wrap(b"\n");
        }
    }

    /// Appends a frame or heart-beat of our own, which is always text, in its envelope.
    fn wrap(&mut self, payload: &[u8]) {
        let kind = self.encoder.kind(true);
        let envelope = &self.encoder.envelope;
        self.waiting.append(|out| {
            envelope.open(kind, payload.len(), out);
            out.extend_from_slice(payload);
        });
    }

    fn say(&mut self, command: Command, body: &[u8], head: impl FnOnce(&mut Encoder<'_>)) {
        if self.is_over() {
            return;
        }
        let mut frame = BytesMut::with_capacity(128 + body.len());
        let mut encoder = Encoder::new(&mut frame, self.encoder.version, command);
        head(&mut encoder);
        self.counters.headers_left_out += encoder.finish(body) as u64;
        self.wrap(&frame);
    }

    /// The subscription and number that an ACK or NACK names; `None` if its subscription has ended.
    fn named(
        &mut self,
        name: &MessageName,
    ) -> Result<Option<(SubscriptionKey, u64)>, SessionError> {
        let unknown = |id: &str| SessionError::UnknownMessage { id: id.to_owned() };
        let issued = |id: &str, number: &str| {
            let number = decimal(number).filter(|number| *number <= self.encoder.last_message);
            number.ok_or_else(|| unknown(id))
        };
        match name {
            MessageName::Ack(id) => {
                let (slot, number) = id.split_once('-').ok_or_else(|| unknown(id))?;
                let number = issued(id, number)?;
                let slot = decimal(slot).and_then(|slot| u32::try_from(slot).ok());
                let slot = slot.ok_or_else(|| unknown(id))?;
                Ok(self.subscriptions.in_slot(slot).map(|(key, _)| (key, number)))
            }
            MessageName::InSubscription { message, subscription } => {
                let number = issued(message, message)?;
                Ok(self.subscriptions.key_of(subscription).map(|key| (key, number)))
            }
            MessageName::Message(message) => {
                let number = issued(message, message)?;
                let mut subscriptions = self.subscriptions.iter_mut();
                let holder = subscriptions.find(|(_, live)| live.ledger.contains(number));
                Ok(holder.map(|(key, _)| (key, number)))
            }
        }
    }
}

/// Writes MESSAGE frames: what is a subscription's own in front of what all copies share.
#[derive(Debug)]
struct MessageEncoder<E> {
    envelope: E,
    version: Version,
    /// Whether the client itself sends binary messages, and so can read them.
    binary: bool,
    /// The number of the last delivery, which is its `message-id`.
    last_message: u64,
}

impl<E: Envelope> MessageEncoder<E> {
    fn kind(&self, text: bool) -> PayloadKind {
        if text && !self.binary { PayloadKind::Text } else { PayloadKind::Binary }
    }

    fn encode(
        &mut self,
        key: SubscriptionKey,
        subscription: &mut Subscription,
        delivery: &Delivery,
        out: &mut BytesMut,
    ) {
        self.last_message += 1;
        let number = self.last_message;
        let mut own = OwnHeaders::new();
        own.push_number(number);
        own.push(b"\n");
        if subscription.ack.settles() {
            if self.version == Version::V1_2 {
                own.push(b"ack:");
                own.push_number(key.slot.into());
                own.push(b"-");
                own.push_number(number);
                own.push(b"\n");
            }
            subscription.ledger.note(number, delivery.tag());
        }
        if delivery.is_redelivered() {
            own.push(b"redelivered:true\n");
        }
        let tail = delivery.message().tail(self.version);
        let kind = self.kind(delivery.message().is_text());
        let length = subscription.prefix.len() + own.as_slice().len() + tail.len();
        out.reserve(length + 16);
        self.envelope.open(kind, length, out);
        out.extend_from_slice(&subscription.prefix);
        out.extend_from_slice(own.as_slice());
        out.extend_from_slice(tail);
    }
}

/// The header bytes of one delivery that no other shares, on the stack.
struct OwnHeaders {
    bytes: [u8; Self::ROOM],
    length: usize,
}

impl OwnHeaders {
    /// `message-id` and `ack` with three numbers of at most 20 digits, and `redelivered`.
    const ROOM: usize = 96;

    fn new() -> Self {
        Self { bytes: [0; Self::ROOM], length: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn push_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        for (place, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            first = place;
            if number == 0 {
                break;
            }
        }
        self.push(digits.get(first..).unwrap_or_default());
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// A number as this side writes it: digits only, without a sign.
fn decimal(digits: &str) -> Option<u64> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits)
}
