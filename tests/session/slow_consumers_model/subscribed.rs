//! What waits for one subscription, as the model has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stompbox::broker::Message;
use stompbox::session::{
    Bare, Delivery, Leaving, SlowConsumer, SlowConsumerAction, SubscriptionKey,
};

use crate::client::{settings, subscribe_frame};

/// How long deliveries may wait.
pub(super) const TIME: Duration = Duration::from_secs(8);

/// A delivery that waits.
#[derive(Debug)]
pub(super) struct Waits {
    pub(super) body: String,
    pub(super) live: bool,
    pub(super) key: Option<u8>,
    pub(super) cost: usize,
    pub(super) since: Instant,
    pub(super) gap: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Unconfirmed,
    Confirmed,
    Ended,
}

pub(super) struct Subscribed {
    pub(super) key: SubscriptionKey,
    pub(super) settles: bool,
    pub(super) policy: Option<SlowConsumer>,
    pub(super) stage: Stage,
    pub(super) waits: Vec<Waits>,
    /// Whether something was dropped before what comes next.
    pub(super) gap: bool,
    pub(super) full_since: Option<Instant>,
}

impl Subscribed {
    pub(super) fn live(&self) -> impl Iterator<Item = &Waits> {
        self.waits.iter().filter(|waits| waits.live)
    }

    pub(super) fn bytes(&self) -> usize {
        self.live().map(|waits| waits.cost).sum()
    }

    pub(super) fn exceeds(&self, cost: usize, limit: usize) -> bool {
        self.live().count() > 0 && self.bytes() + cost > limit
    }

    pub(super) fn is_oldest_overdue(&self, now: Instant) -> bool {
        self.live().next().is_some_and(|oldest| oldest.since + TIME <= now)
    }

    pub(super) fn push(&mut self, waits: Waits) {
        let gap = std::mem::take(&mut self.gap);
        self.waits.push(Waits { gap, ..waits });
    }

    pub(super) fn drop_oldest(&mut self) {
        let oldest = self.waits.iter().position(|waits| waits.live).unwrap();
        self.waits.remove(oldest);
        match self.waits.iter_mut().find(|waits| waits.live) {
            Some(next) => next.gap = true,
            None => self.gap = true,
        }
    }

    pub(super) fn begins_to_hold(&mut self, now: Instant) -> bool {
        let holds = |policy: &SlowConsumer| {
            policy.action == SlowConsumerAction::HoldPublisher && self.bytes() > policy.bytes
        };
        let begins = self.stage == Stage::Confirmed
            && self.full_since.is_none()
            && self.policy.as_ref().is_some_and(holds);
        if begins {
            self.full_since = Some(now);
        }
        begins
    }

    /// By when the deadline must be kept.
    pub(super) fn due(&self) -> Option<Instant> {
        let policy = self.policy.as_ref().filter(|_| self.stage == Stage::Confirmed)?;
        let oldest = self.live().next().map(|oldest| oldest.since);
        match policy.action {
            SlowConsumerAction::Close => Some(oldest? + TIME),
            SlowConsumerAction::DropOldest => Some(oldest? + TIME + TIME / 8),
            SlowConsumerAction::HoldPublisher => Some(self.full_since? + TIME),
            _ => None,
        }
    }
}

pub(super) fn delivery(key: Option<u8>, body: &str) -> Delivery {
    let mut message = Message::builder("/topic/a".parse().unwrap());
    if let Some(key) = key {
        message = message.header("symbol", key.to_string());
    }
    Delivery::new(message.body(body).into_shared())
}

/// What a delivery costs beside its message, and what more it costs with a key, as a session counts
/// it.
pub(super) fn costs() -> (usize, usize) {
    let one = delivery(Some(0), "");
    let held = |action: Option<SlowConsumerAction>| {
        let mut settings = settings();
        settings.unsettled = 0;
        let mut leaving = Leaving::new(Bare, Arc::new(settings), Instant::now());
        let key = leaving.subscribe(&subscribe_frame(0, true)).unwrap();
        if let Some(action) = action {
            leaving.set_slow_consumer(key, Arc::new(SlowConsumer::new(action)));
        }
        leaving.activate(key, None);
        leaving.deliver(key, std::slice::from_ref(&one), Instant::now()).unwrap();
        leaving.held_bytes() - one.message().size()
    };
    let without = held(None);
    (without, held(Some(SlowConsumerAction::KeepLatest { key: "symbol".into() })) - without)
}
