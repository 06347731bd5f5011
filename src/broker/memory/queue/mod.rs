//! One queue.

mod consumers;
mod dispatch;
mod ready;
mod round;
mod state;
mod stored;
mod terms;
mod unsettled;

use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::locks::Mutex;

use super::super::{BrokerError, Destination};
use super::queues::Queues;

pub(in crate::broker) use dispatch::Dispatch;
pub(super) use state::State;
pub(super) use stored::{Arrival, Cause, Stored};
pub(super) use terms::Terms;

/// One queue: what is ready in its order, who consumes, and what they have not settled.
///
/// The lock is never held while something is delivered: messages are assigned under it and
/// delivered after it, by one dispatcher at a time, when the turns end in which something came.
#[derive(Debug)]
pub(in crate::broker) struct Queue {
    destination: Destination,
    /// Tells it from the others in the timetable.
    number: u64,
    state: Mutex<State>,
    queues: Weak<Queues>,
}

impl Queue {
    pub(super) fn new(
        destination: Destination,
        number: u64,
        terms: Terms,
        queues: Weak<Queues>,
    ) -> Self {
        Self { destination, number, state: Mutex::new(State::new(terms)), queues }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Reserves room for a message of so many bytes, or says why there is none.
    pub(super) fn reserve(&self, bytes: usize) -> Result<(), BrokerError> {
        self.with(|state| state.reserve(&self.destination, bytes))
    }

    /// Gives reserved room back.
    pub(super) fn release(&self, bytes: usize) {
        self.with(|state| state.release(bytes));
    }

    /// Adds a message that room was reserved for.
    pub(super) fn add(&self, arrival: Arrival, now: Instant) {
        self.with(|state| state.add(arrival, now));
    }

    /// Adds a message, if there is room for it.
    pub(super) fn accept(&self, arrival: Arrival, now: Instant) -> Result<(), BrokerError> {
        self.with(|state| state.accept(&self.destination, arrival, now))
    }

    /// Whether it is the queue of this destination.
    pub(super) fn is_at(&self, destination: &Destination) -> bool {
        self.destination == *destination
    }

    /// As [`accept`](Self::accept), for who has not looked the queue up: gives the message back if
    /// the queue was dropped since.
    pub(super) fn accept_unless_dropped(
        &self,
        arrival: Arrival,
        now: Instant,
    ) -> Result<Result<(), BrokerError>, Arrival> {
        self.with(|state| {
            if state.has_ended() {
                return Err(arrival);
            }
            Ok(state.accept(&self.destination, arrival, now))
        })
    }

    /// Works on everything else.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock())
    }

    /// Delivers what is ready to consumers that may have more, unless somebody is at it, who then
    /// takes it along. What is more than a turn's budget is left to the host, if there is one.
    pub(in crate::broker) fn dispatch(self: &Arc<Self>, now: Instant) {
        let Some(dispatch) = Dispatch::begin(self) else { return };
        let queues = self.queues.upgrade();
        match queues.as_ref().and_then(|queues| queues.host()) {
            Some(host) => {
                if let Some(rest) = dispatch.run_for_a_turn(now) {
                    host.hand_over(rest.into());
                }
            }
            None => drop(dispatch.run(now, usize::MAX)),
        }
    }

    /// Sends messages that died where dead letters go.
    fn bury(&self, dead: impl Iterator<Item = (Stored, Cause)>, now: Instant) {
        let mut dead = dead.peekable();
        if dead.peek().is_none() {
            return;
        }
        if let Some(queues) = self.queues.upgrade() {
            queues.bury(&self.destination, dead, now);
        }
    }

    /// What follows on the end of a dispatch.
    fn end_dispatch(self: &Arc<Self>, enter: Option<Instant>, idle: bool) {
        if enter.is_none() && !idle {
            return;
        }
        let Some(queues) = self.queues.upgrade() else { return };
        if let Some(at) = enter {
            queues.enter(at, self);
        }
        if idle {
            queues.drop_if_idle(&self.destination);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        state.terms.total.subtract(state.share());
        if let Some((at, queues)) = state.entered.zip(self.queues.upgrade()) {
            queues.forget_deadline(at, self.number);
        }
    }
}
