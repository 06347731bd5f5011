use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::broker::{BrokerError, Outcome, Turn};
use crate::frame::Version;
use crate::session::{Receipt, Refusal, SendFrame, SubscriptionKey};

use super::super::handle::{HandleError, Handling, SendRequest};
use super::super::{Publisher, publisher, refusals};
use super::Connection;

/// What one connection has asked for and what is not done yet.
#[derive(Default)]
pub(super) struct Work {
    /// What the broker has not taken responsibility for yet.
    outcomes: VecDeque<Pending>,
    /// The message that a handler is busy with.
    handling: Option<(Handling, Option<Receipt>)>,
    /// Messages for handlers, in order.
    queue: VecDeque<SendFrame>,
    /// What the messages in `outcomes` and `queue` take.
    bytes: usize,
}

/// A call to the broker that is not done.
struct Pending {
    outcome: Outcome,
    then: Then,
    /// What it asked for takes.
    bytes: usize,
}

/// What follows when the broker has taken responsibility.
pub(super) enum Then {
    /// The receipt, if one was asked for.
    Receipt(Option<Receipt>),
    /// The subscription's receipt, and then its deliveries.
    Activate(SubscriptionKey, Option<Receipt>),
    /// Messages for handlers, and the receipt when all of them are handled.
    Handle(Vec<SendFrame>, Option<Receipt>),
}

impl Work {
    pub(super) fn len(&self) -> usize {
        self.outcomes.len() + self.queue.len() + usize::from(self.handling.is_some())
    }

    /// How many bytes the messages take that were asked to be sent and are not.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back the room of what is empty: an idle connection keeps none.
    pub(super) fn give_back(&mut self) {
        if self.outcomes.is_empty() {
            self.outcomes = VecDeque::new();
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }
}

impl Connection {
    /// Goes on with a call to the broker, of so many bytes: at once if it is done, else when it is.
    pub(super) fn begin(
        &mut self,
        mut outcome: Outcome,
        then: Then,
        bytes: usize,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        // Polled, and not merely looked at, so that it wakes the connection when it is done.
        match Pin::new(&mut outcome).poll(context) {
            Poll::Ready(result) => self.conclude(result, then),
            Poll::Pending => {
                self.work.bytes += bytes;
                self.work.outcomes.push_back(Pending { outcome, then, bytes });
                Ok(())
            }
        }
    }

    /// Gives a message to its handler, behind those that came before it.
    pub(super) fn hand_over(
        &mut self,
        send: SendFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) {
        let waits = self.work.handling.is_some() || !self.work.queue.is_empty();
        self.work.bytes += size(&send);
        self.work.queue.push_back(if waits { kept(send) } else { send });
        self.poll_handling(context, turn);
    }

    /// Finishes what is done meanwhile.
    pub(super) fn poll_work(&mut self, context: &mut Context<'_>, turn: &mut Turn) {
        for _ in 0..self.work.outcomes.len() {
            let Some(mut pending) = self.work.outcomes.pop_front() else { break };
            match Pin::new(&mut pending.outcome).poll(context) {
                Poll::Pending => self.work.outcomes.push_back(pending),
                Poll::Ready(result) => {
                    self.work.bytes -= pending.bytes;
                    if let Err(refusal) = self.conclude(result, pending.then) {
                        self.refuse(&refusal, turn.now());
                    }
                }
            }
        }
        self.poll_handling(context, turn);
    }

    /// Runs handlers, one message after the other.
    pub(super) fn poll_handling(&mut self, context: &mut Context<'_>, turn: &mut Turn) {
        loop {
            let Some((mut handling, receipt)) = self.next_handling(turn) else { return };
            // A handler that panics is one connection's failure, not the server's.
            let poll = AssertUnwindSafe(|| handling.as_mut().poll(context));
            let polled = publisher::lend(turn, || catch_unwind(poll));
            match polled {
                Ok(Poll::Pending) => {
                    self.work.handling = Some((handling, receipt));
                    return;
                }
                Ok(Poll::Ready(Ok(()))) => self.confirm(receipt.as_ref()),
                Ok(Poll::Ready(Err(error))) => self.handler_failed(&error, receipt),
                Err(_) => self.handler_failed(&panicked(), receipt),
            }
        }
    }

    fn next_handling(&mut self, turn: &mut Turn) -> Option<(Handling, Option<Receipt>)> {
        if let Some(handling) = self.work.handling.take() {
            return Some(handling);
        }
        let send = self.work.queue.pop_front()?;
        self.work.bytes -= size(&send);
        let request = SendRequest {
            destination: send.destination,
            frame: send.frame,
            principal: self.principal.clone(),
            publisher: Publisher::new(self.shared.broker.clone()),
        };
        let handle = &self.shared.handle;
        let begin = AssertUnwindSafe(|| handle.handle(request));
        let handling = publisher::lend(turn, || catch_unwind(begin));
        let handling = handling.unwrap_or_else(|_| Box::pin(std::future::ready(Err(panicked()))));
        Some((handling, send.receipt))
    }

    fn conclude(&mut self, result: Result<(), BrokerError>, then: Then) -> Result<(), Refusal> {
        let refused = |receipt: Option<Receipt>| {
            move |error: BrokerError| Refusal::from(error).with_receipt(receipt)
        };
        match then {
            Then::Receipt(receipt) => {
                result.map_err(refused(receipt.clone()))?;
                self.confirm(receipt.as_ref());
            }
            Then::Activate(key, receipt) => {
                if let Err(error) = result {
                    // The ERROR ends the session, and this subscription with all the others: so the
                    // broker is told of it, which may know it still.
                    let id = self
                        .outlet
                        .leaving(|leaving| leaving.subscription_id(key).map(str::to_owned));
                    return Err(refused(receipt)(error).with_subscription(id.as_deref()));
                }
                self.outlet.leaving(|leaving| leaving.activate(key, receipt.as_ref()));
            }
            Then::Handle(sends, receipt) => {
                result.map_err(refused(receipt.clone()))?;
                self.queue_all(sends, receipt);
            }
        }
        Ok(())
    }

    /// The receipt is the last message's; without one there is nothing to wait for.
    fn queue_all(&mut self, mut sends: Vec<SendFrame>, receipt: Option<Receipt>) {
        match sends.last_mut() {
            Some(last) => last.receipt = receipt,
            None => self.confirm(receipt.as_ref()),
        }
        self.work.bytes += sends.iter().map(size).sum::<usize>();
        self.work.queue.extend(sends);
    }

    fn confirm(&self, receipt: Option<&Receipt>) {
        if let Some(receipt) = receipt {
            self.outlet.leaving(|leaving| leaving.receipt(receipt));
        }
    }

    fn handler_failed(&mut self, error: &HandleError, receipt: Option<Receipt>) {
        let refusal = refusals::of_handler(error).with_receipt(receipt);
        self.refuse(&refusal, super::super::clock::now());
    }
}

/// A message that waits must not pin the buffer that it was read into.
fn kept(send: SendFrame) -> SendFrame {
    SendFrame { frame: send.frame.compact(), ..send }
}

fn size(send: &SendFrame) -> usize {
    send.frame.encoded_len(Version::V1_2)
}

fn panicked() -> HandleError {
    HandleError::failed("the handler of this message failed")
}
