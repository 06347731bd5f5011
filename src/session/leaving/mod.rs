mod counters;
mod keeping;
mod room;
mod settling;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::frame::{Command, Encoder, Version};

use super::event::{SubscribeFrame, UnsubscribeTarget};
use super::message_encoder::MessageEncoder;
use super::subscriptions::{Flow, Subscriptions};
use super::waiting::{Next, Waiting};
use super::{
    Delivery, Envelope, HeartBeat, Receipt, Refusal, SessionError, SessionSettings, SlowConsumer,
    SubscriptionKey,
};

pub use counters::LeavingCounters;
pub use settling::Settled;

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
    /// What clients have to settle: sent, or waiting to be.
    unsettled: usize,
    /// The subscriptions whose deliveries are held back because too much is unsettled, the one that
    /// goes on first in front.
    paused: VecDeque<SubscriptionKey>,
    waiting: Waiting,
    /// When a client may have been too slow for too long: not later than it has.
    overdue_at: Option<Instant>,
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
            paused: VecDeque::new(),
            waiting: Waiting::default(),
            overdue_at: None,
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

    /// What was counted since this was last asked: for totals over many connections.
    pub fn take_counters(&mut self) -> LeavingCounters {
        std::mem::take(&mut self.counters)
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
        self.drop_deliveries();
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
    pub fn subscribe(
        &mut self,
        subscribe: &SubscribeFrame,
    ) -> Result<SubscriptionKey, SessionError> {
        self.subscriptions.open(subscribe, self.encoder.version, &self.settings)
    }

    /// Says what becomes of deliveries to a subscription whose client reads too slowly. Until then
    /// only the connection as a whole is bounded ([`SessionSettings::waiting_bytes`]).
    pub fn set_slow_consumer(&mut self, key: SubscriptionKey, slow: Arc<SlowConsumer>) {
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.slow = Some(slow);
        }
    }

    /// The broker has confirmed the subscription: its RECEIPT goes out, and then what was delivered
    /// meanwhile.
    pub fn activate(&mut self, key: SubscriptionKey, receipt: Option<&Receipt>) {
        if let Some(receipt) = receipt {
            self.receipt(receipt);
        }
        if self.is_over() {
            return;
        }
        if !self.release(key) {
            self.pause(key);
        }
        self.note_overdue(key);
    }

    /// The destination of a subscription that is live and active: nothing is held back for it.
    pub fn active_destination(&mut self, key: SubscriptionKey) -> Option<&str> {
        let subscription = self.subscriptions.get_mut(key)?;
        (subscription.flow == Flow::Open).then_some(&*subscription.destination)
    }

    /// The destination of a subscription that is live.
    pub fn destination(&mut self, key: SubscriptionKey) -> Option<&str> {
        self.subscriptions.get_mut(key).map(|subscription| &*subscription.destination)
    }

    /// Whether a subscription is live.
    pub fn is_live(&mut self, key: SubscriptionKey) -> bool {
        self.subscriptions.get_mut(key).is_some()
    }

    /// Finds what an UNSUBSCRIBE ends.
    pub fn find(&self, target: &UnsubscribeTarget) -> Result<SubscriptionKey, SessionError> {
        self.subscriptions.find(target)
    }

    /// The id that the client gave a live subscription; `None` if it gave none, as STOMP 1.0 allows.
    pub fn subscription_id(&self, key: SubscriptionKey) -> Option<&str> {
        self.subscriptions.id_of(key)
    }

    /// Ends a subscription: from now on none of its deliveries is sent. Returns its destination, or
    /// `None` if it has ended before.
    pub fn unsubscribe(&mut self, key: SubscriptionKey) -> Option<Box<str>> {
        let subscription = self.subscriptions.remove(key)?;
        self.unsettled -= subscription.unsettled;
        if let Some(backlog) = subscription.backlog {
            backlog.drop_all(&mut self.waiting.deliveries);
        }
        self.paused.retain(|paused| *paused != key);
        self.resume();
        Some(subscription.destination)
    }

    /// Ends all subscriptions and returns them: the connection is gone.
    pub fn unsubscribe_all(&mut self) -> Vec<(SubscriptionKey, Box<str>)> {
        let keys: Vec<_> = self.subscriptions.iter().map(|(key, _)| key).collect();
        keys.into_iter().filter_map(|key| Some((key, self.unsubscribe(key)?))).collect()
    }

    /// Encodes deliveries to `out` at once, behind everything that waits, which is
    /// [taken](Self::take) first: the way of a connection that keeps up. Stops behind the first
    /// delivery with which `out` has `most` bytes, and returns how many were encoded. Where that is
    /// none and `out` is empty, the subscription is not live.
    ///
    /// What is [held back](Self::holds) must be [delivered](Self::deliver) instead.
    pub fn deliver_into(
        &mut self,
        key: SubscriptionKey,
        deliveries: &[Delivery],
        out: &mut BytesMut,
        most: usize,
        now: Instant,
    ) -> usize {
        self.take(out, most, now);
        if self.is_waiting() || self.is_over() || self.holds(key, deliveries.len()) {
            return 0;
        }
        let Some(subscription) = self.subscriptions.get_mut(key) else { return 0 };
        let mut encoded = 0;
        for delivery in deliveries {
            if out.len() >= most {
                break;
            }
            let gap = std::mem::take(&mut subscription.gap);
            let marked = gap.then(|| delivery.clone().with_gap(true));
            let delivery = marked.as_ref().unwrap_or(delivery);
            let omitted = self.encoder.encode(key, subscription, delivery, out);
            self.counters.headers_left_out += omitted;
            encoded += 1;
        }
        self.counters.messages += encoded as u64;
        if subscription.ack.settles() {
            subscription.unsettled += encoded;
            self.unsettled += encoded;
        }
        self.last_sent = now;
        encoded
    }

    /// Whether some of this many deliveries to this subscription would be held back: until the
    /// broker confirms it, or until the client settles what it has.
    pub fn holds(&mut self, key: SubscriptionKey, deliveries: usize) -> bool {
        let too_many = self.unsettled.saturating_add(deliveries) > self.settings.unsettled;
        self.subscriptions.get_mut(key).is_some_and(|subscription| {
            subscription.flow != Flow::Open || (subscription.ack.settles() && too_many)
        })
    }

    /// Moves what waits to `out`, about `most` bytes of it: the last frame of the session is cut
    /// there, the last MESSAGE never. Deliveries whose subscription has ended meanwhile are left out.
    pub fn take(&mut self, out: &mut BytesMut, most: usize, now: Instant) {
        let before = out.len();
        while out.len() - before < most {
            let Some(next) = self.waiting.pop(most - (out.len() - before)) else { break };
            match next {
                Next::Bytes(bytes) => out.extend_from_slice(&bytes),
                Next::Delivery(key) => {
                    let Some(subscription) = self.subscriptions.get_mut(key) else { continue };
                    let delivery = subscription.take_turn(&mut self.waiting.deliveries);
                    let Some(delivery) = delivery else { continue };
                    let omitted = self.encoder.encode(key, subscription, &delivery, out);
                    self.counters.headers_left_out += omitted;
                    self.counters.messages += 1;
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

    /// How many bytes that are encoded already go next: those that were [put back](Self::put_back),
    /// or frames of the session. Who takes no more than these leaves the deliveries behind them to
    /// the policies of their subscriptions.
    pub fn encoded_bytes(&self) -> usize {
        self.waiting.encoded_first()
    }

    /// Whether anything waits to be written.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many bytes wait to be written, with what they cost to keep.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.size()
    }

    /// How many bytes are held back, until the broker confirms their subscription or the client
    /// settles what it has, with what they cost to keep.
    pub fn held_bytes(&self) -> usize {
        self.waiting.deliveries.held
    }

    /// When the next heart-beat is due, if nothing else is sent before.
    pub fn next_beat(&self) -> Option<Instant> {
        let beats = self.stage == Stage::Open && !self.is_waiting();
        self.beat.filter(|_| beats).and_then(|period| self.last_sent.checked_add(period))
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
        self.waiting.append(|out| envelope.wrap(kind, payload, out));
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
}
