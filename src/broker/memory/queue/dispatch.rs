use std::sync::Arc;
use std::time::Instant;

use crate::session::Delivery;

use super::super::super::Taken;
use super::Queue;
use super::consumers::Service;
use super::round::{Round, Share};
use super::state::State;
use super::stored::Cause;

/// The most messages that a consumer is delivered before it is the next one's turn. Where there are
/// fewer ready, each consumer that may have more gets an equal part of them.
const RUN: usize = 64;

/// About how many bytes a run has at the most. It fits one write, so that it is known of all of it
/// whether it was written, and is no more than what a connection that does not read it may keep.
const RUN_BYTES: usize = 32 * 1024;

/// How many messages one turn delivers before it hands the rest over to the host.
pub(super) const BUDGET: usize = 1_000;

/// The one who is dispatching a queue. Holds the queue's mark until nothing can be assigned, dropped
/// earlier it gives it back.
#[derive(Debug)]
pub(in crate::broker) struct Dispatch {
    queue: Arc<Queue>,
    round: Round,
    ended: bool,
}

/// What is next.
pub(super) enum Next {
    /// This round.
    Round,
    /// There is more than the budget allows.
    Rest,
    /// There is nothing, and the mark is gone; the queue is to be entered in the timetable, or may
    /// not be needed any more.
    Nothing { enter: Option<Instant>, idle: bool },
}

impl Dispatch {
    /// Becomes the one who dispatches, unless somebody is at it, who then takes along whatever there
    /// is.
    pub(super) fn begin(queue: &Arc<Queue>) -> Option<Self> {
        let round = queue.with(State::begin_dispatch)?;
        Some(Self { queue: Arc::clone(queue), round, ended: false })
    }

    /// Delivers what is ready to consumers that may have more, in turn, about `budget` messages;
    /// returns what is left.
    pub(in crate::broker) fn run(mut self, now: Instant, mut budget: usize) -> Option<Self> {
        loop {
            let next = self.queue.with(|state| state.next_round(&mut self.round, now, budget));
            match next {
                Next::Round => {
                    budget = budget.saturating_sub(self.round.len());
                    self.round.deliver(now);
                    self.queue.bury(self.round.dead.drain(..), now);
                }
                Next::Rest => return Some(self),
                Next::Nothing { enter, idle } => {
                    self.ended = true;
                    self.queue.end_dispatch(enter, idle);
                    return None;
                }
            }
        }
    }

    /// As [`run`](Self::run), with a turn's budget.
    pub(in crate::broker) fn run_for_a_turn(self, now: Instant) -> Option<Self> {
        self.run(now, BUDGET)
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        if !self.ended {
            self.queue.with(|state| {
                state.report(&mut self.round);
                state.dispatching = false;
            });
        }
    }
}

impl State {
    fn begin_dispatch(&mut self) -> Option<Round> {
        let begins = !std::mem::replace(&mut self.dispatching, true);
        begins.then(|| self.spare.take().unwrap_or_default())
    }

    /// Notes what became of the last round and makes the next. That there is nothing to do and that
    /// the mark is gone is one step: whoever adds a message later finds no dispatcher, and
    /// dispatches.
    pub(super) fn next_round(&mut self, round: &mut Round, now: Instant, budget: usize) -> Next {
        self.report(round);
        if budget == 0 && self.has_work() {
            return Next::Rest;
        }
        self.ready.end_delays(now);
        self.assign(round, now, budget);
        self.sweep(now);
        let most = budget.saturating_sub(round.len()).max(1).min(self.dead.len());
        for (stored, cause) in self.dead.drain(..most) {
            round.dead.push((stored, cause));
        }
        let bytes = round.dead.iter().map(|(stored, _)| stored.bytes).sum();
        self.forget(round.dead.len(), bytes);
        if !round.is_empty() {
            return Next::Round;
        }
        self.dispatching = false;
        self.spare = std::mem::take(round).spare();
        Next::Nothing { enter: self.next_deadline(), idle: self.is_idle() }
    }

    fn has_work(&self) -> bool {
        (self.ready.len() > 0 && self.consumers.waiting() > 0) || !self.dead.is_empty()
    }

    /// Assigns to each of the consumers in turn a run of messages.
    fn assign(&mut self, round: &mut Round, now: Instant, budget: usize) {
        while self.ready.len() > 0 && round.deliveries.len() + self.dead.len() < budget {
            let part = self.ready.len() / self.consumers.waiting().max(1);
            let Some(consumer) = self.consumers.next() else { break };
            let first = round.deliveries.len();
            let most = part.clamp(1, RUN).min(consumer.credit()).min(budget - first);
            let mut bytes = 0;
            let mut expired = Vec::new();
            while round.deliveries.len() - first < most
                && bytes < RUN_BYTES
                && let Some(mut stored) = self.ready.pop()
            {
                if stored.has_expired(now) {
                    expired.push(stored);
                    continue;
                }
                stored.attempts = stored.attempts.saturating_add(1);
                bytes += stored.bytes;
                let delivery = Delivery::new(stored.message.clone()).with_attempt(stored.attempts);
                round.deliveries.push(delivery.with_tag(consumer.unsettled.note(stored)));
            }
            let run = first..round.deliveries.len();
            let id = consumer.subscriber.id;
            if run.is_empty() {
                self.consumers.rotate(id);
            } else {
                consumer.service = Service::Served;
                round.shares.push(Share {
                    subscriber: consumer.subscriber.clone(),
                    serial: consumer.serial,
                    resumed: consumer.resumed,
                    run,
                    taken: Taken::Gone,
                });
            }
            for stored in expired {
                self.die(stored, Cause::Expired);
            }
        }
    }

    /// Notes what became of a round.
    pub(super) fn report(&mut self, round: &mut Round) {
        for share in round.shares.drain(..) {
            let run = round.deliveries.get(share.run.clone()).unwrap_or_default();
            self.report_share(&share, run);
        }
        round.deliveries.clear();
    }

    fn report_share(&mut self, share: &Share, run: &[Delivery]) {
        let id = share.subscriber.id;
        let Some(consumer) = self.consumers.served(id, share.serial) else { return };
        let left = consumer.service == Service::Left;
        consumer.service = Service::None;
        // If it was resumed since it was offered the messages, its socket has them already.
        let written = match share.taken {
            Taken::Written => true,
            Taken::Queued | Taken::Full => consumer.resumed != share.resumed,
            Taken::Gone => {
                let tags = run.iter().map(Delivery::tag);
                let unreached: Vec<_> =
                    tags.filter_map(|tag| consumer.unsettled.take(tag)).collect();
                for mut stored in unreached {
                    stored.attempts -= 1;
                    self.put_back(stored);
                }
                self.remove_consumer(id);
                return;
            }
        };
        consumer.stalled |= !written;
        if !share.subscriber.settles {
            let tags = run.iter().map(Delivery::tag);
            if written {
                // In mode `auto` a delivery settles itself once it is written.
                let (mut messages, mut bytes) = (0, 0);
                for stored in tags.filter_map(|tag| consumer.unsettled.take(tag)) {
                    messages += 1;
                    bytes += stored.bytes;
                }
                self.forget(messages, bytes);
            } else {
                consumer.unwritten.extend(tags);
            }
        }
        if left {
            self.remove_consumer(id);
        } else {
            self.consumers.rotate(id);
        }
    }
}
