use std::task::Context;
use std::time::SystemTime;

use crate::broker::{
    self, BrokerError, Capability, Destination, Message, Operation, Subscriber, Turn,
};
use crate::session::{
    self, Event, Refusal, SendFrame, SessionError, SettleFrame, SubscribeFrame, SubscriptionKey,
    UnsubscribeFrame,
};

use super::work::Then;
use super::{Connection, history};

impl Connection {
    /// Does what the client asks for, or begins to.
    pub(super) fn on_event(&mut self, event: Event, context: &mut Context<'_>, turn: &mut Turn) {
        let done = match event {
            Event::Connect(connect) => {
                self.on_connect(connect, context, turn.now());
                Ok(())
            }
            Event::Send(send) => self.on_send(send, context, turn),
            Event::Subscribe(subscribe) => self.on_subscribe(&subscribe, context, turn),
            Event::Unsubscribe(unsubscribe) => self.on_unsubscribe(unsubscribe, context, turn),
            Event::Settle(settle) => self.on_settle(settle, context, turn),
            Event::Commit(commit) => self.on_commit(commit, context, turn),
            Event::Done(receipt) => {
                self.outlet.leaving(|leaving| leaving.receipt(&receipt));
                Ok(())
            }
            Event::Disconnect(receipt) => {
                self.disconnecting = true;
                self.last_receipt = receipt;
                Ok(())
            }
        };
        if let Err(refusal) = done {
            self.refuse(&refusal, turn.now());
        }
    }

    fn on_send(
        &mut self,
        send: SendFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        if self.shared.handle.handles(&send.destination) {
            self.hand_over(send, context, turn);
            return Ok(());
        }
        let receipt = send.receipt.clone();
        let message =
            self.message(&send).map_err(|refusal| refusal.with_receipt(receipt.clone()))?;
        let outcome = self.shared.broker.publish(message, turn);
        self.begin(outcome, Then::Receipt(receipt), context)
    }

    fn message(&self, send: &SendFrame) -> Result<Message, Refusal> {
        let destination = destination(&send.destination)?;
        let withheld = &self.shared.settings.withheld_headers;
        Ok(Message::from_send(destination, &send.frame, withheld))
    }

    fn on_subscribe(
        &mut self,
        subscribe: &SubscribeFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let receipt = subscribe.receipt.clone();
        let refused = |refusal: Refusal| subscribe.refused(refusal);
        let destination = destination(&subscribe.destination).map_err(refused)?;
        self.check_capabilities(subscribe).map_err(refused)?;
        let history = history::request(subscribe, SystemTime::now());
        let history = history.map_err(|error| subscribe.refused(error))?;
        let slow = self.shared.broker.slow_consumer(&destination);
        let opened = self.outlet.leaving(|leaving| {
            let key = leaving.subscribe(subscribe)?;
            leaving.set_slow_consumer(key, slow);
            Ok::<_, SessionError>(key)
        });
        let key = opened.map_err(|error| subscribe.refused(error))?;
        let subscriber = Subscriber::new(self.subscriber(key), self.outlet.clone())
            .with_settles(subscribe.ack.settles())
            .with_prefetch(subscribe.prefetch)
            .with_history(history);
        let outcome = self.shared.broker.subscribe(&destination, subscriber, turn);
        self.begin(outcome, Then::Activate(key, receipt), context)
    }

    /// Refuses what the broker cannot do: to ignore it would be to promise it.
    fn check_capabilities(&self, subscribe: &SubscribeFrame) -> Result<(), Refusal> {
        let asked = |name: &str| subscribe.frame.headers().contains(name);
        let capabilities = self.shared.broker.capabilities();
        let wanted = [
            (Capability::History, asked("history") || asked("since")),
            (Capability::Durable, subscribe.frame.header("durable").as_deref() == Some("true")),
        ];
        for (capability, asked) in wanted {
            if asked && !capabilities.supports(capability) {
                let destination = subscribe.destination.to_string();
                let error = BrokerError::Unsupported { capability, destination };
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn on_unsubscribe(
        &mut self,
        unsubscribe: UnsubscribeFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let ended = self.outlet.leaving(|leaving| {
            let key = leaving.find(&unsubscribe.target)?;
            Ok((key, leaving.unsubscribe(key)))
        });
        let ended: Result<(SubscriptionKey, Option<Box<str>>), SessionError> = ended;
        let ended = ended.map_err(|error| unsubscribe.refused(error))?;
        let (key, Some(name)) = ended else { return Ok(()) };
        let receipt = unsubscribe.receipt;
        let subscriber = self.subscriber(key);
        let outcome = self.shared.broker.unsubscribe(&destination(&name)?, subscriber, turn);
        self.begin(outcome, Then::Receipt(receipt), context)
    }

    fn on_settle(
        &mut self,
        settle: SettleFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let settled = self.settled(&settle)?;
        let outcome = match settled {
            Some(settled) => self.shared.broker.settle(settled, turn),
            None => broker::Outcome::done(),
        };
        self.begin(outcome, Then::Receipt(settle.receipt), context)
    }

    /// What an ACK or NACK means to the broker, if anything.
    fn settled(&self, settle: &SettleFrame) -> Result<Option<broker::Settle>, Refusal> {
        let settled = self.outlet.leaving(|leaving| leaving.settle(settle));
        let Some(settled) = settled.map_err(|error| settle.refused(error))? else {
            return Ok(None);
        };
        Ok(Some(broker::Settle {
            destination: destination(&settled.destination)?,
            subscriber: self.subscriber(settled.key),
            tags: settled.tags,
            settlement: settle.settlement,
        }))
    }

    /// Applies a transaction: what is for the broker in one call, and then what is for handlers.
    fn on_commit(
        &mut self,
        commit: session::CommitFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let receipt = commit.receipt;
        let refused = |refusal: Refusal| refusal.with_receipt(receipt.clone());
        let mut operations = Vec::with_capacity(commit.operations.len());
        let mut handled = Vec::new();
        for operation in commit.operations {
            match operation {
                session::HeldFrame::Send(send) if self.shared.handle.handles(&send.destination) => {
                    handled.push(*send);
                }
                session::HeldFrame::Send(send) => {
                    operations.push(Operation::Publish(self.message(&send).map_err(refused)?));
                }
                session::HeldFrame::Settle(settle) => {
                    let settled = self.settled(&settle).map_err(refused)?;
                    operations.extend(settled.map(Operation::Settle));
                }
            }
        }
        let outcome = self.shared.broker.commit(operations, turn);
        self.begin(outcome, Then::Handle(handled, receipt), context)
    }
}

fn destination(name: &str) -> Result<Destination, Refusal> {
    Ok(Destination::new(name)?)
}
