use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::BytesMut;

use crate::broker::{BrokerError, Outlet, Taken};
use crate::locks::Mutex;
use crate::session::{
    Delivery, Leaving, LeavingCounters, Refusal, SessionSettings, SubscriptionKey,
};
use crate::websocket::Opcode;

use super::socket::Socket;
use super::wire::Wire;

/// About how much is encoded for one write, in bytes. What the socket does not take of it is kept as
/// a copy, and so is bounded by this.
const WRITE: usize = 64 * 1024;

/// How much a blocked connection must take, in bytes, before its time to take something begins
/// anew: who takes a byte now and then holds what waits for it as surely as who takes nothing.
const PROGRESS: usize = 16 * 1024;

/// A scratch buffer larger than this, in bytes, is given back after use.
const KEPT_SCRATCH: usize = 256 * 1024;

thread_local! {
    /// Where deliveries are encoded before they are written: one a thread, not one a connection.
    static SCRATCH: RefCell<BytesMut> = RefCell::default();
}

/// One connection as publishers see it: the leaving half of its session and the socket, behind one
/// lock. All bytes of the connection go out under it, in the order in which they were decided.
///
/// A publisher writes to the socket itself, once and without waiting. What the socket does not take
/// is kept, the connection is *blocked*, and its owner (the connection's task) is woken to finish
/// it; until it has, nobody else writes. Only the owner ends being blocked.
pub(super) struct ConnectionOutlet {
    socket: Socket,
    state: Mutex<State>,
}

struct State {
    leaving: Leaving<Wire>,
    /// Something waits that the socket did not take.
    blocked: bool,
    /// When the socket was blocked, or last made some progress while it was.
    blocked_since: Instant,
    /// How much it has taken since then.
    progress: usize,
    /// Subscriptions for which something waits that the broker must be told of when it is written.
    stalled: Vec<SubscriptionKey>,
    /// Subscriptions that hold their publishers, which the broker must be told of when they do no
    /// longer.
    full: Vec<SubscriptionKey>,
    /// How often a write of a publisher was not taken whole.
    failed_writes: u64,
    /// Wakes the connection's task.
    owner: Waker,
    /// What the connection's task has to know.
    notice: Option<Notice>,
}

/// What was counted on one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutletCounters {
    pub(super) leaving: LeavingCounters,
    /// How often a write of a publisher was not taken whole.
    pub(super) failed_writes: u64,
}

/// Something that the connection's task must deal with.
#[derive(Debug)]
pub(super) enum Notice {
    /// The socket failed: nobody is there any more.
    Broken,
    /// The connection must end now, whatever it is doing.
    Cut,
    /// The connection is to be refused, with this.
    Refused(Box<Refusal>),
    /// The server is going down.
    Restart,
}

impl ConnectionOutlet {
    pub(super) fn new(
        socket: Socket,
        wire: Wire,
        settings: Arc<SessionSettings>,
        now: Instant,
    ) -> Self {
        let state = State {
            leaving: Leaving::new(wire, settings, now),
            blocked: false,
            blocked_since: now,
            progress: 0,
            stalled: Vec::new(),
            full: Vec::new(),
            failed_writes: 0,
            owner: Waker::noop().clone(),
            notice: None,
        };
        Self { socket, state: Mutex::new(state) }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Works on the leaving half. What it is given to say is sent by [`flush`](Self::flush).
    pub(super) fn leaving<T>(&self, work: impl FnOnce(&mut Leaving<Wire>) -> T) -> T {
        work(&mut self.state.lock().leaving)
    }

    /// Takes a frame that the transport itself answers with, a Pong or a Close. A Close is the last
    /// word: this is where it is seen, so that nothing comes between it and the end.
    pub(super) fn answer(&self, frame: &[u8]) {
        let is_close = frame.first().is_some_and(|first| first & 0x0F == Opcode::Close as u8);
        self.leaving(|leaving| if is_close { leaving.end(frame) } else { leaving.raw(frame) });
    }

    /// Writes what waits, unless the connection is blocked.
    pub(super) fn flush(&self, now: Instant) {
        self.state.lock().flush(&self.socket, now);
    }

    /// Tells the connection's task something. What ends the connection sooner counts.
    pub(super) fn notify(&self, notice: Notice) {
        self.state.lock().notify(notice);
    }

    /// What the connection's task was told. Registers it to be woken for more.
    pub(super) fn notice(&self, context: &mut Context<'_>) -> Option<Notice> {
        let state = &mut *self.state.lock();
        state.owner.clone_from(context.waker());
        state.notice.take()
    }

    /// The subscriptions that the broker must be told of, with their destinations: those to queues or
    /// to history for which nothing waits any more, and those that hold their publishers no longer.
    /// The owner asks after each time that it has worked on the connection.
    pub(super) fn resumed(&self) -> Vec<(SubscriptionKey, Box<str>)> {
        let state = &mut *self.state.lock();
        if state.stalled.is_empty() && state.full.is_empty() {
            return Vec::new();
        }
        let leaving = &mut state.leaving;
        let mut resumed: Vec<_> = state.full.extract_if(.., |key| !leaving.is_full(*key)).collect();
        if !state.blocked {
            state.stalled.retain(|key| leaving.is_live(*key));
            let active = |key: &mut SubscriptionKey| leaving.active_destination(*key).is_some();
            resumed.extend(state.stalled.extract_if(.., active));
        }
        let destination = |key| Some((key, state.leaving.destination(key)?.into()));
        resumed.into_iter().filter_map(destination).collect()
    }

    /// What was counted since this was last asked.
    pub(super) fn take_counters(&self) -> OutletCounters {
        let state = &mut *self.state.lock();
        let failed_writes = std::mem::take(&mut state.failed_writes);
        OutletCounters { leaving: state.leaving.take_counters(), failed_writes }
    }

    /// Since when the socket has taken nothing worth mentioning of what waits.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.blocked.then_some(state.blocked_since)
    }

    /// Finishes what publishers could not write. Ready when nothing waits. The owner only.
    pub(super) fn poll_flush(
        &self,
        context: &mut Context<'_>,
        now: Instant,
    ) -> Poll<io::Result<()>> {
        let state = &mut *self.state.lock();
        while state.blocked {
            // Asking arms the wake-up, before anything is taken and before being blocked can end.
            ready!(self.socket.poll_writable(context))?;
            let took = with_scratch(|scratch| {
                // What was left over goes alone: a socket that takes none of it gives no reason to
                // encode more, which no policy could drop.
                let most = match state.leaving.encoded_bytes() {
                    0 => WRITE,
                    left_over => left_over.min(WRITE),
                };
                state.leaving.take(scratch, most, now);
                let took = write_some(&self.socket, context, scratch)?;
                state.leaving.put_back(scratch.get(took..).unwrap_or_default());
                io::Result::Ok(took)
            })?;
            state.blocked = state.leaving.is_waiting();
            state.progress += took;
            if state.progress >= PROGRESS {
                state.progress = 0;
                state.blocked_since = now;
            }
            if took == 0 && state.blocked && matches!(self.socket, Socket::Stream(_)) {
                // A generic stream that takes nothing has registered the owner.
                return Poll::Pending;
            }
        }
        self.socket.poll_flush(context)
    }
}

impl Outlet for ConnectionOutlet {
    fn deliver(&self, to: SubscriptionKey, deliveries: &[Delivery], now: Instant) -> Taken {
        let state = &mut *self.state.lock();
        let taken = if state.blocked || state.leaving.holds(to, deliveries.len()) {
            let taken = state.keep(to, deliveries, now);
            // Those that are not held back go at once.
            state.flush(&self.socket, now);
            taken
        } else {
            state.write_deliveries(&self.socket, to, deliveries, now)
        };
        if matches!(taken, Taken::Queued | Taken::Full) {
            if deliveries.first().is_some_and(is_pulled) {
                note(&mut state.stalled, to);
            }
            if taken == Taken::Full {
                note(&mut state.full, to);
            }
        }
        taken
    }

    fn refuse(&self, subscription: SubscriptionKey, error: &BrokerError) {
        let state = &mut *self.state.lock();
        if state.leaving.is_live(subscription) {
            let id = state.leaving.subscription_id(subscription);
            let refusal = Refusal::from(error.clone()).with_subscription(id);
            state.notify(Notice::Refused(Box::new(refusal)));
        }
    }
}

impl State {
    /// Writes what waits, unless the connection is blocked.
    fn flush(&mut self, socket: &Socket, now: Instant) {
        while !self.blocked && self.leaving.is_waiting() {
            let taken = with_scratch(|scratch| {
                self.leaving.take(scratch, WRITE, now);
                self.write(socket, scratch, now)
            });
            if taken != Taken::Written {
                return;
            }
        }
    }

    /// Writes deliveries, and what waits before them, for as long as the socket takes all of it;
    /// the rest is kept for later.
    fn write_deliveries(
        &mut self,
        socket: &Socket,
        to: SubscriptionKey,
        mut deliveries: &[Delivery],
        now: Instant,
    ) -> Taken {
        with_scratch(|scratch| {
            let mut reached = false;
            while !deliveries.is_empty() {
                scratch.clear();
                let encoded = self.leaving.deliver_into(to, deliveries, scratch, WRITE, now);
                if scratch.is_empty() {
                    return Taken::Gone;
                }
                deliveries = deliveries.get(encoded..).unwrap_or_default();
                match self.write(socket, scratch, now) {
                    Taken::Written => reached = true,
                    Taken::Queued if !deliveries.is_empty() => {
                        return self.keep(to, deliveries, now);
                    }
                    // Some of them may have arrived. Its owner ends the subscription.
                    Taken::Gone if reached => return Taken::Queued,
                    taken => return taken,
                }
            }
            Taken::Written
        })
    }

    /// Keeps deliveries for later. What is done where they are too many is their subscription's
    /// policy; it may end the connection.
    fn keep(&mut self, to: SubscriptionKey, deliveries: &[Delivery], now: Instant) -> Taken {
        let before = self.leaving.next_overdue();
        let kept = self.leaving.deliver(to, deliveries, now);
        // The owner knows the deadline from before, if there was one.
        let overdue = self.leaving.next_overdue();
        if overdue.is_some_and(|due| before.is_none_or(|before| due < before)) {
            self.owner.wake_by_ref();
        }
        match kept {
            Ok(true) if self.leaving.is_full(to) => Taken::Full,
            Ok(true) => Taken::Queued,
            Ok(false) => Taken::Gone,
            Err(slow) => {
                let id = self.leaving.subscription_id(to);
                let refusal = Refusal::from(slow).with_subscription(id);
                self.notify(Notice::Refused(Box::new(refusal)));
                Taken::Gone
            }
        }
    }

    /// Tries one write. What the socket does not take is put back, and the connection is blocked
    /// until its owner, who is woken, has written it.
    fn write(&mut self, socket: &Socket, bytes: &[u8], now: Instant) -> Taken {
        if bytes.is_empty() {
            return Taken::Written;
        }
        match write_some(socket, &mut Context::from_waker(&self.owner), bytes) {
            Ok(took) if took == bytes.len() => Taken::Written,
            Ok(took) => {
                self.leaving.put_back(bytes.get(took..).unwrap_or_default());
                self.blocked = true;
                self.failed_writes += 1;
                self.blocked_since = now;
                self.progress = 0;
                self.owner.wake_by_ref();
                Taken::Queued
            }
            Err(_) => {
                self.leaving.end(&[]);
                self.notify(Notice::Broken);
                Taken::Gone
            }
        }
    }

    fn notify(&mut self, notice: Notice) {
        if self.notice.is_none() || matches!(notice, Notice::Cut) {
            self.notice = Some(notice);
            self.owner.wake_by_ref();
        }
    }
}

/// Whether the broker has more where this came from, and waits to be told that it was written:
/// messages of queues, which alone have tags, and of history.
fn is_pulled(delivery: &Delivery) -> bool {
    delivery.tag() != 0 || delivery.is_retained()
}

fn note(keys: &mut Vec<SubscriptionKey>, key: SubscriptionKey) {
    if !keys.contains(&key) {
        keys.push(key);
    }
}

/// Writes what the socket takes at once, which may be nothing.
fn write_some(socket: &Socket, context: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
    match socket.try_write(context, bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// Lends the thread's scratch buffer, empty.
fn with_scratch<T>(work: impl FnOnce(&mut BytesMut) -> T) -> T {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => {
            let result = work(&mut scratch);
            scratch.clear();
            if scratch.capacity() > KEPT_SCRATCH {
                *scratch = BytesMut::new();
            }
            result
        }
        // Whoever encodes while somebody on this thread encodes gets a buffer of its own.
        Err(_) => work(&mut BytesMut::new()),
    })
}

#[cfg(test)]
mod tests;
