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
    members: Option<Snapshot>,
    /// And after them those of each pattern that matches.
    matching: Vec<Snapshot>,
    /// Whose turn it is.
    next: Next,
}

/// How far a batch is delivered.
#[derive(Default)]
struct Next {
    /// 0 for the members of the channel, or else the number of the pattern.
    listeners: usize,
    /// The place in their snapshot.
    place: usize,
}

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
        let earlier = self.changes.partition_point(|(_, joins)| *joins < join);
        self.changes.get(earlier).map_or(usize::MAX, |(place, _)| *place)
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
        self.next = Next::default();
    }

    /// Says who listens: the members of the channel and those of the patterns that match.
    pub(super) fn set_listeners(
        &mut self,
        members: Snapshot,
        matching: impl Iterator<Item = Snapshot>,
    ) {
        self.members = Some(members);
        self.matching.extend(matching);
        self.advance(0);
    }

    /// Whose turn it is, as many of them as stand together; none if all had theirs.
    pub(super) fn next(&self) -> &[Member] {
        self.listeners().map(|listeners| listeners.from(self.next.place)).unwrap_or_default()
    }

    /// So many of those whose turn it was had it.
    pub(super) fn advance(&mut self, members: usize) {
        self.next.place += members;
        while self.next().is_empty() && self.listeners().is_some() {
            self.next = Next { listeners: self.next.listeners + 1, place: 0 };
        }
    }

    /// The deliveries that are for one whose turn it is: what was routed before it joined is not.
    pub(super) fn deliveries_to(&self, member: &Member) -> &[Delivery] {
        let skipped = if self.next.listeners > 0 {
            self.joins.place_of(member.from)
        } else if member.from <= self.first {
            0
        } else {
            usize::try_from(member.from - self.first).unwrap_or(usize::MAX)
        };
        self.deliveries.get(skipped..).unwrap_or_default()
    }

    fn listeners(&self) -> Option<&Snapshot> {
        match self.next.listeners.checked_sub(1) {
            None => self.members.as_ref(),
            Some(pattern) => self.matching.get(pattern),
        }
    }
}
