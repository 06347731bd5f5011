//! The task of one connection: it reads, decides, finishes what publishers could not write, and
//! keeps the time.

mod arriving;
mod authenticating;
mod ending;
mod history;
mod replies;
mod requests;
mod settling;
mod work;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::request::Parts;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::broker::{Destination, SubscriberId, Turn};
use crate::session::{Leaving, Receipt, Refusal, ServerSession, SessionError, SubscriptionKey};
use crate::websocket::{CloseCode, Reader};

use super::Principal;
use super::connections::Admission;
use super::outlet::{ConnectionOutlet, Notice};
use super::shared::Shared;
use super::socket::Socket;
use super::wire::Wire;
use super::{clock, refusals};

use arriving::Transport;
use authenticating::PendingConnect;
use ending::Ending;
use replies::ReplyQueues;
use settling::Gathered;
use work::Work;

/// How often one turn reads the socket before other connections have theirs. All that a read
/// brought is done in one turn.
const READS_PER_TURN: usize = 4;

/// One connection and everything that its task owns. What leaves is in its outlet. As a future it
/// serves the connection to its end.
pub(super) struct Connection {
    shared: Arc<Shared>,
    outlet: Arc<ConnectionOutlet>,
    wire: Wire,
    transport: Transport,
    session: ServerSession,
    /// What authentication may look at, until then.
    origin: Origin,
    connecting: Option<PendingConnect>,
    principal: Principal,
    work: Work,
    /// Where the last SEND went: the next one nearly always goes there as well.
    last_destination: Option<Destination>,
    replies: ReplyQueues,
    /// ACKs and NACKs that are not settled yet; nothing between two turns.
    gathered: Gathered,
    /// A DISCONNECT came; it is answered, with this receipt, when all work is done.
    disconnecting: bool,
    last_receipt: Option<Receipt>,
    /// The client has gone, or was told that the server goes: what it had asked for is still done.
    departed: bool,
    ending: Option<Ending>,
    /// Whether the client was asked for a sign of life.
    pinged: bool,
    sleep: Pin<Box<Sleep>>,
    /// Given back last, when the socket is closed.
    admission: Admission,
}

/// Where a connection came from.
#[derive(Default)]
pub(super) struct Origin {
    pub(super) upgrade: Option<Arc<Parts>>,
    pub(super) peer: Option<SocketAddr>,
}

/// Serves STOMP over a WebSocket to its end.
pub(super) fn serve_websocket(
    shared: &Arc<Shared>,
    socket: Socket,
    admission: Admission,
    origin: Origin,
    already_read: Vec<u8>,
) -> Connection {
    let reader = Reader::new(shared.first_message_limit(), already_read);
    Connection::new(shared, socket, admission, Transport::WebSocket(reader), origin)
}

/// Serves STOMP over TCP to its end.
pub(super) fn serve_tcp(
    shared: &Arc<Shared>,
    stream: TcpStream,
    admission: Admission,
    peer: SocketAddr,
) -> Connection {
    let origin = Origin { upgrade: None, peer: Some(peer) };
    let socket = Socket::tcp(stream);
    Connection::new(shared, socket, admission, Transport::Tcp, origin)
}

impl Connection {
    fn new(
        shared: &Arc<Shared>,
        socket: Socket,
        admission: Admission,
        transport: Transport,
        origin: Origin,
    ) -> Self {
        let (now, wire) = (clock::now(), transport.wire());
        let settings = Arc::clone(&shared.session);
        let outlet = Arc::new(ConnectionOutlet::new(socket, wire, settings, now));
        admission.register(&outlet);
        let session = ServerSession::new(Arc::clone(&shared.session), now);
        let first = session.next_deadline().unwrap_or(now);
        Self {
            shared: Arc::clone(shared),
            admission,
            outlet,
            wire,
            transport,
            session,
            origin,
            connecting: None,
            principal: Principal::anonymous(),
            work: Work::default(),
            last_destination: None,
            replies: ReplyQueues::default(),
            gathered: Gathered::default(),
            disconnecting: false,
            last_receipt: None,
            departed: false,
            ending: None,
            pinged: false,
            sleep: Box::pin(tokio::time::sleep_until(first.into())),
        }
    }

    /// Goes on with what is being done, and reads more.
    fn poll_session(&mut self, context: &mut Context<'_>, now: Instant) {
        let mut turn = Turn::new(now).with_publisher(self.admission.id());
        self.poll_authentication(context, now);
        self.poll_work(context, &mut turn);
        let mut reads = READS_PER_TURN;
        let mut stopped = false;
        let mut reads_its_answers = self.reads_its_answers();
        while self.ending.is_none() {
            if !self.may_ask() || reads == 0 {
                stopped = true;
                break;
            }
            match self.session.next_event() {
                Ok(Some(event)) => self.on_event(event, context, &mut turn),
                Ok(None) if self.departed => break,
                Ok(None) if !reads_its_answers => {
                    stopped = true;
                    break;
                }
                Ok(None) => match self.poll_arrived(context, now) {
                    // One read brings many messages, and little enough not to ask after each.
                    Poll::Ready(true) => {
                        reads -= 1;
                        reads_its_answers = self.reads_its_answers();
                    }
                    Poll::Ready(false) => {}
                    Poll::Pending => break,
                },
                Err(refusal) => {
                    let settled = self.settle_gathered(None, context, &mut turn);
                    self.refuse(&settled.err().unwrap_or(refusal), now);
                }
            }
        }
        self.transport.pause();
        if let Err(refusal) = self.settle_gathered(None, context, &mut turn) {
            self.refuse(&refusal, now);
        }
        // A transaction may have left messages for handlers.
        self.poll_handling(context, &mut turn);
        self.work.give_back();
        // What was published is delivered before a DISCONNECT behind it ends the subscriptions.
        drop(turn);
        self.finish(now);
        self.outlet.flush(now);
        self.resume_deliveries(now);
        if stopped {
            // It is not read from, so its silence says nothing.
            self.session.heard(now);
            // Nothing but this will wake the task if what it stopped for has gone meanwhile.
            if self.may_ask() && self.reads_its_answers() {
                context.waker().wake_by_ref();
            }
        }
    }

    /// Whether the client may ask for more: it is decided who it is, and not too much is being done.
    fn may_ask(&self) -> bool {
        let settings = &self.shared.settings;
        self.connecting.is_none()
            && self.work.len() < settings.pending
            && self.work.bytes() < settings.pending_bytes
    }

    /// Whether not too much of what the client was answered waits for it.
    fn reads_its_answers(&self) -> bool {
        let waiting = self.outlet.leaving(|leaving| leaving.waiting_bytes());
        waiting <= self.shared.session.waiting_bytes / 2
    }

    /// Tells the broker whose messages of queues and of history have been written, so that there is
    /// room for more, and who holds its publishers no longer.
    fn resume_deliveries(&mut self, now: Instant) {
        for (key, name) in self.outlet.resumed() {
            if let Ok(destination) = Destination::new(&name) {
                let mut turn = Turn::new(now);
                self.shared.broker.resume(&destination, self.subscriber(key), &mut turn);
            }
        }
    }

    /// The client has gone, or will be told nothing more. What it had asked for is still done: it is
    /// not the client's fault that a handler takes its time, and old clients close right behind
    /// their last message.
    fn depart(&mut self, now: Instant) {
        if !self.departed {
            self.departed = true;
            self.unsubscribe_all(now);
        }
    }

    /// Sends an ERROR and ends the connection.
    fn refuse(&mut self, refusal: &Refusal, now: Instant) {
        if self.ending.is_some() {
            return;
        }
        self.shared.counters.refused(refusal);
        self.outlet.leaving(|leaving| leaving.refuse(refusal));
        self.end(refusals::close_code(refusal), refusal.summary(), now);
    }

    /// Ends the connection because the server stops; what it had asked for is still done.
    fn restart(&mut self, now: Instant) {
        if self.wire == Wire::Tcp {
            let refusal = Refusal::new("server restart", "the server is going down; try again");
            self.outlet.leaving(|leaving| leaving.refuse(&refusal));
        }
        let last = self.wire.close(CloseCode::Restart, "server restart");
        self.outlet.leaving(|leaving| leaving.end(&last));
        self.outlet.flush(now);
        self.depart(now);
    }

    /// Once everything that was asked for is done, answers DISCONNECT, or ends with a client that
    /// has gone.
    fn finish(&mut self, now: Instant) {
        if self.work.len() > 0 || self.connecting.is_some() || self.ending.is_some() {
            return;
        }
        if self.disconnecting {
            let receipt = self.last_receipt.take();
            self.outlet.leaving(|leaving| leaving.disconnected(receipt.as_ref()));
            self.end(CloseCode::Normal, "", now);
        } else if self.departed {
            self.begin_ending(now);
        }
    }

    /// Does what is due. Pending when nothing is, and the task will be woken for what comes next.
    fn poll_deadline(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<()> {
        let Some(next) = self.next_deadline() else { return Poll::Pending };
        // A wake-up that comes too early costs less than moving it with every message.
        if next < self.sleep.deadline().into_std() || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(next.into());
        }
        if self.sleep.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.on_deadline(clock::now().max(now));
        Poll::Ready(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        if let Some(ending) = &self.ending {
            return ending.until();
        }
        if self.departed {
            return None;
        }
        let write_timeout = self.shared.settings.write_timeout;
        let blocked = self.outlet.blocked_since();
        let blocked = blocked.and_then(|since| since.checked_add(write_timeout));
        let (beat, overdue) =
            self.outlet.leaving(|leaving| (leaving.next_beat(), leaving.next_overdue()));
        [self.session.next_deadline(), beat, overdue, blocked].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, now: Instant) {
        if self.ending.is_some() || self.departed {
            return;
        }
        let limit = self.shared.settings.write_timeout;
        let blocked = self.outlet.blocked_since();
        if blocked.is_some_and(|since| now.saturating_duration_since(since) >= limit) {
            self.refuse(&SessionError::NotReading { limit }.into(), now);
            return;
        }
        if let Err(refusal) = self.outlet.leaving(|leaving| leaving.handle_overdue(now)) {
            self.refuse(&refusal, now);
            return;
        }
        if let Some(error) = self.session.handle_deadline(now) {
            self.on_silence(error, now);
        }
        self.outlet.leaving(|leaving| leaving.beat(now));
        self.outlet.flush(now);
    }

    /// A client that is only throttled, such as a background tab, still answers a Ping: its browser
    /// does.
    fn on_silence(&mut self, error: SessionError, now: Instant) {
        match self.wire.ping() {
            Some(ping) if self.session.is_connected() && !self.pinged => {
                self.pinged = true;
                self.session.grant_period(now);
                self.outlet.leaving(|leaving| leaving.raw(&ping));
            }
            _ => self.refuse(&error.into(), now),
        }
    }

    fn subscriber(&self, subscription: SubscriptionKey) -> SubscriberId {
        SubscriberId { connection: self.admission.id(), subscription }
    }

    fn unsubscribe_all(&mut self, now: Instant) {
        let mut turn = Turn::new(now);
        self.settle_rest(&mut turn);
        for (key, destination) in self.outlet.leaving(Leaving::unsubscribe_all) {
            if let Ok(destination) = Destination::new(&destination) {
                let subscriber = self.subscriber(key);
                // Nobody is left to be told.
                drop(self.shared.broker.unsubscribe(&destination, subscriber, &mut turn));
            }
        }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let now = clock::now();
            match this.outlet.notice(context) {
                Some(Notice::Cut) => return Poll::Ready(()),
                Some(Notice::Broken) => this.depart(now),
                Some(Notice::Refused(refusal)) => this.refuse(&refusal, now),
                Some(Notice::Restart) => this.restart(now),
                None => {}
            }
            let flushed = match this.outlet.poll_flush(context, now) {
                Poll::Ready(Ok(())) => true,
                Poll::Ready(Err(_)) => {
                    this.depart(now);
                    true
                }
                Poll::Pending => false,
            };
            if this.ending.is_none() {
                this.poll_session(context, now);
            }
            if this.ending.is_some() && this.poll_ending(context, flushed, now).is_ready() {
                return Poll::Ready(());
            }
            if this.poll_deadline(context, now).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outlet.leaving(|leaving| leaving.end(&[]));
        self.unsubscribe_all(clock::now());
        self.shared.counters.add(self.outlet.take_counters());
    }
}
