use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::locks::Mutex;

use super::channel::Channel;

/// What all destinations of a router keep together: how much it is, and what goes next.
///
/// Each destination that keeps something stands here once, at the instant at which its oldest message
/// expires, or at an earlier one: it is put right only when its turn comes. So a message costs
/// nothing here, expiry needs no ticking, and where everything together is too much, that goes which
/// would have expired soonest, whoever published last.
#[derive(Default)]
pub(super) struct Retained {
    bytes: AtomicUsize,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    due: BTreeMap<Place, Weak<Channel>>,
    /// How many places were given.
    places: u64,
    /// The newest message may be of this instant that a destination had which is gone, or that was
    /// published before there was anything here.
    lost: Option<Instant>,
}

/// Where a destination stands: an instant, and a number that no other one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(Instant, u64);

/// How many destinations one call looks at: a thousand that expire together must not hold up others.
const AT_ONCE: usize = 256;

impl Retained {
    /// All together keep at most so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.bytes() > self.limit
    }

    /// Up to when messages may be lost of a destination that is made now.
    pub(super) fn lost(&self, now: Instant) -> Instant {
        *self.state.lock().lost.get_or_insert(now)
    }

    /// A destination is gone that may have had messages up to this instant.
    pub(super) fn lose(&self, until: Instant) {
        let lost = &mut self.state.lock().lost;
        *lost = (*lost).max(Some(until));
    }

    /// Gives a destination a place, and tells whether it is the first one.
    pub(super) fn insert(&self, channel: Weak<Channel>, due: Instant) -> (Place, bool) {
        let state = &mut *self.state.lock();
        state.places += 1;
        let place = Place(due, state.places);
        let first = state.due.first_key_value().is_none_or(|(first, _)| place < *first);
        state.due.insert(place, channel);
        (place, first)
    }

    /// Takes a place back, if it is not taken back already.
    pub(super) fn remove(&self, place: Place) {
        self.state.lock().due.remove(&place);
    }

    /// When something is to be done.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.state.lock().due.first_key_value().map(|(first, _)| first.0)
    }

    /// Drops what has expired: some of it, if there is much.
    pub(super) fn expire(&self, now: Instant) {
        for _ in 0..AT_ONCE {
            let Some((channel, _)) = self.pop(Some(now)) else { return };
            if let Some(channel) = channel.upgrade() {
                channel.expire(now);
            }
        }
    }

    /// Drops what expires soonest, for as long as all together is too much.
    pub(super) fn evict(&self) {
        while self.is_over() {
            let Some((channel, next)) = self.pop(None) else { return };
            if let Some(channel) = channel.upgrade() {
                channel.evict(next);
            }
        }
    }

    /// Takes the first one out, if it is due until then, and tells when the next one is.
    fn pop(&self, until: Option<Instant>) -> Option<(Weak<Channel>, Option<Instant>)> {
        let due = &mut self.state.lock().due;
        let first = due.first_entry()?;
        if until.is_some_and(|until| until < first.key().0) {
            return None;
        }
        let channel = first.remove();
        Some((channel, due.first_key_value().map(|(next, _)| next.0)))
    }
}
