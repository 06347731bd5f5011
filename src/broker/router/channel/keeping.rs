use std::sync::Arc;
use std::time::Instant;

#[cfg(feature = "kafka")]
use crate::session::Delivery;

#[cfg(feature = "kafka")]
use super::super::super::HistoryRequest;
use super::super::history::History;
#[cfg(feature = "kafka")]
use super::super::log::Lack;
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

    /// What is lacking of the history that is asked for.
    #[cfg(feature = "kafka")]
    pub(in super::super) fn lacks(&self, request: &HistoryRequest, now: Instant) -> Option<Lack> {
        let state = self.state.lock();
        state.history.as_ref()?.log.lacks(request, self.shared.epoch(), now)
    }

    /// Adds messages to the front of what is kept, if that is still where it was.
    #[cfg(feature = "kafka")]
    pub(in super::super) fn prepend_at(
        self: &Arc<Self>,
        lack: &Lack,
        older: &[(Instant, Delivery)],
        lost: Instant,
        now: Instant,
    ) -> bool {
        let mut guard = self.state.lock();
        if guard.closed {
            return false;
        }
        let Some(history) = guard.history.as_deref_mut() else { return false };
        if history.log.first() != lack.first {
            return false;
        }
        history.log.prepend(older, lost, now, &self.shared.retained);
        let earlier = self.place(history);
        drop(guard);
        if earlier && let Some(host) = self.shared.host() {
            host.deadline_changed();
        }
        true
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

#[cfg(test)]
#[cfg(feature = "kafka")]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::super::super::super::{
        Destination, DestinationRules, HistoryRequest, Message, Router, Turn,
    };
    use crate::session::{Delivery, Token};

    fn room() -> Destination {
        "/topic/a".parse().unwrap()
    }

    fn message(token: &str) -> Delivery {
        let message = Message::builder(room()).body(token).into_shared();
        Delivery::new(message).with_token(Token::new(token).unwrap())
    }

    fn router(now: Instant) -> Router {
        let mut rules = DestinationRules::default();
        rules.add("/topic/**,history=4".parse().unwrap());
        let router = Router::window(Arc::new(rules), 1 << 20);
        for token in ["0.4", "0.5"] {
            drop(router.route(&room(), message(token), &mut Turn::new(now)));
        }
        router
    }

    #[test]
    fn what_a_window_lacks_is_added_to_its_front_once() {
        let now = Instant::now();
        let router = router(now);
        let after = |token: &str| HistoryRequest::After(token.into());
        assert_eq!(router.lacks(&room(), &after("0.4"), now), None);
        assert_eq!(router.lacks(&room(), &HistoryRequest::Last(9), now), None);
        let lack = router.lacks(&room(), &after("0.3"), now).unwrap();
        assert_eq!(lack.before, Token::new("0.4").ok());
        let older = [(now, message("0.3"))];
        assert!(router.prepend_at(&room(), &lack, &older, now, now));
        assert!(!router.prepend_at(&room(), &lack, &older, now, now), "the front has moved");
        assert_eq!(router.lacks(&room(), &after("0.3"), now), None);
        // What would be more than is kept is lacking for good.
        drop(router.route(&room(), message("0.6"), &mut Turn::new(now)));
        assert_eq!(router.lacks(&room(), &after("0.2"), now), None);
    }

    #[test]
    fn a_time_is_lacking_until_it_is_known_that_nothing_was_before() {
        let now = Instant::now() + Duration::from_secs(60);
        let router = router(now);
        let minute = HistoryRequest::Within(Duration::from_secs(60));
        let lack = router.lacks(&room(), &minute, now).unwrap();
        let before = now.checked_sub(Duration::from_secs(61)).unwrap();
        assert!(router.prepend_at(&room(), &lack, &[], before, now));
        assert_eq!(router.lacks(&room(), &minute, now), None);
    }
}
