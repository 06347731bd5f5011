use std::sync::Arc;
use std::time::Instant;

use super::super::history::History;
use super::super::log::Log;
use super::Channel;

/// What is kept is given back in time, and where all destinations together keep too much.
impl Channel {
    /// Drops what has expired.
    pub(in super::super) fn expire(self: &Arc<Self>, now: Instant) {
        self.forget(|log| log.expire(now, &self.shared.retained));
    }

    /// Drops the messages that expire until then, or all of them, for as long as all destinations
    /// together keep too much.
    pub(in super::super) fn evict(self: &Arc<Self>, until: Option<Instant>) {
        let all = &self.shared.retained;
        let goes = |due| until.is_none_or(|until| due <= until);
        self.forget(|log| {
            while all.is_over() && log.due().is_some_and(goes) {
                log.drop_oldest(all);
            }
        });
    }

    /// Drops all that is kept.
    #[cfg(any(feature = "nats", feature = "redis"))]
    pub(in super::super) fn evict_all(self: &Arc<Self>) {
        let all = &self.shared.retained;
        self.forget(|log| {
            while !log.is_empty() {
                log.drop_oldest(all);
            }
        });
    }

    /// Drops some of what is kept, after the destination has lost its place among the others.
    fn forget(self: &Arc<Self>, forget: impl FnOnce(&mut Log)) {
        let mut state = self.state.lock();
        let Some(history) = state.history.as_deref_mut() else { return };
        forget(&mut history.log);
        self.place(history);
        let is_idle = state.is_idle();
        drop(state);
        if is_idle {
            self.retire();
        }
    }

    /// Gives the destination its place among the others that keep something. Returns whether it is
    /// the first one there.
    pub(super) fn place(self: &Arc<Self>, history: &mut History) -> bool {
        let (all, cost) = (&self.shared.retained, self.cost());
        if let Some(place) = history.place.take() {
            all.remove(place);
            all.subtract(cost);
        }
        let Some(due) = history.log.due() else { return false };
        let (place, first) = all.insert(Arc::downgrade(self), due);
        all.add(cost);
        history.place = Some(place);
        first
    }

    /// What a destination that keeps something costs beside its messages.
    fn cost(&self) -> usize {
        size_of::<Self>() + size_of::<History>() + 2 * self.destination.as_str().len()
    }
}
