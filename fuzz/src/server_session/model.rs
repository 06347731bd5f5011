//! What a session should be and say, kept in the plainest way there is.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use stompbox::frame::{SharedMessage, Version};
use stompbox::session::{
    AckMode, MessageName, Receipt, Refusal, SessionError, SessionSettings, SettleFrame, Settled,
    SubscribeFrame, SubscriptionKey, UnsubscribeTarget,
};

/// What the two halves of a session should know.
pub(super) struct Model {
    pub(super) version: Version,
    stage: Stage,
    /// What was said, other than deliveries, and not seen yet.
    pub(super) said: VecDeque<Said>,
    /// Every subscription that there ever was.
    pub(super) subscriptions: Vec<Subscription>,
    /// What was delivered and neither seen nor dropped yet, oldest first.
    expected: Vec<Expected>,
    /// Every MESSAGE that was sent.
    pub(super) issued: Vec<Issued>,
    serial: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    /// The ERROR, or the RECEIPT of DISCONNECT, was said.
    Last,
    /// The transport's last word was said.
    Ended,
}

/// What a session says of itself, and what its transport says through it.
#[derive(Debug)]
pub(super) enum Said {
    Connected { settings: Arc<SessionSettings>, version: Version },
    Receipt { id: String, last: bool },
    Error { summary: String, detail: String, receipt: Option<String> },
    Beat,
    Ping,
    End,
}

/// A subscription, which may have ended.
pub(super) struct Subscription {
    pub(super) key: SubscriptionKey,
    id: Option<String>,
    destination: String,
    ack: AckMode,
    is_live: bool,
    is_active: bool,
    /// The numbers of the deliveries that are unsettled, and their tags.
    unsettled: Vec<(u64, u64)>,
}

/// A delivery that the client should see.
#[derive(Clone)]
struct Expected {
    to: usize,
    message: SharedMessage,
    serial: u64,
    tag: u64,
    redelivered: bool,
}

/// A MESSAGE as the client has seen it.
#[derive(Debug)]
pub(super) struct Issued {
    /// The number of its subscription, which the model finds out.
    pub(super) to: usize,
    pub(super) subscription: Option<String>,
    pub(super) number: u64,
    pub(super) ack: Option<String>,
    pub(super) serial: u64,
    pub(super) redelivered: bool,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            version: Version::V1_2,
            stage: Stage::Open,
            said: VecDeque::new(),
            subscriptions: Vec::new(),
            expected: Vec::new(),
            issued: Vec::new(),
            serial: 0,
        }
    }

    /// A number that was never used.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage != Stage::Open
    }

    /// The session says something, if it still may.
    pub(super) fn say(&mut self, said: Said) {
        if self.stage == Stage::Open {
            self.said.push_back(said);
        }
    }

    /// The transport says something, if it still may.
    pub(super) fn say_raw(&mut self, said: Said) {
        let is_end = matches!(said, Said::End);
        if self.stage < Stage::Ended {
            self.said.push_back(said);
        }
        if is_end {
            self.stage = Stage::Ended;
        }
    }

    /// An ERROR: the deliveries that wait are dropped.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.say(Said::Error {
            summary: refusal.summary().to_owned(),
            detail: refusal.detail().to_owned(),
            receipt: refusal.receipt().map(|receipt| receipt.id().to_owned()),
        });
        self.expected.clear();
        self.stage = self.stage.max(Stage::Last);
    }

    /// The answer to DISCONNECT.
    pub(super) fn disconnect(&mut self, receipt: Option<&Receipt>) {
        if let Some(receipt) = receipt {
            self.say(Said::Receipt { id: receipt.id().to_owned(), last: true });
        }
        self.stage = self.stage.max(Stage::Last);
    }

    /// What came of a SUBSCRIBE has to be this.
    pub(super) fn subscribe(
        &mut self,
        subscribe: &SubscribeFrame,
        result: &Result<SubscriptionKey, SessionError>,
        settings: &SessionSettings,
    ) {
        let opened = Subscription {
            key: *result.as_ref().unwrap_or(&SubscriptionKey::new(0, 0)),
            id: subscribe.id.as_deref().map(str::to_owned),
            destination: subscribe.destination.to_string(),
            ack: subscribe.ack,
            is_live: true,
            is_active: false,
            unsettled: Vec::new(),
        };
        let (mut count, mut taken) = (0, false);
        for live in self.live() {
            count += 1;
            taken |= live.name() == opened.name();
        }
        match result {
            Err(SessionError::DuplicateSubscription { .. }) => assert!(taken),
            Err(SessionError::Limit { .. }) => assert!(count >= settings.subscriptions),
            Err(SessionError::InvalidHeader { header: "id", value, .. }) => {
                assert!(value.ends_with('\r') && self.version != Version::V1_2, "{value:?}");
            }
            Err(error) => panic!("a SUBSCRIBE cannot fail so: {error}"),
            Ok(key) => {
                assert!(!taken && count < settings.subscriptions);
                assert!(self.subscriptions.iter().all(|other| other.key != *key), "a new key");
                self.subscriptions.push(opened);
            }
        }
    }

    /// What an UNSUBSCRIBE was found to name has to be this. Returns its number.
    pub(super) fn find(
        &self,
        target: &UnsubscribeTarget,
        result: &Result<SubscriptionKey, SessionError>,
    ) -> Option<usize> {
        let is_named = |subscription: &Subscription| match target {
            UnsubscribeTarget::Id(id) => subscription.name() == &**id,
            UnsubscribeTarget::Destination(name) => subscription.destination == **name,
        };
        let mut live = self.live();
        match result {
            Ok(key) => {
                assert!(live.any(|live| live.key == *key && is_named(live)), "not the one named");
                self.subscriptions.iter().position(|subscription| subscription.key == *key)
            }
            Err(SessionError::UnknownSubscription { .. }) => {
                assert!(!live.any(is_named), "there is such a subscription");
                None
            }
            Err(error) => panic!("an UNSUBSCRIBE cannot fail so: {error}"),
        }
    }

    /// The broker has confirmed a subscription.
    pub(super) fn activate(&mut self, number: usize) {
        self.subscriptions[number].is_active = true;
        if self.is_over() {
            self.expected.retain(|expected| expected.to != number);
        }
    }

    /// A subscription ends. Returns its destination if it was live.
    pub(super) fn unsubscribe(&mut self, number: usize) -> Option<String> {
        let subscription = &mut self.subscriptions[number];
        let was_live = std::mem::replace(&mut subscription.is_live, false);
        subscription.unsettled.clear();
        self.expected.retain(|expected| expected.to != number);
        was_live.then(|| subscription.destination.clone())
    }

    /// All subscriptions end.
    pub(super) fn unsubscribe_all(&mut self) -> HashSet<(SubscriptionKey, String)> {
        let mut ended = HashSet::new();
        for number in 0..self.subscriptions.len() {
            let destination = self.unsubscribe(number);
            ended.extend(destination.map(|name| (self.subscriptions[number].key, name)));
        }
        ended
    }

    /// Whether deliveries to it are taken.
    pub(super) fn takes(&self, number: usize) -> bool {
        !self.is_over() && self.subscriptions[number].is_live
    }

    /// Whether deliveries to it are held back until the broker confirms it.
    pub(super) fn is_held(&self, number: usize) -> bool {
        let subscription = &self.subscriptions[number];
        subscription.is_live && !subscription.is_active
    }

    /// How many deliveries the client has seen and not settled.
    pub(super) fn unsettled(&self) -> usize {
        self.live().map(|subscription| subscription.unsettled.len()).sum()
    }

    /// A delivery was taken.
    pub(super) fn deliver(
        &mut self,
        to: usize,
        (message, serial): &(SharedMessage, u64),
        tag: u64,
        redelivered: bool,
    ) {
        let message = message.clone();
        self.expected.push(Expected { to, message, serial: *serial, tag, redelivered });
    }

    /// The client saw a MESSAGE. It has to be the next one to a subscription that is live, active
    /// and called as it says. Returns the message.
    pub(super) fn see(&mut self, mut issued: Issued) -> SharedMessage {
        let next = (0..self.subscriptions.len()).filter(|number| {
            let subscription = &self.subscriptions[*number];
            subscription.is_live && subscription.is_active && subscription.id == issued.subscription
        });
        let next = next.filter_map(|to| self.expected.iter().position(|next| next.to == to));
        let found = { next }.find(|place| {
            let expected = &self.expected[*place];
            (expected.serial, expected.redelivered) == (issued.serial, issued.redelivered)
        });
        let found = found.unwrap_or_else(|| panic!("nobody sent {issued:?}"));
        let Expected { to, message, tag, .. } = self.expected.remove(found);
        let last = self.issued.last().map_or(0, |last| last.number);
        assert!(issued.number > last, "numbers only grow");
        let subscription = &mut self.subscriptions[to];
        let settles = subscription.ack.settles();
        assert_eq!(issued.ack.is_some(), settles && self.version == Version::V1_2);
        if settles {
            subscription.unsettled.push((issued.number, tag));
        }
        issued.to = to;
        self.issued.push(issued);
        message
    }

    /// What came of an ACK or NACK has to be this.
    pub(super) fn settle(
        &mut self,
        settle: &SettleFrame,
        result: &Result<Option<Settled>, SessionError>,
        settings: &SessionSettings,
    ) {
        let named = self.issued.iter().find(|issued| match &settle.message {
            MessageName::Ack(id) => issued.ack.as_deref() == Some(id),
            MessageName::Message(id) => issued.number.to_string() == **id,
            MessageName::InSubscription { message, subscription } => {
                issued.number.to_string() == **message
                    && self.subscriptions[issued.to].name() == &**subscription
            }
        });
        let was_named = named.is_some();
        let settles = named.and_then(|issued| {
            let subscription = &mut self.subscriptions[issued.to];
            let unsettled = &mut subscription.unsettled;
            let place = unsettled.iter().position(|(number, _)| *number == issued.number)?;
            let first = if subscription.ack == AckMode::Client { 0 } else { place };
            let tags = unsettled.drain(first..=place).map(|(_, tag)| tag).collect();
            let (key, destination) = (subscription.key, (&*subscription.destination).into());
            Some(Settled { key, destination, tags })
        });
        match result {
            Ok(Some(settled)) => assert_eq!(Some(settled), settles.as_ref()),
            Ok(None) | Err(SessionError::SettledBefore { .. }) => {
                assert_eq!(settles, None, "it was unsettled");
                assert!(self.may_be_settled(settle.message.id()), "it was never issued");
                assert_eq!(result.is_ok(), settings.accepts_settled_before);
            }
            Err(SessionError::UnknownMessage { .. }) => assert!(!was_named, "it was issued"),
            Err(error) => panic!("an ACK cannot fail so: {error}"),
        }
    }

    /// Whether the message that this id names was issued to anybody and is settled, or is not to be.
    fn may_be_settled(&self, id: &str) -> bool {
        let number = id.rsplit_once('-').map_or(id, |(_, number)| number);
        let is_named = |other: u64| other.to_string() == number;
        self.issued.iter().any(|issued| is_named(issued.number))
            && !self.live().any(|live| live.unsettled.iter().any(|(held, _)| is_named(*held)))
    }

    /// At the end nothing is missing, but what is held back: until the broker confirms it, or until
    /// the client has settled more.
    pub(super) fn check_all_seen(&self, settings: &SessionSettings) {
        assert!(self.said.is_empty(), "never seen: {:?}", self.said);
        let pauses = self.is_over() || self.unsettled() >= settings.unsettled;
        let lost = self.expected.iter().find(|expected| {
            let settles = self.subscriptions[expected.to].ack.settles();
            !(self.is_held(expected.to) || settles && pauses)
        });
        assert!(lost.is_none(), "delivery {:?} was lost", lost.map(|lost| lost.serial));
    }

    fn live(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.iter().filter(|subscription| subscription.is_live)
    }
}

impl Subscription {
    /// What it is known by: in STOMP 1.0 the destination may stand for the id.
    fn name(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.destination)
    }
}
