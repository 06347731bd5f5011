use std::collections::{HashMap, HashSet, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::{BrokerError, Completer, Destination, Outcome};

/// The subscriptions of a node at its engine: one for each destination that anybody here listens to,
/// however many do.
///
/// Subscribers come and go from many tasks, while one task talks to the engine. So nobody orders
/// that task about: they say how many listen, and the task is told of each destination where that
/// and the engine's state differ. Whatever happens in between, it ends with what is wanted.
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
}

#[derive(Debug, Default)]
struct Upstream {
    listeners: usize,
    stage: Stage,
    /// Who waits until the engine has confirmed the subscription.
    waiting: Vec<Completer>,
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

impl Upstreams {
    /// Notes another listener. The outcome is complete once the engine sends what is published.
    pub(in super::super) fn join(&self, destination: &Destination) -> Outcome {
        let state = &mut *self.state.lock();
        let upstream = state.upstreams.entry(destination.clone()).or_default();
        upstream.listeners += 1;
        if upstream.stage == Stage::On {
            return Outcome::done();
        }
        let (completer, outcome) = Outcome::pending();
        upstream.waiting.push(completer);
        self.look_at(state, destination);
        outcome
    }

    /// Notes that a listener has left.
    pub(in super::super) fn leave(&self, destination: &Destination) {
        let state = &mut *self.state.lock();
        let Some(upstream) = state.upstreams.get_mut(destination) else { return };
        upstream.listeners = upstream.listeners.saturating_sub(1);
        if upstream.listeners == 0 {
            self.look_at(state, destination);
        }
    }

    /// The engine sends what is published there from now on.
    pub(in super::super) fn listening(&self, destination: &Destination) {
        for waiting in self.enter(destination, Stage::On) {
            waiting.complete(Ok(()));
        }
    }

    /// The engine refuses the subscription: so is everybody who waits for it.
    pub(in super::super) fn refused(&self, destination: &Destination, error: &BrokerError) {
        let waiting = {
            let state = &mut *self.state.lock();
            state.upstreams.remove(destination).map(|upstream| upstream.waiting)
        };
        for waiting in waiting.into_iter().flatten() {
            waiting.complete(Err(error.clone()));
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
        state.upstreams.retain(|_, upstream| upstream.listeners > 0);
        let wanted: Vec<_> = state.upstreams.keys().cloned().collect();
        for destination in wanted {
            if let Some(upstream) = state.upstreams.get_mut(&destination) {
                upstream.stage = Stage::Off;
            }
            self.look_at(state, &destination);
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
        state.upstreams.get(destination).is_some_and(|upstream| upstream.listeners > 0)
    }

    fn enter(&self, destination: &Destination, reached: Stage) -> Vec<Completer> {
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

impl State {
    fn next_change(&mut self) -> Option<Change> {
        while let Some(destination) = self.changes.pop_front() {
            self.in_changes.remove(&destination);
            let Some(upstream) = self.upstreams.get_mut(&destination) else { continue };
            match (upstream.listeners, upstream.stage) {
                (0, Stage::Off) => {
                    self.upstreams.remove(&destination);
                }
                (0, Stage::On) => {
                    upstream.stage = Stage::Stopping;
                    return Some(Change::Stop(destination));
                }
                (1.., Stage::Off) => {
                    upstream.stage = Stage::Starting;
                    return Some(Change::Listen(destination));
                }
                // What is under way is looked at again when it is done.
                (_, Stage::Starting | Stage::Stopping) | (1.., Stage::On) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(number: u32) -> Destination {
        format!("/topic/room/{number}").parse().unwrap()
    }

    fn next(upstreams: &Upstreams) -> Option<Change> {
        upstreams.state.lock().next_change()
    }

    #[test]
    fn a_thousand_listeners_are_one_subscription() {
        let upstreams = Upstreams::default();
        let mut outcomes: Vec<_> = (0..1_000).map(|_| upstreams.join(&room(5))).collect();
        assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
        assert_eq!(next(&upstreams), None);
        assert!(outcomes.iter_mut().all(|outcome| outcome.take_ready().is_none()));
        upstreams.listening(&room(5));
        assert!(outcomes.iter_mut().all(|outcome| outcome.take_ready() == Some(Ok(()))));
        assert_eq!(upstreams.join(&room(5)).take_ready(), Some(Ok(())));
        for _ in 0..1_000 {
            upstreams.leave(&room(5));
            assert_eq!(next(&upstreams), None);
        }
        upstreams.leave(&room(5));
        assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
        upstreams.stopped(&room(5));
        assert_eq!((next(&upstreams), upstreams.count()), (None, 0));
    }

    #[test]
    fn who_comes_back_while_it_stops_is_listened_for_again() {
        let upstreams = Upstreams::default();
        drop(upstreams.join(&room(5)));
        assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
        upstreams.listening(&room(5));
        upstreams.leave(&room(5));
        assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
        let mut again = upstreams.join(&room(5));
        assert_eq!(next(&upstreams), None);
        upstreams.stopped(&room(5));
        assert_eq!(again.take_ready(), None);
        assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
        upstreams.listening(&room(5));
        assert_eq!(again.take_ready(), Some(Ok(())));
    }

    #[test]
    fn who_leaves_before_it_began_is_stopped_afterwards() {
        let upstreams = Upstreams::default();
        drop(upstreams.join(&room(5)));
        assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
        upstreams.leave(&room(5));
        assert_eq!(next(&upstreams), None);
        upstreams.listening(&room(5));
        assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
    }

    #[test]
    fn after_a_loss_all_that_is_wanted_is_asked_for_again() {
        let upstreams = Upstreams::default();
        drop(upstreams.join(&room(1)));
        let mut unconfirmed = upstreams.join(&room(2));
        drop(upstreams.join(&room(3)));
        while next(&upstreams).is_some() {}
        upstreams.listening(&room(1));
        upstreams.listening(&room(3));
        upstreams.leave(&room(3));
        upstreams.lost();
        let mut changes: Vec<_> = std::iter::from_fn(|| next(&upstreams)).collect();
        changes.sort_by_key(|change| format!("{change:?}"));
        assert_eq!(changes, [Change::Listen(room(1)), Change::Listen(room(2))]);
        assert_eq!(unconfirmed.take_ready(), None);
        upstreams.listening(&room(2));
        assert_eq!(unconfirmed.take_ready(), Some(Ok(())));
    }

    #[test]
    fn a_refusal_reaches_all_who_wait() {
        let upstreams = Upstreams::default();
        let mut outcomes = [upstreams.join(&room(1)), upstreams.join(&room(1))];
        assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
        upstreams.refused(&room(1), &BrokerError::Closed);
        for outcome in &mut outcomes {
            assert_eq!(outcome.take_ready(), Some(Err(BrokerError::Closed)));
        }
        assert_eq!(upstreams.count(), 0);
    }

    #[tokio::test]
    async fn the_task_is_woken() {
        let upstreams = std::sync::Arc::new(Upstreams::default());
        let waiting = {
            let upstreams = std::sync::Arc::clone(&upstreams);
            tokio::spawn(async move { upstreams.change().await })
        };
        tokio::task::yield_now().await;
        drop(upstreams.join(&room(1)));
        assert_eq!(waiting.await.unwrap(), Change::Listen(room(1)));
    }
}
