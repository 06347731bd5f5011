use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::handshake::Rejection;

use super::outlet::{ConnectionOutlet, Notice};

/// When a client that was turned away may try again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The connections of a server: how many there may be, and whom to tell when it stops.
pub(super) struct Connections {
    limit: usize,
    state: Mutex<State>,
    /// Told when the last one has gone.
    empty: Notify,
    phase: watch::Sender<Phase>,
}

/// How far a server is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It serves.
    Open,
    /// It lets nobody in, and those inside are told to leave.
    Draining,
    /// Whoever is still inside is cut.
    Cut,
}

/// Follows how far a server is on its way to its end.
#[derive(Clone)]
pub(super) struct Phases(watch::Receiver<Phase>);

#[derive(Default)]
struct State {
    last: u64,
    /// A connection that is still in its handshake has no outlet.
    open: HashMap<u64, Option<Arc<ConnectionOutlet>>>,
}

/// A place among the connections, given back when it is dropped.
pub(super) struct Admission {
    connections: Arc<Connections>,
    id: u64,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            empty: Notify::new(),
            phase: watch::Sender::new(Phase::Open),
        }
    }

    /// Lets a connection in, or says why not.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Admission, Rejection> {
        let state = &mut *self.state.lock();
        if self.is_draining() {
            return Err(Self::draining_now());
        }
        if state.open.len() >= self.limit {
            return Err(Rejection::TooManyConnections { retry_after: RETRY_AFTER });
        }
        state.last += 1;
        state.open.insert(state.last, None);
        Ok(Admission { connections: Arc::clone(self), id: state.last })
    }

    /// What a client is told that comes while the server stops.
    pub(super) fn draining_now() -> Rejection {
        Rejection::Draining { retry_after: RETRY_AFTER }
    }

    pub(super) fn count(&self) -> usize {
        self.state.lock().open.len()
    }

    /// How far the server is on its way to its end.
    pub(super) fn phases(&self) -> Phases {
        Phases(self.phase.subscribe())
    }

    /// Whether the server is stopping or has stopped.
    pub(super) fn is_draining(&self) -> bool {
        *self.phase.borrow() > Phase::Open
    }

    /// Lets nobody in any more and tells all to leave.
    pub(super) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
        self.tell_all(|| Notice::Restart);
    }

    /// Cuts those that have not left.
    pub(super) fn cut(&self) {
        self.phase.send_replace(Phase::Cut);
        self.tell_all(|| Notice::Cut);
    }

    /// Waits until the last one has gone.
    pub(super) async fn gone(&self) {
        loop {
            let notified = self.empty.notified();
            if self.count() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Where the deliveries to each connection leave. They have locks of their own, and so are to be
    /// used outside of the lock on this.
    pub(super) fn outlets(&self) -> Vec<Arc<ConnectionOutlet>> {
        self.state.lock().open.values().flatten().cloned().collect()
    }

    fn tell_all(&self, notice: impl Fn() -> Notice) {
        for outlet in self.outlets() {
            outlet.notify(notice());
        }
    }
}

impl Phases {
    /// Waits until the server is that far.
    pub(super) async fn reach(&mut self, phase: Phase) {
        // A server that is gone altogether is as far as can be.
        drop(self.0.wait_for(|now| *now >= phase).await);
    }
}

impl Admission {
    /// The connection's number on this node.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Says how the connection can be told something.
    pub(super) fn register(&self, outlet: &Arc<ConnectionOutlet>) {
        let mut state = self.connections.state.lock();
        state.open.insert(self.id, Some(Arc::clone(outlet)));
        drop(state);
        // Whoever began to drain before this has not seen the outlet.
        if self.connections.is_draining() {
            outlet.notify(Notice::Restart);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.connections.state.lock();
        state.open.remove(&self.id);
        if state.open.is_empty() {
            self.connections.empty.notify_waiters();
        }
    }
}
