use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use crate::frame::{Command, Encoder, Version};

use super::backlog::Backlog;
use super::event::{SubscribeFrame, UnsubscribeTarget};
use super::ledger::Ledger;
use super::waiting::WaitingDeliveries;
use super::{
    AckMode, Delivery, Limit, SessionError, SessionSettings, SlowConsumer, SlowConsumerAction,
    SubscriptionKey,
};

/// The live subscriptions of one connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_id: HashMap<Box<str>, u32>,
    /// What the ids and destinations of the live ones take.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    live: Option<Subscription>,
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: Box<str>,
    /// Whether the client gave it the id; if not, it is the destination.
    pub(super) named: bool,
    pub(super) destination: Box<str>,
    pub(super) ack: AckMode,
    /// How each of its MESSAGE frames begins, up to the value of `message-id`.
    pub(super) prefix: Box<[u8]>,
    pub(super) flow: Flow,
    /// Whether deliveries were dropped before the one that comes next.
    pub(super) gap: bool,
    /// What becomes of deliveries that wait too long or are too many; `None` leaves it to the bounds
    /// of the connection.
    pub(super) slow: Option<Arc<SlowConsumer>>,
    /// What waits for it, if anything does.
    pub(super) backlog: Option<Box<Backlog>>,
    /// How many deliveries the client has to settle: those of the ledger, and those that wait to be
    /// written.
    pub(super) unsettled: usize,
    pub(super) ledger: Ledger,
}

/// Whether deliveries to a subscription may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// They are held back until the broker confirms the subscription, to be sent after its RECEIPT.
    Unconfirmed,
    /// They are held back because the client has too much unsettled.
    Paused,
    /// They may.
    Open,
}

impl Subscription {
    /// The turn of one of its tickets has come: what is to be sent, if there still is something.
    pub(super) fn take_turn(&mut self, total: &mut WaitingDeliveries) -> Option<Delivery> {
        let backlog = self.backlog.as_mut()?;
        let delivery = backlog.take_turn(total);
        if let Some(slow) = &self.slow
            && backlog.live_bytes() <= slow.bytes / 2
        {
            backlog.full_since = None;
        }
        self.drop_spent();
        delivery
    }

    /// Keeps nothing for a subscription that has caught up.
    pub(super) fn drop_spent(&mut self) {
        self.backlog.take_if(|backlog| backlog.is_spent());
    }

    /// When its client will have been too slow for too long, where something is done about that even
    /// if nothing more comes.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        let (slow, backlog) = (self.slow.as_ref()?, self.backlog.as_ref()?);
        let since = match slow.action {
            _ if self.flow == Flow::Unconfirmed => None,
            SlowConsumerAction::Close | SlowConsumerAction::DropOldest => backlog.oldest_since(),
            SlowConsumerAction::HoldPublisher => backlog.full_since,
            SlowConsumerAction::DropNewest | SlowConsumerAction::KeepLatest { .. } => None,
        };
        since?.checked_add(slow.time)
    }

    /// Notes that publishers are to be held from now on, if more waits than may before they are and
    /// they are not held already. Returns whether it did.
    pub(super) fn begins_to_hold(&mut self, now: Instant) -> bool {
        let (Some(slow), Some(backlog)) = (&self.slow, &mut self.backlog) else { return false };
        let begins = slow.action == SlowConsumerAction::HoldPublisher
            && self.flow != Flow::Unconfirmed
            && backlog.live_bytes() > slow.bytes
            && backlog.full_since.is_none();
        if begins {
            backlog.full_since = Some(now);
        }
        begins
    }

    /// Whether publishers are held because of it.
    pub(super) fn is_full(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.full_since.is_some())
    }
}

impl Subscriptions {
    pub(super) fn open(
        &mut self,
        subscribe: &SubscribeFrame,
        version: Version,
        settings: &SessionSettings,
    ) -> Result<SubscriptionKey, SessionError> {
        let id = subscribe.id.as_ref().unwrap_or(&subscribe.destination);
        if self.by_id.contains_key(id) {
            return Err(SessionError::DuplicateSubscription { id: id.to_string() });
        }
        if self.by_id.len() >= settings.subscriptions {
            let limit = settings.subscriptions;
            return Err(SessionError::Limit { of: Limit::Subscriptions, limit });
        }
        let bytes = id.len() + subscribe.destination.len();
        if self.bytes + bytes > settings.subscription_bytes {
            let limit = settings.subscription_bytes;
            return Err(SessionError::Limit { of: Limit::SubscriptionBytes, limit });
        }
        let prefix = message_prefix(subscribe.id.as_deref(), version)?;
        self.bytes += bytes;
        let number = self.free.pop().unwrap_or_else(|| {
            if self.slots.is_empty() {
                // Most connections have one subscription, and a vector begins with room for four.
                self.slots.reserve_exact(1);
            }
            self.slots.push(Slot::default());
            // The limit on subscriptions is far below.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let subscription = Subscription {
            id: id.clone(),
            named: subscribe.id.is_some(),
            destination: subscribe.destination.clone(),
            ack: subscribe.ack,
            prefix,
            flow: Flow::Unconfirmed,
            gap: false,
            slow: None,
            backlog: None,
            unsettled: 0,
            ledger: Ledger::default(),
        };
        self.by_id.insert(id.clone(), number);
        let slot = self.slots.get_mut(number as usize);
        let generation = slot.map_or(0, |slot| {
            slot.live = Some(subscription);
            slot.generation
        });
        Ok(SubscriptionKey { slot: number, generation })
    }

    pub(super) fn find(&self, target: &UnsubscribeTarget) -> Result<SubscriptionKey, SessionError> {
        let found = match target {
            UnsubscribeTarget::Id(id) => self.key_of(id),
            // One without an id has the destination as its id; next best is one with any id.
            UnsubscribeTarget::Destination(destination) => {
                let of_it = |(key, subscription): (SubscriptionKey, &Subscription)| {
                    (subscription.destination == *destination).then_some(key)
                };
                let unnamed = self.key_of(destination).and_then(|key| self.get(key));
                unnamed.and_then(of_it).or_else(|| self.iter().find_map(of_it))
            }
        };
        let (UnsubscribeTarget::Id(id) | UnsubscribeTarget::Destination(id)) = target;
        found.ok_or_else(|| SessionError::UnknownSubscription { id: id.to_string() })
    }

    pub(super) fn key_of(&self, id: &str) -> Option<SubscriptionKey> {
        let slot = *self.by_id.get(id)?;
        let generation = self.slots.get(slot as usize)?.generation;
        Some(SubscriptionKey { slot, generation })
    }

    fn get(&self, key: SubscriptionKey) -> Option<(SubscriptionKey, &Subscription)> {
        let slot = self.slots.get(key.slot as usize)?;
        slot.live.as_ref().filter(|_| slot.generation == key.generation).map(|live| (key, live))
    }

    pub(super) fn get_mut(&mut self, key: SubscriptionKey) -> Option<&mut Subscription> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        slot.live.as_mut().filter(|_| slot.generation == key.generation)
    }

    /// The id that the client gave a subscription.
    pub(super) fn id_of(&self, key: SubscriptionKey) -> Option<&str> {
        let (_, subscription) = self.get(key)?;
        subscription.named.then_some(&*subscription.id)
    }

    /// Whether a subscription was ever in this slot.
    pub(super) fn was_in_use(&self, slot: u32) -> bool {
        (slot as usize) < self.slots.len()
    }

    /// The subscription that is in this slot now, whichever it is.
    pub(super) fn in_slot(&mut self, slot: u32) -> Option<(SubscriptionKey, &mut Subscription)> {
        let place = self.slots.get_mut(slot as usize)?;
        let key = SubscriptionKey { slot, generation: place.generation };
        place.live.as_mut().map(|subscription| (key, subscription))
    }

    pub(super) fn remove(&mut self, key: SubscriptionKey) -> Option<Subscription> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        let subscription = slot.live.take_if(|_| slot.generation == key.generation)?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        self.by_id.remove(&subscription.id);
        self.bytes -= subscription.id.len() + subscription.destination.len();
        Some(subscription)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SubscriptionKey, &Subscription)> {
        (0..).zip(&self.slots).filter_map(|(slot, place)| {
            let key = SubscriptionKey { slot, generation: place.generation };
            place.live.as_ref().map(|subscription| (key, subscription))
        })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.slots.iter_mut().filter_map(|slot| slot.live.as_mut())
    }
}

/// `MESSAGE`, the `subscription` header where the client gave an id, and the name `message-id`:
/// encoded once, since every delivery begins with it.
///
/// The error is an id that the version cannot represent: without it the client could not tell whose
/// message it is.
fn message_prefix(id: Option<&str>, version: Version) -> Result<Box<[u8]>, SessionError> {
    let mut prefix = BytesMut::new();
    let mut head = Encoder::new(&mut prefix, version, Command::Message);
    if let Some(id) = id {
        head.header("subscription", id);
    }
    if head.finish_lines() > 0 {
        return Err(SessionError::InvalidHeader {
            command: Command::Subscribe,
            header: "id",
            value: id.unwrap_or_default().to_owned(),
            expected: "a value that this version of STOMP can represent is expected",
        });
    }
    prefix.extend_from_slice(b"message-id:");
    Ok(prefix.as_ref().into())
}
