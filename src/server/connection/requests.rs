use std::task::Context;
use std::time::SystemTime;

use crate::broker::{
    self, BrokerError, Capability, Destination, Message, Operation, Subscriber,
    TransactionGuarantee, Turn,
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
            // Everything else comes after the ACKs before it.
            Event::Settle(settle) => self.on_settle(settle, context, turn),
            event => self
                .settle_gathered(None, context, turn)
                .and_then(|()| self.on_other_event(event, context, turn)),
        };
        if let Err(refusal) = done {
            self.refuse(&refusal, turn.now());
        }
    }

    fn on_other_event(
        &mut self,
        event: Event,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        match event {
            Event::Connect(connect) => {
                self.on_connect(connect, context, turn.now());
                Ok(())
            }
            Event::Send(send) => self.on_send(send, context, turn),
            Event::Subscribe(subscribe) => self.on_subscribe(subscribe, context, turn),
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
        }
    }

    fn on_send(
        &mut self,
        mut send: SendFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let receipt = send.receipt.clone();
        let refused = |refusal: Refusal| refusal.with_receipt(receipt.clone());
        self.name_replies(&mut send, context, turn).map_err(refused)?;
        if self.shared.handle.handles(&send.destination) {
            self.hand_over(send, context, turn);
            return Ok(());
        }
        let message = self.message(&send).map_err(refused)?;
        let bytes = message.shared().size();
        let outcome = self.shared.broker.publish(message, turn);
        self.begin(outcome, Then::Receipt(receipt), bytes, context)
    }

    fn message(&mut self, send: &SendFrame) -> Result<Message, Refusal> {
        let destination = match &self.last_destination {
            Some(last) if last.as_str() == &*send.destination => last.clone(),
            _ => self.last_destination.insert(destination(&send.destination)?).clone(),
        };
        let withheld = &self.shared.settings.withheld_headers;
        Ok(Message::from_send(destination, &send.frame, withheld))
    }

    fn on_subscribe(
        &mut self,
        mut subscribe: SubscribeFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let named = self.name_subscribed(&mut subscribe.destination);
        let subscribe = &subscribe;
        let receipt = subscribe.receipt.clone();
        let refused = |refusal: Refusal| subscribe.refused(refusal);
        named.map_err(refused)?;
        let destination = destination(&subscribe.destination).map_err(refused)?;
        let durable = subscribe.frame.header("durable").as_deref() == Some("true");
        self.check_capabilities(subscribe, durable).map_err(refused)?;
        let history = history::request(subscribe, SystemTime::now());
        let history = history.map_err(|error| subscribe.refused(error))?;
        let key = self.open(subscribe, &destination).map_err(|error| subscribe.refused(error))?;
        let subscriber = Subscriber::new(self.subscriber(key), self.outlet.clone())
            .with_settles(subscribe.ack.settles())
            .with_prefetch(subscribe.prefetch.map(|it| it.min(self.shared.session.unsettled)))
            .with_history(history)
            .with_durable(durable);
        let outcome = self.shared.broker.subscribe(&destination, subscriber, turn);
        self.end_automatic(&subscribe.destination, key, turn);
        self.begin(outcome, Then::Activate(key, receipt), 0, context)
    }

    /// Opens a subscription, with what is done about its client if that is slow.
    pub(super) fn open(
        &self,
        subscribe: &SubscribeFrame,
        destination: &Destination,
    ) -> Result<SubscriptionKey, SessionError> {
        let slow = self.shared.broker.slow_consumer(destination);
        self.outlet.leaving(|leaving| {
            let key = leaving.subscribe(subscribe)?;
            leaving.set_slow_consumer(key, slow);
            Ok(key)
        })
    }

    /// Refuses what the broker cannot do: to ignore it would be to promise it.
    fn check_capabilities(&self, subscribe: &SubscribeFrame, durable: bool) -> Result<(), Refusal> {
        let asked = |name: &str| subscribe.frame.headers().contains(name);
        let capabilities = self.shared.broker.capabilities();
        let wanted = [
            (Capability::History, asked("history") || asked("since")),
            (Capability::Durable, durable),
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
        mut unsubscribe: UnsubscribeFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let named = self.name_unsubscribed(&mut unsubscribe.target);
        named.map_err(|refusal| unsubscribe.refused(refusal))?;
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
        self.begin(outcome, Then::Receipt(receipt), 0, context)
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
        self.check_transactions().map_err(refused)?;
        let mut operations = Vec::with_capacity(commit.operations.len());
        let mut handled = Vec::new();
        for mut operation in commit.operations {
            if let session::HeldFrame::Send(send) = &mut operation {
                self.name_replies(send, context, turn).map_err(refused)?;
            }
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
        let bytes = operations.iter().map(size).sum();
        let outcome = self.shared.broker.commit(operations, turn);
        self.begin(outcome, Then::Handle(handled, receipt), bytes, context)
    }

    /// Refuses a COMMIT that would not hold as far as this server promises.
    fn check_transactions(&self) -> Result<(), Refusal> {
        let detail = match self.shared.broker.capabilities().transactions {
            TransactionGuarantee::None => "this broker does not support transactions",
            guarantee if guarantee < self.shared.settings.transactions => {
                "this server takes only transactions that are done as a whole or not at all, and its \
                 broker may do a part of one"
            }
            _ => return Ok(()),
        };
        Err(Refusal::new("not supported", detail))
    }
}

fn destination(name: &str) -> Result<Destination, Refusal> {
    Ok(Destination::new(name)?)
}

/// What an operation takes in memory until it is done.
fn size(operation: &Operation) -> usize {
    match operation {
        Operation::Publish(message) => message.shared().size(),
        Operation::Settle(settle) => size_of_val(&*settle.tags),
    }
}
