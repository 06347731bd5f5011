use std::time::Instant;

use crate::frame::{Command, HeaderName, Version};

use super::super::{AckMode, Envelope, MessageName, PayloadKind};
use super::outgoing::{RESERVED_OF_SEND, RESERVED_OF_SUBSCRIBE};
use super::{
    ClientSession, Confirm, Misuse, NewMessage, NewSubscription, Request, Stage, Subscribed,
    Unsettled, encode, reserved,
};

/// The headers of one request.
type Lines<'a> = Vec<(&'a str, &'a str)>;

impl<E: Envelope> ClientSession<E> {
    /// SEND: a message to a destination, at once or as a part of a transaction.
    pub fn send(&mut self, message: &NewMessage<'_>, confirm: Confirm) -> Result<Request, Misuse> {
        for (name, _) in &message.headers {
            reserved(Command::Send, name, &RESERVED_OF_SEND)?;
        }
        let mut headers = vec![("destination", message.destination)];
        headers.extend(self.transaction_header(message.transaction)?);
        headers.extend(&message.headers);
        self.ask(Command::Send, headers, message.body, confirm)
    }

    /// SUBSCRIBE: the messages of a destination. An id that has ended may be used again once its
    /// UNSUBSCRIBE is confirmed; before that, what is on its way to the old subscription is taken
    /// for the new one's.
    pub fn subscribe(
        &mut self,
        subscription: &NewSubscription<'_>,
        confirm: Confirm,
    ) -> Result<Request, Misuse> {
        let NewSubscription { id, destination, ack, headers } = subscription;
        if *ack == AckMode::ClientIndividual {
            self.since_1_1("ack:client-individual")?;
        }
        for (name, _) in headers {
            reserved(Command::Subscribe, name, &RESERVED_OF_SUBSCRIBE)?;
        }
        if self.subscriptions.contains_key(*id) {
            return Err(Misuse::DuplicateSubscription { id: (*id).to_owned() });
        }
        let mut lines = vec![("id", *id), ("destination", destination), ("ack", ack.as_str())];
        lines.extend(headers);
        let request = self.ask(Command::Subscribe, lines, b"", confirm)?;
        let subscribed = Subscribed { destination: (*destination).into(), ack: *ack };
        self.subscriptions.insert((*id).into(), subscribed);
        Ok(request)
    }

    /// UNSUBSCRIBE: ends a subscription. What the server has sent before it learns of that is
    /// [stray](super::ClientEvent::Stray).
    pub fn unsubscribe(&mut self, id: &str, confirm: Confirm) -> Result<Request, Misuse> {
        self.subscribed(id)?;
        let request = self.ask(Command::Unsubscribe, vec![("id", id)], b"", confirm)?;
        self.subscriptions.remove(id);
        Ok(request)
    }

    /// ACK: a delivery was consumed, and in mode `client` all before it on the same subscription
    /// too; at once, or when this transaction is committed. What was settled before must not be
    /// settled again: to a strict server that is an error.
    pub fn ack(
        &mut self,
        delivery: &Unsettled,
        transaction: Option<&str>,
        confirm: Confirm,
    ) -> Result<Request, Misuse> {
        self.settle(Command::Ack, delivery, transaction, confirm)
    }

    /// NACK: as [`ack`](Self::ack), for what was not consumed. STOMP 1.0 does not have it.
    pub fn nack(
        &mut self,
        delivery: &Unsettled,
        transaction: Option<&str>,
        confirm: Confirm,
    ) -> Result<Request, Misuse> {
        self.since_1_1("NACK")?;
        self.settle(Command::Nack, delivery, transaction, confirm)
    }

    /// BEGIN: opens a transaction, whose `id` is the caller's choice.
    pub fn begin(&mut self, id: &str, confirm: Confirm) -> Result<Request, Misuse> {
        if self.transactions.contains(id) {
            return Err(Misuse::TransactionOpen { id: id.to_owned() });
        }
        let request = self.ask(Command::Begin, vec![("transaction", id)], b"", confirm)?;
        self.transactions.insert(id.into());
        Ok(request)
    }

    /// COMMIT: what was asked for in a transaction takes effect.
    pub fn commit(&mut self, id: &str, confirm: Confirm) -> Result<Request, Misuse> {
        self.end_transaction(Command::Commit, id, confirm)
    }

    /// ABORT: what was asked for in a transaction never takes effect.
    pub fn abort(&mut self, id: &str, confirm: Confirm) -> Result<Request, Misuse> {
        self.end_transaction(Command::Abort, id, confirm)
    }

    /// DISCONNECT, with a receipt (STOMP 1.2, "DISCONNECT"): no further request can be made, and
    /// [`ClientEvent::Disconnected`](super::ClientEvent::Disconnected) says that all before it are
    /// processed.
    pub fn disconnect(&mut self, now: Instant) -> Result<Request, Misuse> {
        let request = self.ask(Command::Disconnect, Vec::new(), b"", Confirm::Receipt)?;
        let until = now.checked_add(self.options.disconnect_timeout);
        self.stage = Stage::Disconnecting { request: request.number, until };
        Ok(request)
    }

    fn settle(
        &mut self,
        command: Command,
        delivery: &Unsettled,
        transaction: Option<&str>,
        confirm: Confirm,
    ) -> Result<Request, Misuse> {
        self.subscribed(&delivery.subscription)?;
        let mut headers = match &delivery.name {
            MessageName::Ack(id) => vec![("id", &**id)],
            MessageName::InSubscription { message, subscription } => {
                vec![("message-id", &**message), ("subscription", &**subscription)]
            }
            MessageName::Message(message) => vec![("message-id", &**message)],
        };
        headers.extend(self.transaction_header(transaction)?);
        self.ask(command, headers, b"", confirm)
    }

    fn end_transaction(
        &mut self,
        command: Command,
        id: &str,
        confirm: Confirm,
    ) -> Result<Request, Misuse> {
        let headers = self.transaction_header(Some(id))?.into_iter().collect();
        let request = self.ask(command, headers, b"", confirm)?;
        self.transactions.remove(id);
        Ok(request)
    }

    /// Appends a request, if it can be made.
    fn ask(
        &mut self,
        command: Command,
        headers: Lines<'_>,
        body: &[u8],
        confirm: Confirm,
    ) -> Result<Request, Misuse> {
        if self.stage != Stage::Connected {
            return Err(Misuse::NotConnected);
        }
        let limit = self.options.waiting_bytes;
        if self.waiting.encoded() > limit {
            return Err(Misuse::Limit { of: "bytes", limit });
        }
        let limit = self.options.unconfirmed;
        // DISCONNECT can always be asked for.
        let limited = confirm == Confirm::Receipt && command != Command::Disconnect;
        if limited && self.unconfirmed.len() >= limit {
            return Err(Misuse::Limit { of: "unconfirmed requests", limit });
        }
        let number = self.last_request + 1;
        let receipt = (confirm == Confirm::Receipt).then(|| number.to_string());
        let receipt = receipt.as_deref().map(|id| (HeaderName::Receipt.as_str(), id));
        let frame = encode(self.version, command, headers.into_iter().chain(receipt), body)?;
        let text = std::str::from_utf8(body).is_ok();
        self.wrap(if text { PayloadKind::Text } else { PayloadKind::Binary }, &frame);
        self.last_request = number;
        if confirm == Confirm::Receipt {
            self.unconfirmed.insert(number, command);
        }
        Ok(Request { number, command })
    }

    fn subscribed(&self, id: &str) -> Result<&Subscribed, Misuse> {
        let unknown = || Misuse::UnknownSubscription { id: id.to_owned() };
        self.subscriptions.get(id).ok_or_else(unknown)
    }

    /// The header that names an open transaction, if one is meant.
    fn transaction_header<'a>(
        &self,
        id: Option<&'a str>,
    ) -> Result<Option<(&'static str, &'a str)>, Misuse> {
        match id {
            Some(id) if !self.transactions.contains(id) => {
                Err(Misuse::UnknownTransaction { id: id.to_owned() })
            }
            _ => Ok(id.map(|id| (HeaderName::Transaction.as_str(), id))),
        }
    }

    fn since_1_1(&self, what: &'static str) -> Result<(), Misuse> {
        match self.version {
            Version::V1_0 => Err(Misuse::NotInVersion { what, version: self.version }),
            _ => Ok(()),
        }
    }
}
