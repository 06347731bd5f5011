use parking_lot::Mutex;

use crate::session::{Limit, Refusal, SessionError};

use super::outlet::OutletCounters;

/// What a server has counted, over all its connections: see [`Server::counters`].
///
/// [`Server::counters`]: super::Server::counters
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServerCounters {
    /// MESSAGE frames encoded.
    pub messages: u64,
    /// Headers left out of them because the client's version of STOMP cannot represent them.
    pub headers_left_out: u64,
    /// ACKs and NACKs of what was settled before.
    pub settled_before: u64,
    /// How often delivery to a subscription paused, since its connection had as much unsettled as it
    /// may.
    pub pauses: u64,
    /// Deliveries dropped to make room for later ones, or because they had waited too long
    /// ([`SlowConsumerAction::DropOldest`](crate::session::SlowConsumerAction::DropOldest)).
    pub dropped_oldest: u64,
    /// Deliveries dropped because there was no room for them
    /// ([`SlowConsumerAction::DropNewest`](crate::session::SlowConsumerAction::DropNewest)).
    pub dropped_newest: u64,
    /// Deliveries dropped for a later one with the same key
    /// ([`SlowConsumerAction::KeepLatest`](crate::session::SlowConsumerAction::KeepLatest)).
    pub superseded: u64,
    /// How often a subscription began to hold its publishers
    /// ([`SlowConsumerAction::HoldPublisher`](crate::session::SlowConsumerAction::HoldPublisher)).
    pub holds: u64,
    /// How often a publisher's write to a socket was not taken whole. What is left of it, and what
    /// comes after it, is written by the connection's own task: a client that has stopped reading
    /// costs one.
    pub failed_writes: u64,
    /// Connections ended by an ERROR, whatever for.
    pub errors: u64,
    /// By the place of the limit in [`Limit::ALL`].
    limits: [u64; Limit::ALL.len()],
}

impl ServerCounters {
    /// How many connections were ended because they exceeded this limit.
    pub fn exceeded(&self, limit: Limit) -> u64 {
        let place = Limit::ALL.iter().position(|other| *other == limit);
        place.and_then(|place| self.limits.get(place)).copied().unwrap_or_default()
    }
}

/// The counters of a running server.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<ServerCounters>);

impl Counters {
    /// Counts a connection that is ended by an ERROR.
    pub(super) fn refused(&self, refusal: &Refusal) {
        self.0.lock().errors += 1;
        if let Some(limit) = refusal.error().and_then(SessionError::limit) {
            self.reached(limit);
        }
    }

    pub(super) fn reached(&self, limit: Limit) {
        let place = Limit::ALL.iter().position(|other| *other == limit);
        let totals = &mut *self.0.lock();
        if let Some(count) = place.and_then(|place| totals.limits.get_mut(place)) {
            *count += 1;
        }
    }

    /// Adds what one connection has counted.
    pub(super) fn add(&self, counted: OutletCounters) {
        let totals = &mut *self.0.lock();
        totals.messages += counted.leaving.messages;
        totals.headers_left_out += counted.leaving.headers_left_out;
        totals.settled_before += counted.leaving.settled_before;
        totals.pauses += counted.leaving.pauses;
        totals.dropped_oldest += counted.leaving.dropped_oldest;
        totals.dropped_newest += counted.leaving.dropped_newest;
        totals.superseded += counted.leaving.superseded;
        totals.holds += counted.leaving.holds;
        totals.failed_writes += counted.failed_writes;
    }

    pub(super) fn totals(&self) -> ServerCounters {
        *self.0.lock()
    }
}
