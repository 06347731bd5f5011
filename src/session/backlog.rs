use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::waiting::WaitingDeliveries;
use super::{Delivery, SlowConsumerAction};

/// What waits for one subscription, in its order: first what is *released*, whose turn comes when the
/// connection's order says so, and then what is *held back*, until the broker confirms the
/// subscription or the client settles what it has.
///
/// Messages of queues and of history are never dropped. They wait beside the *live* ones, which may
/// be, so that the oldest of those is found without a search. A delivery that is dropped is gone with
/// its memory; the next one takes its turn.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    kept: Lane,
    live: Lane,
    /// The place of the next delivery in the subscription's order.
    next_place: u64,
    /// How many tickets the connection's order has for it: more than deliveries, where some were
    /// dropped.
    tickets: usize,
    /// What the live ones take.
    live_bytes: usize,
    /// The live ones by the key of which only the latest is kept, as their numbers in the lane.
    latest: HashMap<Arc<str>, u64>,
    /// Since when publishers are held because of it.
    pub(super) full_since: Option<Instant>,
}

/// A delivery that waits.
#[derive(Debug)]
pub(super) struct Waits {
    delivery: Delivery,
    /// What it was counted as. Asked again, the message may say something else: it grows when it is
    /// first encoded for an older version of STOMP.
    cost: usize,
    since: Instant,
    place: u64,
    key: Option<Arc<str>>,
    /// Whether others were dropped before it.
    gap: bool,
}

/// Deliveries in their order, of which the first ones are released.
#[derive(Debug, Default)]
struct Lane {
    waits: VecDeque<Waits>,
    released: usize,
    /// The number of the first one: each has one more than the one before.
    first: u64,
}

/// What became of the turn of a delivery that was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    /// It was released, and no other is in its stead.
    pub(super) fewer_released: bool,
    /// Nothing that waits comes after it: the gap is before what is delivered next.
    pub(super) gap_behind: bool,
}

/// Whether a delivery may be dropped: only those from a topic, and not those that are pulled at the
/// consumer's own speed.
pub(super) fn is_live(delivery: &Delivery) -> bool {
    delivery.tag() == 0 && !delivery.is_retained()
}

impl Waits {
    /// A delivery that begins to wait. Only those with the same key supersede each other.
    pub(super) fn new(delivery: Delivery, key: Option<Arc<str>>, since: Instant) -> Self {
        // The message is shared, and yet counted whole: if this connection is the only slow one, it
        // is the one that keeps it alive.
        let own = size_of::<Self>() + delivery.message().size();
        let cost = own + key.as_ref().map_or(0, |key| key.len() + KEY_COST);
        Self { delivery, cost, since, place: 0, key, gap: false }
    }

    /// What it costs to keep, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }
}

/// What a key takes beside its characters: its entry in the table and its counts of references.
const KEY_COST: usize = size_of::<(Arc<str>, u64)>() * 2 + size_of::<usize>() * 2;

impl Backlog {
    /// Appends a delivery, held back. `gap` says whether others were dropped before it.
    pub(super) fn push(&mut self, mut waits: Waits, gap: bool, total: &mut WaitingDeliveries) {
        waits.place = self.next_place;
        waits.gap = gap;
        self.next_place += 1;
        total.held += waits.cost;
        if is_live(&waits.delivery) {
            self.live_bytes += waits.cost;
            if let Some(key) = &waits.key {
                self.latest.insert(Arc::clone(key), self.live.next_number());
            }
            self.live.waits.push_back(waits);
        } else {
            self.kept.waits.push_back(waits);
        }
    }

    /// Releases the first one that is held back. Returns whether there was one.
    pub(super) fn release(&mut self, total: &mut WaitingDeliveries) -> bool {
        let kept_first = self.kept_first(Lane::first_held);
        let lane = if kept_first { &mut self.kept } else { &mut self.live };
        let Some(cost) = lane.first_held().map(Waits::cost) else { return false };
        lane.released += 1;
        total.held -= cost;
        total.released += cost;
        true
    }

    /// Whether the connection's order needs another ticket for what is released; it is counted as
    /// given.
    pub(super) fn takes_ticket(&mut self) -> bool {
        let needed = self.tickets < self.kept.released + self.live.released;
        self.tickets += usize::from(needed);
        needed
    }

    /// The turn of one of its tickets has come: takes the next of what is released, if anything is.
    pub(super) fn take_turn(&mut self, total: &mut WaitingDeliveries) -> Option<Delivery> {
        self.tickets = self.tickets.saturating_sub(1);
        let kept_first = self.kept_first(Lane::first_released);
        let lane = if kept_first { &mut self.kept } else { &mut self.live };
        lane.first_released()?;
        lane.released -= 1;
        let waits = if kept_first { self.kept.pop_front() } else { self.pop_live() }?;
        total.released -= waits.cost;
        let gap = waits.gap || waits.delivery.has_gap();
        Some(waits.delivery.with_gap(gap))
    }

    /// Drops the oldest live one. If it was released, the first that is held back is instead.
    pub(super) fn drop_oldest(&mut self, total: &mut WaitingDeliveries) -> Option<Dropped> {
        let waits = self.pop_live()?;
        let behind = self.live.waits.front_mut().map(|next| next.gap = true);
        let mut dropped = Dropped { fewer_released: false, gap_behind: behind.is_none() };
        if self.live.released > 0 {
            self.live.released -= 1;
            total.released -= waits.cost;
            dropped.fewer_released = !self.release(total);
        } else {
            total.held -= waits.cost;
        }
        Some(dropped)
    }

    /// Puts a delivery in the place of the live one with the same key, which is dropped. Gives it
    /// back if there is none.
    pub(super) fn supersede(
        &mut self,
        mut waits: Waits,
        total: &mut WaitingDeliveries,
    ) -> Result<(), Waits> {
        let number = waits.key.as_ref().and_then(|key| self.latest.get(key)).copied();
        let place = number.and_then(|number| usize::try_from(number - self.live.first).ok());
        let released = place.is_some_and(|place| place < self.live.released);
        let Some(old) = place.and_then(|place| self.live.waits.get_mut(place)) else {
            return Err(waits);
        };
        waits.place = old.place;
        waits.gap = true;
        let total = if released { &mut total.released } else { &mut total.held };
        *total = *total - old.cost + waits.cost;
        self.live_bytes = self.live_bytes - old.cost + waits.cost;
        *old = waits;
        Ok(())
    }

    /// Drops everything.
    pub(super) fn drop_all(self, total: &mut WaitingDeliveries) {
        for lane in [self.kept, self.live] {
            for (place, waits) in lane.waits.iter().enumerate() {
                let total =
                    if place < lane.released { &mut total.released } else { &mut total.held };
                *total -= waits.cost;
            }
        }
    }

    /// Since when the oldest live one waits.
    pub(super) fn oldest_since(&self) -> Option<Instant> {
        self.live.waits.front().map(|waits| waits.since)
    }

    /// How many live ones wait.
    pub(super) fn live(&self) -> usize {
        self.live.waits.len()
    }

    /// What the live ones take, in bytes.
    pub(super) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Whether any are held back.
    pub(super) fn holds_back(&self) -> bool {
        self.kept.first_held().or(self.live.first_held()).is_some()
    }

    /// Whether nothing waits and nothing of it is in the connection's order.
    pub(super) fn is_spent(&self) -> bool {
        self.tickets == 0 && self.kept.waits.is_empty() && self.live.waits.is_empty()
    }

    /// Of the two that are first in each lane, whether the one that is kept comes first.
    fn kept_first(&self, of: fn(&Lane) -> Option<&Waits>) -> bool {
        let place = |lane| of(lane).map_or(u64::MAX, |waits| waits.place);
        place(&self.kept) < place(&self.live)
    }

    fn pop_live(&mut self) -> Option<Waits> {
        let number = self.live.first;
        let waits = self.live.pop_front()?;
        self.live_bytes -= waits.cost;
        if let Some(key) = &waits.key
            && self.latest.get(key) == Some(&number)
        {
            self.latest.remove(key);
        }
        Some(waits)
    }
}

impl Lane {
    fn first_released(&self) -> Option<&Waits> {
        self.waits.front().filter(|_| self.released > 0)
    }

    fn first_held(&self) -> Option<&Waits> {
        self.waits.get(self.released)
    }

    fn next_number(&self) -> u64 {
        self.first + self.waits.len() as u64
    }

    fn pop_front(&mut self) -> Option<Waits> {
        let waits = self.waits.pop_front()?;
        self.first += 1;
        Some(waits)
    }
}

/// The value of the header of which only the latest is kept, if that is what is done.
pub(super) fn latest_key(action: &SlowConsumerAction, delivery: &Delivery) -> Option<Arc<str>> {
    let SlowConsumerAction::KeepLatest { key } = action else { return None };
    let frame = delivery.message().frame()?;
    let value = frame.header(key.as_ref())?;
    Some(Arc::from(&*value))
}
