use std::collections::HashMap;

use parking_lot::Mutex;

use super::super::{
    BrokerError, Completer, Destination, Outcome, Router, Subscriber, SubscriberId, Turn,
};
use super::StreamId;

/// Which parts of the streams this node has: of each destination with history that it follows, all
/// from some place to the last message that came.
///
/// What it has is in the router's history. A subscriber that asks for history joins there once the
/// part reaches as far back as the stream; so its history is what the node has, then what comes.
#[derive(Debug, Default)]
pub(super) struct Windows(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    windows: HashMap<Destination, Window>,
    /// Who waits for the window of a destination to be complete.
    waiting: HashMap<Destination, Vec<(Subscriber, Completer)>>,
}

/// The part of a stream that this node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// The first message that it has, or none.
    pub(super) first: Option<StreamId>,
    /// The last message that came, or before all.
    pub(super) last: StreamId,
    /// Whether all is there that was in the stream before the first.
    pub(super) complete: bool,
}

impl Windows {
    /// Adds a subscriber that asks for history to the router: now, or when the window is complete, and
    /// Redis has `confirmed` that it sends what comes.
    pub(super) fn join(
        &self,
        destination: &Destination,
        subscriber: Subscriber,
        confirmed: bool,
        router: &Router,
        turn: &mut Turn,
    ) -> Outcome {
        let state = &mut *self.0.lock();
        if confirmed && state.windows.get(destination).is_some_and(|window| window.complete) {
            router.subscribe(destination, subscriber, turn);
            return Outcome::done();
        }
        let (completer, outcome) = Outcome::pending();
        state.waiting.entry(destination.clone()).or_default().push((subscriber, completer));
        outcome
    }

    /// A subscriber leaves that may be waiting.
    pub(super) fn leave(&self, destination: &Destination, subscriber: SubscriberId) {
        let state = &mut *self.0.lock();
        let Some(waiting) = state.waiting.get_mut(destination) else { return };
        waiting.retain(|(waits, _)| waits.id != subscriber);
        if waiting.is_empty() {
            state.waiting.remove(destination);
        }
    }

    /// All who wait are refused.
    pub(super) fn refuse(&self, destination: &Destination, error: &BrokerError) {
        for (_, waiting) in self.0.lock().waiting.remove(destination).into_iter().flatten() {
            waiting.complete(Err(error.clone()));
        }
    }

    pub(super) fn get(&self, destination: &Destination) -> Option<Window> {
        self.0.lock().windows.get(destination).copied()
    }

    /// Notes what the node has. Where that is complete, those who wait join.
    pub(super) fn set(
        &self,
        destination: &Destination,
        window: Window,
        router: &Router,
        turn: &mut Turn,
    ) {
        let state = &mut *self.0.lock();
        state.windows.insert(destination.clone(), window);
        if !window.complete {
            return;
        }
        for (subscriber, completer) in state.waiting.remove(destination).into_iter().flatten() {
            router.subscribe(destination, subscriber, turn);
            completer.complete(Ok(()));
        }
    }

    /// The node does not follow these destinations any more.
    pub(super) fn drop_where(&self, gone: impl Fn(&Destination) -> bool, router: &Router) {
        let state = &mut *self.0.lock();
        state.windows.retain(|destination, _| {
            let gone = gone(destination);
            if gone {
                router.forget(destination);
            }
            !gone
        });
    }

    /// The destinations that it has a part of.
    pub(super) fn destinations(&self) -> Vec<Destination> {
        self.0.lock().windows.keys().cloned().collect()
    }
}
