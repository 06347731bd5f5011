use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::locks::Mutex;

use super::queue::Queue;

/// When which queue has something to do without being asked: one for all queues, so that nothing
/// ticks for a queue or a message.
#[derive(Debug, Default)]
pub(super) struct Timetable(Mutex<BTreeMap<Entry, Weak<Queue>>>);

/// An instant, and the number of the queue that it is for.
type Entry = (Instant, u64);

impl Timetable {
    /// Enters a queue at `at`, instead of at `before` if it was entered there. Returns whether this
    /// is what comes first now.
    pub(super) fn enter(&self, at: Instant, before: Option<Instant>, queue: &Arc<Queue>) -> bool {
        let entry = (at, queue.number());
        let mut entries = self.0.lock();
        if let Some(before) = before {
            entries.remove(&(before, queue.number()));
        }
        entries.insert(entry, Arc::downgrade(queue));
        entries.first_key_value().is_some_and(|(first, _)| *first == entry)
    }

    /// Takes out a queue that is no more.
    pub(super) fn remove(&self, at: Instant, number: u64) {
        self.0.lock().remove(&(at, number));
    }

    /// What comes first.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.lock().first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out the queues that have something to do by `now`.
    pub(super) fn take_due(&self, now: Instant) -> Vec<Arc<Queue>> {
        let mut due = Vec::new();
        let mut entries = self.0.lock();
        while let Some(first) = entries.first_entry()
            && first.key().0 <= now
        {
            due.extend(first.remove().upgrade());
        }
        due
    }
}
