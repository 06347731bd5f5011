//! The server's end of a simulated connection: both halves of its session, and a broker.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use stompbox::broker::{
    self, Broker, Destination, MemoryBroker, Message, Outlet, Subscriber, SubscriberId, Taken, Turn,
};
use stompbox::session::{
    Bare, Delivery, Event, HeldFrame, Leaving, Receipt, Refusal, SendFrame, ServerSession,
    SessionSettings, SettleFrame, SubscribeFrame, SubscriptionKey,
};

use super::wire::Wire;

/// The server's end of one connection.
pub(crate) struct Node {
    pub(crate) broker: Arc<MemoryBroker>,
    pub(crate) session: ServerSession,
    outlet: Arc<ToWire>,
    connection: u64,
    /// What ended the session.
    pub(crate) refusal: Option<Refusal>,
    gone: bool,
}

/// Where deliveries leave.
struct ToWire {
    leaving: Mutex<Leaving<Bare>>,
    /// Subscriptions whose queue waits to be told that all was written.
    stalled: Mutex<Vec<SubscriptionKey>>,
}

impl Outlet for ToWire {
    fn deliver(&self, to: SubscriptionKey, deliveries: &[Delivery], now: Instant) -> Taken {
        if !self.leaving.lock().deliver(to, deliveries, now).expect("there is room") {
            return Taken::Gone;
        }
        self.stalled.lock().push(to);
        Taken::Queued
    }
}

impl Node {
    pub(crate) fn new(
        broker: &Arc<MemoryBroker>,
        connection: u64,
        settings: &Arc<SessionSettings>,
        now: Instant,
    ) -> Self {
        let leaving = Leaving::new(Bare, Arc::clone(settings), now);
        Self {
            broker: Arc::clone(broker),
            session: ServerSession::new(Arc::clone(settings), now),
            outlet: Arc::new(ToWire { leaving: Mutex::new(leaving), stalled: Mutex::default() }),
            connection,
            refusal: None,
            gone: false,
        }
    }

    pub(crate) fn leaving(&self) -> MutexGuard<'_, Leaving<Bare>> {
        self.outlet.leaving.lock()
    }

    /// Takes what was read and does what it asks for.
    pub(crate) fn receive(&mut self, bytes: Bytes, now: Instant) {
        self.session.receive(bytes, now);
        let mut turn = Turn::new(now);
        loop {
            let done = match self.session.next_event() {
                Ok(Some(event)) => self.does(event, &mut turn),
                Ok(None) => break,
                Err(refusal) => Err(refusal),
            };
            if let Err(refusal) = done {
                self.refuse(refusal);
            }
        }
    }

    /// Writes what the wire takes. Returns whether it took anything.
    pub(crate) fn write(&mut self, wire: &mut Wire, now: Instant) -> bool {
        let mut leaving = self.leaving();
        let mut out = BytesMut::new();
        leaving.take(&mut out, super::TAKEN_AT_ONCE, now);
        let taken = wire.write(&out, now);
        leaving.put_back(&out[taken..]);
        let written = !leaving.is_waiting();
        drop(leaving);
        if written {
            self.resume_queues(now);
        }
        taken > 0
    }

    /// Tells queues that their messages have been written, and that there is room for more.
    fn resume_queues(&self, now: Instant) {
        let stalled = std::mem::take(&mut *self.outlet.stalled.lock());
        for key in stalled {
            let destination = self.leaving().active_destination(key).map(str::to_owned);
            if let Some(destination) = destination {
                let destination = destination.parse().expect("it was subscribed to");
                let mut turn = Turn::new(now);
                self.broker.resume(&destination, self.subscriber(key), &mut turn);
            }
        }
    }

    /// Whether the server's last word was said and written.
    pub(crate) fn is_done(&self) -> bool {
        let leaving = self.leaving();
        self.gone || (leaving.is_over() && !leaving.is_waiting())
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [self.session.next_deadline(), self.leaving().next_beat()];
        deadlines.into_iter().flatten().min().filter(|_| !self.gone)
    }

    pub(crate) fn handle_deadline(&mut self, now: Instant) {
        if let Some(error) = self.session.handle_deadline(now) {
            self.refuse(error.into());
        }
        self.leaving().beat(now);
    }

    /// The connection is gone: everything that it held goes back.
    pub(crate) fn goes(&mut self, now: Instant) {
        self.gone = true;
        self.session.end();
        let mut turn = Turn::new(now);
        let ended = self.leaving().unsubscribe_all();
        for (key, destination) in ended {
            let destination = destination.parse().expect("it was subscribed to");
            drop(self.broker.unsubscribe(&destination, self.subscriber(key), &mut turn));
        }
        self.leaving().end(b"");
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.session.end();
        self.leaving().refuse(&refusal);
        self.refusal = Some(refusal);
    }

    fn does(&mut self, event: Event, turn: &mut Turn) -> Result<(), Refusal> {
        let receipt = match event {
            Event::Connect(connect) => {
                let connected = self.session.accept(&connect, turn.now());
                self.leaving().connected(&connected, "s", None);
                None
            }
            Event::Send(send) => {
                outcome(self.broker.publish(message(&send)?, turn), send.receipt.as_ref())?;
                send.receipt
            }
            Event::Subscribe(subscribe) => return self.subscribes(&subscribe, turn),
            Event::Unsubscribe(unsubscribe) => {
                let found = self.leaving().find(&unsubscribe.target);
                let key = found.map_err(|error| unsubscribe.refused(error))?;
                let ended = self.leaving().unsubscribe(key).expect("it was found");
                let destination = destination(&ended)?;
                let subscriber = self.subscriber(key);
                outcome(self.broker.unsubscribe(&destination, subscriber, turn), None)?;
                unsubscribe.receipt
            }
            Event::Settle(settle) => {
                if let Some(settled) = self.settled(&settle)? {
                    outcome(self.broker.settle(settled, turn), settle.receipt.as_ref())?;
                }
                settle.receipt
            }
            Event::Commit(commit) => {
                let operations: Result<Vec<_>, Refusal> = commit
                    .operations
                    .into_iter()
                    .filter_map(|operation| self.operation(operation).transpose())
                    .collect();
                outcome(self.broker.commit(operations?, turn), commit.receipt.as_ref())?;
                commit.receipt
            }
            Event::Done(receipt) => Some(receipt),
            Event::Disconnect(receipt) => {
                self.leaving().disconnected(receipt.as_ref());
                None
            }
            other => panic!("{other:?}"),
        };
        if let Some(receipt) = receipt {
            self.leaving().receipt(&receipt);
        }
        Ok(())
    }

    fn subscribes(&mut self, subscribe: &SubscribeFrame, turn: &mut Turn) -> Result<(), Refusal> {
        let receipt = subscribe.receipt.as_ref();
        let destination = destination(&subscribe.destination);
        let destination = destination.map_err(|refusal| subscribe.refused(refusal))?;
        let opened = self.leaving().subscribe(subscribe);
        let key = opened.map_err(|error| subscribe.refused(error))?;
        let subscriber = Subscriber::new(self.subscriber(key), self.outlet.clone())
            .with_settles(subscribe.ack.settles())
            .with_prefetch(subscribe.prefetch);
        let outcome = outcome(self.broker.subscribe(&destination, subscriber, turn), receipt);
        outcome.map_err(|refusal| subscribe.refused(refusal))?;
        self.leaving().activate(key, receipt);
        Ok(())
    }

    fn operation(&self, operation: HeldFrame) -> Result<Option<broker::Operation>, Refusal> {
        Ok(match operation {
            HeldFrame::Send(send) => Some(broker::Operation::Publish(message(&send)?)),
            HeldFrame::Settle(settle) => self.settled(&settle)?.map(broker::Operation::Settle),
            other => panic!("{other:?}"),
        })
    }

    fn settled(&self, settle: &SettleFrame) -> Result<Option<broker::Settle>, Refusal> {
        let settled = self.leaving().settle(settle);
        let settled = settled.map_err(|error| settle.refused(error))?;
        let Some(settled) = settled else { return Ok(None) };
        Ok(Some(broker::Settle {
            destination: destination(&settled.destination)?,
            subscriber: self.subscriber(settled.key),
            tags: settled.tags,
            settlement: settle.settlement,
        }))
    }

    fn subscriber(&self, subscription: SubscriptionKey) -> SubscriberId {
        SubscriberId { connection: self.connection, subscription }
    }
}

fn outcome(mut outcome: broker::Outcome, receipt: Option<&Receipt>) -> Result<(), Refusal> {
    let result = outcome.take_ready().expect("this broker is always ready");
    let refused = |error: broker::BrokerError| Refusal::new("refused", error.to_string());
    result.map_err(|error| refused(error).with_receipt(receipt.cloned()))
}

fn message(send: &SendFrame) -> Result<Message, Refusal> {
    Ok(Message::from_send(destination(&send.destination)?, &send.frame, &[]))
}

fn destination(name: &str) -> Result<Destination, Refusal> {
    Destination::new(name).map_err(|error| Refusal::new("invalid destination", error.to_string()))
}
