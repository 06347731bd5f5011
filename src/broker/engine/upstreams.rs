use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::{
    BrokerError, Completer, Destination, Outcome, Router, Subscriber, SubscriberId, Turn,
};

/// The subscriptions of a node at its engine: one for each destination that anybody here listens to,
/// however many do.
///
/// Subscribers come and go from many tasks, while one task talks to the engine. So nobody orders
/// that task about: they say who listens, and the task is told of each destination where that and the
/// engine's state differ. Whatever happens in between, it ends with what is wanted.
///
/// Who waits for an engine that cannot be reached waits for 10 seconds, and is then
/// [refused](Self::expire).
#[derive(Debug, Default)]
pub(in super::super) struct Upstreams {
    state: Mutex<State>,
    changed: Notify,
}

/// What the task that talks to the engine has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Change {
    /// Subscribe, and then say so by [`Upstreams::listening`] or [`Upstreams::refused`].
    Listen(Destination),
    /// Unsubscribe, and then say so by [`Upstreams::stopped`].
    Stop(Destination),
}

#[derive(Debug, Default)]
struct State {
    upstreams: HashMap<Destination, Upstream>,
    /// Where there may be something to do, in the order in which it came up.
    changes: VecDeque<Destination>,
    in_changes: HashSet<Destination>,
    /// Where somebody has begun to wait, and when, in that order: perhaps not any more.
    waits: VecDeque<(Instant, Destination)>,
}

#[derive(Debug, Default)]
struct Upstream {
    listeners: HashMap<SubscriberId, Subscriber>,
    stage: Stage,
    /// Who waits until the engine has confirmed the subscription.
    waiting: Vec<Waiting>,
}

/// Somebody who waits, and since when.
#[derive(Debug)]
struct Waiting {
    who: SubscriberId,
    /// What it is to be added to the router for, if to that.
    to: Option<Destination>,
    since: Instant,
    completer: Completer,
}

/// Where the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Off,
    Starting,
    On,
    Stopping,
}

/// How long somebody waits until the engine has confirmed a subscription.
const TIME: Duration = Duration::from_secs(10);

impl Upstreams {
    /// Notes that somebody listens, if that is not known. The outcome is complete once the engine
    /// sends what is published.
    pub(in super::super) fn join(&self, destination: &Destination, who: &Subscriber) -> Outcome {
        self.add(destination, who, None)
    }

    /// As [`join`](Self::join), and adds the subscriber to a router, for what it has subscribed to:
    /// when the engine sends, and not before. What still comes by a subscription that is about to
    /// end, since its last listener has just left, would be followed by a hole.
    pub(in super::super) fn join_router(
        &self,
        destination: &Destination,
        to: &Destination,
        subscriber: Subscriber,
        router: &Router,
        turn: &mut Turn,
    ) -> Outcome {
        let mut outcome = self.add(destination, &subscriber, Some(to));
        if outcome.take_ready().is_none() {
            return outcome;
        }
        // It counts as a listener, so that the engine goes on.
        router.subscribe(to, subscriber, turn);
        Outcome::done()
    }

    fn add(
        &self,
        destination: &Destination,
        who: &Subscriber,
        to: Option<&Destination>,
    ) -> Outcome {
        let state = &mut *self.state.lock();
        let upstream = state.upstreams.entry(destination.clone()).or_default();
        upstream.listeners.insert(who.id, who.clone());
        if upstream.stage == Stage::On {
            return Outcome::done();
        }
        let (completer, outcome) = Outcome::pending();
        let since = Instant::now();
        let to = to.cloned();
        upstream.waiting.push(Waiting { who: who.id, to, since, completer });
        state.waits.push_back((since, destination.clone()));
        self.look_at(state, destination);
        outcome
    }

    /// Notes that somebody has left, if that is not known. Returns whether it is over: nobody listens
    /// any more, and the engine does not either.
    pub(in super::super) fn leave(&self, destination: &Destination, who: SubscriberId) -> bool {
        let state = &mut *self.state.lock();
        let Some(upstream) = state.upstreams.get_mut(destination) else { return true };
        upstream.listeners.remove(&who);
        upstream.waiting.retain(|waiting| waiting.who != who);
        if !upstream.listeners.is_empty() {
            return false;
        }
        if upstream.stage == Stage::Off {
            state.upstreams.remove(destination);
            return true;
        }
        self.look_at(state, destination);
        false
    }

    /// The engine sends what is published there from now on.
    pub(in super::super) fn listening(&self, destination: &Destination) {
        for waiting in self.enter(destination, Stage::On) {
            waiting.completer.complete(Ok(()));
        }
    }

    /// As [`listening`](Self::listening): those who [wait for it](Self::join_router) join the router.
    pub(in super::super) fn listening_with(
        &self,
        destination: &Destination,
        router: &Router,
        turn: &mut Turn,
    ) {
        for Waiting { who, to, completer, .. } in self.enter(destination, Stage::On) {
            if let Some(to) = to
                && let Some(subscriber) = self.listener(destination, who)
            {
                router.subscribe(&to, subscriber, turn);
                // It may have left in between, and found nothing to leave.
                if self.listener(destination, who).is_none() {
                    router.unsubscribe(&to, who);
                }
            }
            completer.complete(Ok(()));
        }
    }

    fn listener(&self, destination: &Destination, who: SubscriberId) -> Option<Subscriber> {
        self.state.lock().upstreams.get(destination)?.listeners.get(&who).cloned()
    }

    /// The engine refuses the subscription: so is everybody who waits for it, and who was confirmed
    /// before is told that it ends. It is asked again when another one comes, or after a
    /// [loss](Self::lost) if there is anybody left.
    pub(in super::super) fn refused(&self, destination: &Destination, error: &BrokerError) {
        let (waiting, confirmed) = {
            let state = &mut *self.state.lock();
            let Some(upstream) = state.upstreams.get_mut(destination) else { return };
            upstream.stage = Stage::Off;
            let confirmed = upstream.confirmed();
            let waiting = std::mem::take(&mut upstream.waiting);
            if upstream.listeners.is_empty() {
                state.upstreams.remove(destination);
            }
            (waiting, confirmed)
        };
        for waiting in waiting {
            waiting.completer.complete(Err(error.clone()));
        }
        for subscriber in confirmed {
            subscriber.refuse(error);
        }
    }

    /// The engine has ended the subscription, as it was asked to.
    pub(in super::super) fn stopped(&self, destination: &Destination) {
        // Whoever came meanwhile waits for it to begin again.
        let mut waiting = self.enter(destination, Stage::Off);
        if let Some(upstream) = self.state.lock().upstreams.get_mut(destination) {
            upstream.waiting.append(&mut waiting);
        }
    }

    /// The engine has forgotten everything: the connection to it is gone. All that is wanted comes
    /// up as a change again.
    pub(in super::super) fn lost(&self) {
        let state = &mut *self.state.lock();
        state.upstreams.retain(|_, upstream| !upstream.listeners.is_empty());
        let wanted: Vec<_> = state.upstreams.keys().cloned().collect();
        for destination in wanted {
            if let Some(upstream) = state.upstreams.get_mut(&destination) {
                upstream.stage = Stage::Off;
            }
            self.look_at(state, &destination);
        }
    }

    /// Gives up waiting for those who have waited too long: they are refused, and listen no more. To be
    /// called about once a second.
    pub(in super::super) fn expire(&self, engine: &'static str, now: Instant) {
        let is_old = |since: Instant| now.saturating_duration_since(since) >= TIME;
        let mut expired = Vec::new();
        {
            let state = &mut *self.state.lock();
            while state.waits.front().is_some_and(|(since, _)| is_old(*since))
                && let Some((_, destination)) = state.waits.pop_front()
            {
                let Some(upstream) = state.upstreams.get_mut(&destination) else { continue };
                for waiting in upstream.waiting.extract_if(.., |waiting| is_old(waiting.since)) {
                    upstream.listeners.remove(&waiting.who);
                    expired.push(waiting.completer);
                }
                self.look_at(state, &destination);
            }
        }
        for completer in expired {
            completer.complete(Err(BrokerError::Unavailable { engine }));
        }
    }

    /// Waits for something to do.
    pub(in super::super) async fn change(&self) -> Change {
        loop {
            let changed = self.changed.notified();
            if let Some(change) = self.state.lock().next_change() {
                return change;
            }
            changed.await;
        }
    }

    /// Something to do, if there is something.
    #[cfg(any(feature = "nats", feature = "redis"))]
    pub(in super::super) fn try_change(&self) -> Option<Change> {
        self.state.lock().next_change()
    }

    /// How many destinations the engine sends for, or is asked to.
    pub(in super::super) fn count(&self) -> usize {
        self.state.lock().upstreams.len()
    }

    /// Whether anybody here listens to a destination.
    pub(in super::super) fn is_wanted(&self, destination: &Destination) -> bool {
        let state = self.state.lock();
        state.upstreams.get(destination).is_some_and(|upstream| !upstream.listeners.is_empty())
    }

    /// Whether somebody here listens to a destination that the engine does not send for yet.
    #[cfg(feature = "rabbitmq")]
    pub(in super::super) fn is_awaited(&self, destination: &Destination) -> bool {
        let state = self.state.lock();
        let upstream = state.upstreams.get(destination);
        upstream.is_some_and(|it| !it.listeners.is_empty() && it.stage != Stage::On)
    }

    fn enter(&self, destination: &Destination, reached: Stage) -> Vec<Waiting> {
        let state = &mut *self.state.lock();
        let Some(upstream) = state.upstreams.get_mut(destination) else { return Vec::new() };
        upstream.stage = reached;
        let waiting = std::mem::take(&mut upstream.waiting);
        self.look_at(state, destination);
        waiting
    }

    fn look_at(&self, state: &mut State, destination: &Destination) {
        if state.in_changes.insert(destination.clone()) {
            state.changes.push_back(destination.clone());
        }
        // One task waits; a permit is kept for it while it is at work.
        self.changed.notify_one();
    }
}

impl Upstream {
    /// Those listeners who do not wait.
    fn confirmed(&self) -> Vec<Subscriber> {
        let waits: HashSet<_> = self.waiting.iter().map(|waiting| waiting.who).collect();
        self.listeners.values().filter(|it| !waits.contains(&it.id)).cloned().collect()
    }
}

impl State {
    fn next_change(&mut self) -> Option<Change> {
        while let Some(destination) = self.changes.pop_front() {
            self.in_changes.remove(&destination);
            let Some(upstream) = self.upstreams.get_mut(&destination) else { continue };
            match (upstream.listeners.is_empty(), upstream.stage) {
                (true, Stage::Off) => {
                    self.upstreams.remove(&destination);
                }
                (true, Stage::On) => {
                    upstream.stage = Stage::Stopping;
                    return Some(Change::Stop(destination));
                }
                (false, Stage::Off) => {
                    upstream.stage = Stage::Starting;
                    return Some(Change::Listen(destination));
                }
                // What is under way is looked at again when it is done.
                (_, Stage::Starting | Stage::Stopping) | (false, Stage::On) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
