use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::{BrokerError, Completer, Destination, Outcome, Subscriber, SubscriberId};

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
        let state = &mut *self.state.lock();
        let upstream = state.upstreams.entry(destination.clone()).or_default();
        upstream.listeners.insert(who.id, who.clone());
        if upstream.stage == Stage::On {
            return Outcome::done();
        }
        let (completer, outcome) = Outcome::pending();
        let since = Instant::now();
        upstream.waiting.push(Waiting { who: who.id, since, completer });
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
mod tests {
    use std::sync::Arc;

    use crate::session::{Delivery, SubscriptionKey};

    use super::super::super::{Outlet, Taken};
    use super::*;

    /// What a connection was told.
    #[derive(Default)]
    struct Told(Mutex<Vec<BrokerError>>);

    impl Outlet for Told {
        fn deliver(&self, _: SubscriptionKey, _: &[Delivery], _: Instant) -> Taken {
            Taken::Gone
        }

        fn refuse(&self, _: SubscriptionKey, error: &BrokerError) {
            self.0.lock().push(error.clone());
        }
    }

    fn room(number: u32) -> Destination {
        format!("/topic/room/{number}").parse().unwrap()
    }

    fn id(connection: u64) -> SubscriberId {
        SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) }
    }

    fn who(connection: u64) -> Subscriber {
        Subscriber::new(id(connection), Arc::new(Told::default()))
    }

    fn next(upstreams: &Upstreams) -> Option<Change> {
        upstreams.state.lock().next_change()
    }

    #[test]
    fn a_thousand_listeners_are_one_subscription() {
        let upstreams = Upstreams::default();
        let mut outcomes: Vec<_> =
            (0..1_000).map(|one| upstreams.join(&room(5), &who(one))).collect();
        assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
        assert_eq!(next(&upstreams), None);
        assert!(outcomes.iter_mut().all(|outcome| outcome.take_ready().is_none()));
        #[cfg(feature = "rabbitmq")]
        assert!(upstreams.is_awaited(&room(5)));
        upstreams.listening(&room(5));
        #[cfg(feature = "rabbitmq")]
        assert!(!upstreams.is_awaited(&room(5)));
        assert!(outcomes.iter_mut().all(|outcome| outcome.take_ready() == Some(Ok(()))));
        assert_eq!(upstreams.join(&room(5), &who(1_000)).take_ready(), Some(Ok(())));
        for who in 0..1_000 {
            upstreams.leave(&room(5), id(who));
            assert_eq!(next(&upstreams), None);
        }
        upstreams.leave(&room(5), id(1_000));
        assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
        upstreams.stopped(&room(5));
        assert_eq!((next(&upstreams), upstreams.count()), (None, 0));
    }

    #[test]
    fn nobody_counts_twice() {
        let upstreams = Upstreams::default();
        let mut outcomes = [upstreams.join(&room(5), &who(1)), upstreams.join(&room(5), &who(1))];
        assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
        upstreams.listening(&room(5));
        assert!(outcomes.iter_mut().all(|outcome| outcome.take_ready() == Some(Ok(()))));
        drop(upstreams.join(&room(5), &who(2)));
        // Nor does who was never there.
        for who in [1, 1, 3] {
            assert!(!upstreams.leave(&room(5), id(who)));
        }
        assert_eq!(next(&upstreams), None);
        upstreams.leave(&room(5), id(2));
        assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
    }

    #[test]
    fn who_comes_back_while_it_stops_is_listened_for_again() {
        let upstreams = Upstreams::default();
        drop(upstreams.join(&room(5), &who(1)));
        assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
        upstreams.listening(&room(5));
        upstreams.leave(&room(5), id(1));
        assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
        let mut again = upstreams.join(&room(5), &who(1));
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
        drop(upstreams.join(&room(5), &who(1)));
        assert_eq!(next(&upstreams), Some(Change::Listen(room(5))));
        upstreams.leave(&room(5), id(1));
        assert_eq!(next(&upstreams), None);
        upstreams.listening(&room(5));
        assert_eq!(next(&upstreams), Some(Change::Stop(room(5))));
    }

    #[test]
    fn after_a_loss_all_that_is_wanted_is_asked_for_again() {
        let upstreams = Upstreams::default();
        drop(upstreams.join(&room(1), &who(1)));
        let mut unconfirmed = upstreams.join(&room(2), &who(1));
        drop(upstreams.join(&room(3), &who(1)));
        while next(&upstreams).is_some() {}
        upstreams.listening(&room(1));
        upstreams.listening(&room(3));
        upstreams.leave(&room(3), id(1));
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
        let mut outcomes = [upstreams.join(&room(1), &who(1)), upstreams.join(&room(1), &who(2))];
        assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
        upstreams.refused(&room(1), &BrokerError::Closed);
        for outcome in &mut outcomes {
            assert_eq!(outcome.take_ready(), Some(Err(BrokerError::Closed)));
        }
        // Nobody asks for ever; the next one who comes does, and so does another connection.
        assert_eq!(next(&upstreams), None);
        assert!(!upstreams.leave(&room(1), id(1)));
        let mut third = upstreams.join(&room(1), &who(3));
        assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
        upstreams.refused(&room(1), &BrokerError::Closed);
        assert_eq!(third.take_ready(), Some(Err(BrokerError::Closed)));
        upstreams.lost();
        assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
        upstreams.refused(&room(1), &BrokerError::Closed);
        assert!(!upstreams.leave(&room(1), id(2)));
        assert!(upstreams.leave(&room(1), id(3)));
        assert_eq!((next(&upstreams), upstreams.count()), (None, 0));
    }

    #[test]
    fn who_was_confirmed_is_told_of_a_refusal_once() {
        let upstreams = Upstreams::default();
        let (told, waits) = (Arc::new(Told::default()), Arc::new(Told::default()));
        let confirmed = Subscriber::new(id(1), told.clone());
        drop(upstreams.join(&room(1), &confirmed));
        assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
        upstreams.listening(&room(1));
        upstreams.lost();
        let mut waiting = upstreams.join(&room(1), &Subscriber::new(id(2), waits.clone()));
        assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
        upstreams.refused(&room(1), &BrokerError::Closed);
        assert_eq!(*told.0.lock(), [BrokerError::Closed]);
        assert_eq!(waiting.take_ready(), Some(Err(BrokerError::Closed)));
        assert_eq!(*waits.0.lock(), []);
        // Both are taken back as if nothing had been.
        assert!(!upstreams.leave(&room(1), id(1)));
        assert!(upstreams.leave(&room(1), id(2)));
        assert_eq!((next(&upstreams), upstreams.count()), (None, 0));
    }

    #[test]
    fn who_is_refused_after_leaving_leaves_nothing() {
        let upstreams = Upstreams::default();
        drop(upstreams.join(&room(1), &who(1)));
        assert_eq!(next(&upstreams), Some(Change::Listen(room(1))));
        assert!(!upstreams.leave(&room(1), id(1)));
        upstreams.refused(&room(1), &BrokerError::Closed);
        assert_eq!((next(&upstreams), upstreams.count()), (None, 0));
    }

    #[test]
    fn who_waits_too_long_is_refused_and_leaves_nothing() {
        const AWAY: BrokerError = BrokerError::Unavailable { engine: "an engine" };
        let (upstreams, began) = (Upstreams::default(), Instant::now());
        let mut outcomes = [upstreams.join(&room(1), &who(1)), upstreams.join(&room(2), &who(1))];
        while next(&upstreams).is_some() {}
        upstreams.listening(&room(2));
        upstreams.expire("an engine", began);
        assert_eq!(outcomes[0].take_ready(), None);
        upstreams.expire("an engine", Instant::now() + TIME);
        assert_eq!(outcomes.each_mut().map(Outcome::take_ready), [Some(Err(AWAY)), Some(Ok(()))]);
        // It was asked for, and whoever comes next waits for the same.
        let mut later = upstreams.join(&room(1), &who(2));
        upstreams.listening(&room(1));
        assert_eq!(later.take_ready(), Some(Ok(())));
        assert!(!upstreams.leave(&room(1), id(1)));
        assert_eq!(next(&upstreams), None);
        upstreams.leave(&room(1), id(2));
        assert_eq!(next(&upstreams), Some(Change::Stop(room(1))));
        // With an engine that is away nothing is left.
        let mut away = upstreams.join(&room(3), &who(1));
        upstreams.expire("an engine", Instant::now() + TIME);
        assert_eq!(away.take_ready(), Some(Err(AWAY)));
        assert_eq!((next(&upstreams), upstreams.count()), (None, 2));
    }

    #[tokio::test]
    async fn the_task_is_woken() {
        let upstreams = Arc::new(Upstreams::default());
        let waiting = {
            let upstreams = Arc::clone(&upstreams);
            tokio::spawn(async move { upstreams.change().await })
        };
        tokio::task::yield_now().await;
        drop(upstreams.join(&room(1), &who(1)));
        assert_eq!(waiting.await.unwrap(), Change::Listen(room(1)));
    }
}
