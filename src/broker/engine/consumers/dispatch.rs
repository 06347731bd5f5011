use std::time::Instant;

use crate::session::Delivery;

use super::super::super::{Subscriber, SubscriberId, Taken};
use super::state::{Assigned, State, Stored};
use super::{Consumers, Settled};

/// The most messages that are assigned before any of them is delivered.
pub(super) const ASSIGNED_AT_ONCE: usize = 64;

/// About how many bytes a run has at the most: what one write holds.
pub(super) const RUN_BYTES: usize = 32 * 1024;

/// What one consumer is delivered together.
struct Run<K> {
    to: Subscriber,
    /// Each with its tag.
    messages: Vec<(u64, Stored<K>)>,
    bytes: usize,
}

impl<K: Copy> Consumers<K> {
    /// Delivers what is ready to consumers that may have more, in turn, unless somebody is at it,
    /// who then takes it along.
    pub(in super::super::super) fn dispatch(&self, now: Instant) {
        if std::mem::replace(&mut self.state.lock().dispatching, true) {
            return;
        }
        while let Some(runs) = self.assign() {
            for run in runs {
                self.deliver(run, now);
            }
        }
    }

    /// What to deliver next. That there is nothing and that the mark is gone is one step.
    fn assign(&self) -> Option<Vec<Run<K>>> {
        let state = &mut *self.state.lock();
        let runs = state.assign();
        state.dispatching = !runs.is_empty();
        state.dispatching.then_some(runs)
    }

    fn deliver(&self, mut run: Run<K>, now: Instant) {
        let Some(resumed) = self.offer(&mut run) else { return };
        let deliveries: Vec<_> =
            run.messages.iter().map(|(tag, stored)| stored.delivery(*tag)).collect();
        // It catches a panic of the outlet, so the mark of who dispatches is always taken away.
        let taken = run.to.deliver(&deliveries, now);
        let (tags, to) = (deliveries.iter().map(Delivery::tag), run.to.id);
        match taken {
            Taken::Written if run.to.settles => {}
            Taken::Written => self.settle_themselves(&mut self.state.lock(), tags, to),
            Taken::Queued | Taken::Full => self.queued(tags, &run.to, resumed),
            Taken::Gone => self.gone(tags, to),
        }
    }

    /// Notes that messages may reach their consumer from now on, those that are still its own. Returns
    /// how often the consumer was resumed before; `None` if there are none, or it is stalled and gets
    /// them later.
    fn offer(&self, run: &mut Run<K>) -> Option<u64> {
        let (state, to) = (&mut *self.state.lock(), run.to.id);
        let consumer = state.consumer(to)?;
        let (resumed, stalled) = (consumer.resumed, consumer.stalled);
        if stalled {
            state.put_back_undelivered(run.messages.iter().map(|(tag, _)| *tag), to);
            return None;
        }
        run.messages.retain(|(tag, _)| match state.unsettled.get_mut(tag) {
            Some(assigned) if assigned.to == to => {
                assigned.offered = true;
                true
            }
            _ => false,
        });
        (!run.messages.is_empty()).then_some(resumed)
    }

    /// The consumer's outlet keeps messages until the socket takes them. If it was resumed since they
    /// were offered, the socket has them already.
    fn queued(&self, tags: impl Iterator<Item = u64>, subscriber: &Subscriber, resumed: u64) {
        let state = &mut *self.state.lock();
        let Some(consumer) = state.consumer(subscriber.id) else { return };
        if consumer.resumed == resumed {
            consumer.stalled = true;
            if !subscriber.settles {
                consumer.unwritten.extend(tags);
            }
        } else if !subscriber.settles {
            self.settle_themselves(state, tags, subscriber.id);
        }
    }

    /// In mode `auto` a delivery settles itself once it is written.
    pub(super) fn settle_themselves(
        &self,
        state: &mut State<K>,
        tags: impl Iterator<Item = u64>,
        subscriber: SubscriberId,
    ) {
        let before = state.settled.len();
        for tag in tags {
            if let Some(assigned) = state.withdraw(tag, subscriber) {
                state.settled.push(Settled::Done(assigned.stored.key));
            }
        }
        if state.settled.len() > before {
            self.changed.notify_one();
        }
    }

    /// The consumer was not there any more to take these messages. It gets no other ones, and is
    /// removed when it unsubscribes.
    fn gone(&self, tags: impl Iterator<Item = u64>, subscriber: SubscriberId) {
        let state = &mut *self.state.lock();
        state.put_back_undelivered(tags, subscriber);
        if let Some(consumer) = state.consumer(subscriber) {
            consumer.stalled = true;
        }
    }
}

impl<K: Copy> State<K> {
    /// Assigns messages to the consumers with credit, in turn. What is about to be given back stays
    /// where it is.
    fn assign(&mut self) -> Vec<Run<K>> {
        let mut runs: Vec<Run<K>> = Vec::new();
        let mut assigned = 0;
        while !self.stopping
            && assigned < ASSIGNED_AT_ONCE
            && !self.ready.is_empty()
            && let Some(to) = self.next_consumer()
            && let Some((tag, stored)) = self.ready.pop_first()
        {
            assigned += 1;
            let assignment = Assigned { to: to.id, stored: stored.clone(), offered: false };
            self.unsettled.insert(tag, assignment);
            if add_to(&mut runs, to, tag, stored) >= RUN_BYTES {
                break;
            }
        }
        runs
    }

    /// Makes messages ready again that have not reached the consumer.
    fn put_back_undelivered(&mut self, tags: impl Iterator<Item = u64>, from: SubscriberId) {
        for tag in tags {
            if let Some(mut assigned) = self.withdraw(tag, from) {
                assigned.offered = false;
                self.put_back(tag, assigned);
            }
        }
    }
}

/// Returns how many bytes the run of this consumer has then.
fn add_to<K>(runs: &mut Vec<Run<K>>, to: Subscriber, tag: u64, stored: Stored<K>) -> usize {
    let bytes = stored.message.size();
    match runs.iter_mut().find(|run| run.to.id == to.id) {
        Some(run) => {
            run.bytes += bytes;
            run.messages.push((tag, stored));
            run.bytes
        }
        None => {
            runs.push(Run { to, messages: vec![(tag, stored)], bytes });
            bytes
        }
    }
}

impl<K> Stored<K> {
    fn delivery(&self, tag: u64) -> Delivery {
        Delivery::new(self.message.clone())
            .with_tag(tag)
            .with_attempt(self.attempts.saturating_add(1))
    }
}
