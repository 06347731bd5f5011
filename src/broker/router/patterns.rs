use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::locks::{Mutex, RwLock};

use super::super::{Destination, Subscriber, SubscriberId};
use super::members::{Member, Members, Snapshot};
use super::trie::{Enough, Trie};

/// Who has subscribed to patterns.
///
/// Each pattern has a set of subscribers, and a channel remembers which sets are its own: it looks
/// again only when the [`generation`](Self::generation) has changed, which happens when a set comes
/// or goes, not with each subscriber.
///
/// Subscribers are numbered as they join, and a channel notes with its messages how many had joined
/// when each was routed. So a subscriber gets what was routed after it joined, on every channel,
/// though none of them knows of it.
#[derive(Default)]
pub(super) struct Patterns {
    sets: RwLock<Trie<Arc<PatternSet>>>,
    generation: AtomicU64,
    joins: AtomicU64,
}

/// The subscribers to one pattern.
pub(super) struct PatternSet {
    pattern: Destination,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    members: Members,
    /// It was removed: whoever wants to join looks again.
    closed: bool,
}

impl Patterns {
    /// Adds a subscriber, or replaces the one with its id. Returns whether it is the first one of
    /// its pattern.
    pub(super) fn subscribe(&self, pattern: &Destination, subscriber: Subscriber) -> bool {
        loop {
            let set = self.open(pattern);
            let state = &mut *set.state.lock();
            if !state.closed {
                let first = state.members.is_empty();
                // Under the lock, so that a flush of a message that was routed after this number was
                // given finds the member.
                let from = self.joins.fetch_add(1, Ordering::AcqRel) + 1;
                state.members.insert(Member { subscriber, from, gap: false });
                return first;
            }
        }
    }

    /// Removes a subscriber. Returns whether it was the last one of its pattern.
    pub(super) fn unsubscribe(&self, pattern: &Destination, subscriber: SubscriberId) -> bool {
        let Some(set) = self.find(pattern) else { return false };
        let last = set.leave(subscriber);
        if last {
            self.retire(&set);
        }
        last
    }

    /// How many have subscribed to a pattern.
    pub(super) fn subscribers(&self, pattern: &Destination) -> usize {
        self.find(pattern).map_or(0, |set| set.state.lock().members.len())
    }

    /// Whether any pattern matches a destination.
    pub(super) fn match_any(&self, destination: &Destination) -> bool {
        // Only the first pattern changes it from 0.
        if self.generation() == 0 {
            return false;
        }
        let mut any = false;
        self.sets.read().find(destination, |_| {
            any = true;
            Enough(true)
        });
        any
    }

    /// Puts the sets that match a destination into `matching`. Returns the generation they are of.
    pub(super) fn find_matching(
        &self,
        destination: &Destination,
        matching: &mut Vec<Arc<PatternSet>>,
    ) -> u64 {
        matching.clear();
        let sets = self.sets.read();
        sets.find(destination, |set| {
            matching.push(Arc::clone(set));
            Enough(false)
        });
        // It changes under the lock only.
        self.generation()
    }

    /// Changes when a pattern comes or goes.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How many have ever joined: the number of the last one.
    pub(super) fn joins(&self) -> u64 {
        self.joins.load(Ordering::Acquire)
    }

    fn find(&self, pattern: &Destination) -> Option<Arc<PatternSet>> {
        find(&self.sets.read(), pattern)
    }

    /// Finds the set of a pattern, or makes it.
    fn open(&self, pattern: &Destination) -> Arc<PatternSet> {
        if let Some(set) = self.find(pattern) {
            return set;
        }
        let sets = &mut *self.sets.write();
        if let Some(set) = find(sets, pattern) {
            return set;
        }
        let set = Arc::new(PatternSet { pattern: pattern.clone(), state: Mutex::default() });
        sets.insert(pattern, Arc::clone(&set));
        self.generation.fetch_add(1, Ordering::AcqRel);
        set
    }

    /// Removes a set if nobody is left in it. Whoever has found it before looks again.
    fn retire(&self, set: &Arc<PatternSet>) {
        let sets = &mut *self.sets.write();
        let state = &mut *set.state.lock();
        if state.members.is_empty() && !std::mem::replace(&mut state.closed, true) {
            sets.retain(&set.pattern, |other| !Arc::ptr_eq(other, set));
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// The set of exactly this pattern: one spelled otherwise that means the same has its own.
fn find(sets: &Trie<Arc<PatternSet>>, pattern: &Destination) -> Option<Arc<PatternSet>> {
    sets.at(pattern).iter().find(|set| set.pattern == *pattern).cloned()
}

impl PatternSet {
    pub(super) fn snapshot(&self) -> Snapshot {
        self.state.lock().members.snapshot()
    }

    pub(super) fn contains(&self, subscriber: SubscriberId) -> bool {
        self.state.lock().members.contains(subscriber)
    }

    /// Returns whether nobody is left because of this.
    fn leave(&self, subscriber: SubscriberId) -> bool {
        let state = &mut *self.state.lock();
        state.members.remove(subscriber) && state.members.is_empty()
    }
}
