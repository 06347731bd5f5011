use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::stored::Stored;

/// The messages of a queue that no consumer has.
///
/// Nearly all of them come and go in order, for which a ring is enough; only those that a consumer
/// gave back are looked up by their place. Since they were delivered before, all of them come before
/// all of the ring.
#[derive(Debug, Default)]
pub(super) struct Ready {
    fresh: VecDeque<Stored>,
    returned: BTreeMap<u64, Stored>,
    /// Those that are to wait for a while, until the instant beside them.
    delayed: BTreeMap<u64, (Instant, Stored)>,
    /// When which of the delayed ones goes back to its place.
    due: BTreeSet<(Instant, u64)>,
}

/// How many messages an empty ring keeps room for.
const KEPT_ROOM: usize = 64;

impl Ready {
    /// Adds a message behind all others.
    pub(super) fn push(&mut self, stored: Stored) {
        self.fresh.push_back(stored);
    }

    /// Puts a message back to its old place.
    pub(super) fn put_back(&mut self, stored: Stored) {
        self.returned.insert(stored.position, stored);
    }

    /// Puts a message back to its old place, where it waits until `due`.
    pub(super) fn delay(&mut self, stored: Stored, due: Instant) {
        self.due.insert((due, stored.position));
        self.delayed.insert(stored.position, (due, stored));
    }

    /// Takes the message that is delivered next.
    pub(super) fn pop(&mut self) -> Option<Stored> {
        if let Some((_, stored)) = self.returned.pop_first() {
            return Some(stored);
        }
        let stored = self.fresh.pop_front();
        if self.fresh.is_empty() && self.fresh.capacity() > KEPT_ROOM {
            self.fresh = VecDeque::new();
        }
        stored
    }

    /// Takes the oldest message, a delayed one included.
    pub(super) fn pop_oldest(&mut self) -> Option<Stored> {
        let returned = self.returned.first_key_value().map(|(position, _)| *position);
        let delayed = self.delayed.first_key_value().map(|(position, _)| *position);
        if delayed.is_some_and(|delayed| returned.is_none_or(|returned| delayed < returned)) {
            let (_, (due, stored)) = self.delayed.pop_first()?;
            self.due.remove(&(due, stored.position));
            return Some(stored);
        }
        self.pop()
    }

    /// How many could be delivered now.
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.returned.len()
    }

    /// Puts those back that were delayed until `now` or before.
    pub(super) fn end_delays(&mut self, now: Instant) {
        while let Some((due, position)) = self.due.first().copied()
            && due <= now
        {
            self.due.pop_first();
            if let Some((_, stored)) = self.delayed.remove(&position) {
                self.put_back(stored);
            }
        }
    }

    /// When the next delay ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes those that expire by `now`, and says when the next of the others does.
    pub(super) fn take_expired(&mut self, now: Instant) -> (Vec<Stored>, Option<Instant>) {
        let mut taken = Vec::new();
        let mut next: Option<Instant> = None;
        let mut keep = |stored: &Stored| {
            let Some(expires) = stored.expires else { return true };
            let keep = expires > now;
            if keep {
                next = Some(next.map_or(expires, |next| next.min(expires)));
            }
            keep
        };
        let (kept, dead): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.returned).into_iter().partition(|(_, stored)| keep(stored));
        self.returned = kept;
        taken.extend(BTreeMap::into_values(dead));
        let (kept, dead): (BTreeMap<_, _>, _) = std::mem::take(&mut self.delayed)
            .into_iter()
            .partition(|(_, (_, stored))| keep(stored));
        self.delayed = kept;
        for (due, stored) in BTreeMap::into_values(dead) {
            self.due.remove(&(due, stored.position));
            taken.push(stored);
        }
        let kept = VecDeque::with_capacity(self.fresh.len());
        for stored in std::mem::replace(&mut self.fresh, kept) {
            if keep(&stored) {
                self.fresh.push_back(stored);
            } else {
                taken.push(stored);
            }
        }
        (taken, next)
    }

    /// Takes all of them.
    pub(super) fn take_all(&mut self) -> Self {
        std::mem::take(self)
    }

    /// What they were counted as, together, and how many they are.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let delayed = self.delayed.values().map(|(_, stored)| stored);
        let all = self.fresh.iter().chain(self.returned.values()).chain(delayed);
        all.fold((0, 0), |(bytes, count), stored| (bytes + stored.bytes, count + 1))
    }
}
