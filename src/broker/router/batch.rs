use crate::session::Delivery;

use super::members::{Member, Snapshot};

/// What waits to be delivered at a channel, and when those came who have subscribed to patterns.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) deliveries: Vec<Delivery>,
    /// What they take, in bytes.
    pub(super) bytes: usize,
    joins: Joins,
}

/// How many had joined [`Patterns`](super::patterns::Patterns) when each of a sequence of messages
/// was routed.
#[derive(Default)]
struct Joins {
    /// For the first message.
    first: u64,
    /// The places at which it is another number, and that number, which only grows.
    changes: Vec<(usize, u64)>,
}

/// What one round of a flush delivers, and to whom.
#[derive(Default)]
pub(super) struct Batch {
    deliveries: Vec<Delivery>,
    /// The position of the first of them.
    first: u64,
    joins: Joins,
    /// Who listens: the members of the channel.
    pub(super) members: Option<Snapshot>,
    /// And after them those of each pattern that matches.
    pub(super) matching: Vec<Snapshot>,
    /// Whose turn it is.
    next: Place,
}

/// One of a batch's listeners: 0 for a member of the channel or else the number of the pattern, and
/// its place there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place(usize, usize);

/// The most deliveries that are kept room for while nothing waits.
const KEPT_CAPACITY: usize = 8;

impl Pending {
    /// Appends a message that was routed when so many had joined patterns.
    pub(super) fn push(&mut self, delivery: Delivery, joins: u64) {
        self.bytes += delivery.message().size();
        if self.deliveries.is_empty() {
            self.joins.first = joins;
        } else if self.joins.last() != joins {
            self.joins.changes.push((self.deliveries.len(), joins));
        }
        self.deliveries.push(delivery);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// Moves everything to `batch`, and its room here.
    pub(super) fn move_to(&mut self, batch: &mut Batch, next_position: u64) {
        batch.clear();
        std::mem::swap(&mut self.deliveries, &mut batch.deliveries);
        std::mem::swap(&mut self.joins, &mut batch.joins);
        batch.first = next_position - batch.deliveries.len() as u64;
        self.bytes = 0;
    }

    /// Keeps the room of a batch that was delivered, if it is not much.
    pub(super) fn keep_room(&mut self, batch: &mut Batch) {
        batch.clear();
        std::mem::swap(&mut self.deliveries, &mut batch.deliveries);
    }
}

impl Joins {
    fn last(&self) -> u64 {
        self.changes.last().map_or(self.first, |(_, joins)| *joins)
    }

    /// The place of the first message that was routed when this one had joined.
    fn place_of(&self, join: u64) -> usize {
        if join <= self.first {
            return 0;
        }
        let later = self.changes.iter().find(|(_, joins)| join <= *joins);
        later.map_or(usize::MAX, |(place, _)| *place)
    }
}

impl Batch {
    /// Forgets what it holds, and keeps a little room.
    pub(super) fn clear(&mut self) {
        self.deliveries.clear();
        if self.deliveries.capacity() > KEPT_CAPACITY {
            self.deliveries = Vec::new();
        }
        self.joins.changes.clear();
        self.members = None;
        self.matching.clear();
        self.next = Place::default();
    }

    /// Whose turn it is, if anybody's.
    pub(super) fn next(&mut self) -> Option<Place> {
        while let Some(snapshot) = self.listeners(self.next.0) {
            if snapshot.get(self.next.1).is_some() {
                return Some(self.next);
            }
            self.next = Place(self.next.0 + 1, 0);
        }
        None
    }

    /// It is the turn of the one behind.
    pub(super) fn advance(&mut self) {
        self.next.1 += 1;
    }

    fn listeners(&self, number: usize) -> Option<&Snapshot> {
        match number.checked_sub(1) {
            None => self.members.as_ref(),
            Some(pattern) => self.matching.get(pattern),
        }
    }

    /// A listener, and the deliveries that are for it: what was routed before it joined is not.
    pub(super) fn at(&self, place: Place) -> Option<(&Member, &[Delivery])> {
        let member = self.listeners(place.0)?.get(place.1)?;
        let skipped = if place.0 == 0 {
            usize::try_from(member.from.saturating_sub(self.first)).unwrap_or(usize::MAX)
        } else {
            self.joins.place_of(member.from)
        };
        Some((member, self.deliveries.get(skipped..).unwrap_or_default()))
    }
}
