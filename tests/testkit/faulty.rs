//! A broker with one fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use stompbox::broker::{
    Broker, Capabilities, Completer, Destination, Host, MemoryBroker, Message, Operation, Outcome,
    Settle, Settlement, SlowConsumer, Subscriber, SubscriberId, Turn,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    LosesAMessage,
    DeliversTwice,
    TurnsOrderAround,
    NeverAnswers,
    KeepsSubscribers,
    ForgetsSettlements,
    TakesRejectedForDone,
    IgnoresPrefetch,
    ForgetsToResume,
    HoldsNobody,
    CommitsOnlyHalf,
    ClaimsHistory,
    TakesEveryPrefix,
}

pub(crate) struct Faulty {
    broker: MemoryBroker,
    fault: Fault,
    published: AtomicU64,
    held: parking_lot::Mutex<(Option<Message>, Vec<Completer>)>,
}

impl Faulty {
    pub(crate) fn new(fault: Fault) -> Self {
        let builder = MemoryBroker::builder().rule("/topic/**,slow=hold".parse().expect("a rule"));
        let builder = match fault {
            Fault::TakesEveryPrefix => builder.topic("/no-such-prefix"),
            _ => builder,
        };
        Self { broker: builder.build(), fault, published: AtomicU64::new(0), held: <_>::default() }
    }
}

impl Broker for Faulty {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.broker.capabilities();
        capabilities.history |= self.fault == Fault::ClaimsHistory;
        capabilities
    }

    fn attach(&self, host: Arc<dyn Host>) {
        self.broker.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
        let fiftieth = self.published.fetch_add(1, Ordering::Relaxed) % 50 == 49;
        match self.fault {
            Fault::LosesAMessage if fiftieth => Outcome::done(),
            Fault::DeliversTwice if fiftieth => {
                drop(self.broker.publish(message.clone(), turn));
                self.broker.publish(message, turn)
            }
            Fault::TurnsOrderAround if fiftieth => {
                self.held.lock().0 = Some(message);
                Outcome::done()
            }
            Fault::TurnsOrderAround => {
                let outcome = self.broker.publish(message, turn);
                if let Some(held) = self.held.lock().0.take() {
                    drop(self.broker.publish(held, turn));
                }
                outcome
            }
            Fault::NeverAnswers => {
                let (completer, outcome) = Outcome::pending();
                self.held.lock().1.push(completer);
                outcome
            }
            Fault::HoldsNobody => {
                drop(self.broker.publish(message, turn));
                Outcome::done()
            }
            _ => self.broker.publish(message, turn),
        }
    }

    fn subscribe(&self, to: &Destination, mut subscriber: Subscriber, turn: &mut Turn) -> Outcome {
        if self.fault == Fault::IgnoresPrefetch {
            subscriber.prefetch = usize::MAX;
        }
        self.broker.subscribe(to, subscriber, turn)
    }

    fn unsubscribe(&self, from: &Destination, who: SubscriberId, turn: &mut Turn) -> Outcome {
        match self.fault {
            Fault::KeepsSubscribers => Outcome::done(),
            _ => self.broker.unsubscribe(from, who, turn),
        }
    }

    fn resume(&self, from: &Destination, who: SubscriberId, turn: &mut Turn) {
        if self.fault != Fault::ForgetsToResume {
            self.broker.resume(from, who, turn);
        }
    }

    fn settle(&self, mut settle: Settle, turn: &mut Turn) -> Outcome {
        match self.fault {
            Fault::ForgetsSettlements => return Outcome::done(),
            Fault::TakesRejectedForDone => settle.settlement = Settlement::Acknowledged,
            _ => {}
        }
        self.broker.settle(settle, turn)
    }

    fn commit(&self, mut operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
        if self.fault == Fault::CommitsOnlyHalf {
            operations.truncate(operations.len() / 2);
        }
        self.broker.commit(operations, turn)
    }

    fn slow_consumer(&self, destination: &Destination) -> Arc<SlowConsumer> {
        self.broker.slow_consumer(destination)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.broker.next_deadline()
    }

    fn handle_deadline(&self, turn: &mut Turn) {
        self.broker.handle_deadline(turn);
    }
}
