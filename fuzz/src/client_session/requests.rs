//! What the program asks for: whether it can have it, and what is written then.

use std::time::Instant;

use stompbox::frame::{Command, Version};
use stompbox::session::{
    AckMode, Confirm, MessageName, Misuse, NewMessage, NewSubscription, Request as Asked, Unsettled,
};

use super::Client;
use super::model::{FrameText, Model, Stage, Subscription, Written};
use super::representable::is_representable;
use super::script::{Request, RequestKind};

impl Client {
    /// Asks the session and the model, and compares what they say.
    pub(super) fn ask(&mut self, request: &Request) {
        let Some((frame, unsettled)) = self.frame(request) else { return };
        let waiting = self.session.waiting_bytes();
        let confirms = request.confirm == Confirm::Receipt || frame.command == Command::Disconnect;
        let asked = self.ask_session(request, unsettled.as_ref());
        let subscription = unsettled.as_ref().map(Unsettled::subscription);
        match asked {
            Ok(asked) => {
                let obstacle = self.model.obstacle(request, &frame, subscription, waiting);
                assert_eq!(obstacle, None, "{request:?} was asked for");
                assert_eq!(asked.number(), self.model.last_request + 1);
                assert_eq!(asked.command(), frame.command);
                self.model.ask(request, frame, confirms, self.now);
            }
            Err(misuse) => {
                let is_so = self.model.is_so(&misuse, request, &frame, subscription, waiting);
                assert!(is_so, "{request:?}: {misuse}");
            }
        }
    }

    fn ask_session(
        &mut self,
        request: &Request,
        unsettled: Option<&Unsettled>,
    ) -> Result<Asked, Misuse> {
        let Request { kind, confirm, transaction, headers } = request;
        let (session, confirm, transaction) = (&mut self.session, *confirm, transaction.as_deref());
        let headers = headers.iter().map(|(name, value)| (&**name, &**value));
        match kind {
            RequestKind::Subscribe { id, destination, ack } => {
                let subscription = NewSubscription::new(id, destination).with_ack(*ack);
                let subscription = headers.fold(subscription, |subscription, (name, value)| {
                    subscription.with_header(name, value)
                });
                session.subscribe(&subscription, confirm)
            }
            RequestKind::Unsubscribe { id } => session.unsubscribe(id, confirm),
            RequestKind::Send { destination, body } => {
                let message = NewMessage::to(destination).with_body(body);
                let message = headers
                    .fold(message, |message, (name, value)| message.with_header(name, value));
                match transaction {
                    Some(id) => session.send(&message.in_transaction(id), confirm),
                    None => session.send(&message, confirm),
                }
            }
            RequestKind::Settle { command, .. } => {
                let unsettled = unsettled.expect("what is to be settled");
                match command {
                    Command::Ack => session.ack(unsettled, transaction, confirm),
                    _ => session.nack(unsettled, transaction, confirm),
                }
            }
            RequestKind::Transaction { command, id } => match command {
                Command::Begin => session.begin(id, confirm),
                Command::Commit => session.commit(id, confirm),
                _ => session.abort(id, confirm),
            },
            RequestKind::Disconnect => session.disconnect(self.now),
        }
    }

    /// The frame that is asked for, less its receipt, and what it settles. `None` if there is
    /// nothing to settle.
    fn frame(&self, request: &Request) -> Option<(FrameText, Option<Unsettled>)> {
        let (mut headers, mut body, mut unsettled) = (Vec::new(), Vec::new(), None);
        let command = match &request.kind {
            RequestKind::Subscribe { id, destination, ack } => {
                headers = vec![("id", &**id), ("destination", destination), ("ack", ack.as_str())];
                Command::Subscribe
            }
            RequestKind::Unsubscribe { id } => {
                headers = vec![("id", id)];
                Command::Unsubscribe
            }
            RequestKind::Send { destination, body: sent } => {
                headers = vec![("destination", destination)];
                body = sent.to_vec();
                Command::Send
            }
            RequestKind::Settle { command, nth_last } => {
                let settled = self.unsettled.iter().nth_back(*nth_last)?;
                headers = match settled.name() {
                    MessageName::Ack(id) => vec![("id", id)],
                    MessageName::Message(id) => vec![("message-id", id)],
                    MessageName::InSubscription { message, subscription } => {
                        vec![("message-id", message), ("subscription", subscription)]
                    }
                };
                unsettled = Some(settled.clone());
                *command
            }
            RequestKind::Transaction { command, id } => {
                headers = vec![("transaction", id)];
                *command
            }
            RequestKind::Disconnect => Command::Disconnect,
        };
        if let Some(transaction) = request.transaction() {
            headers.push(("transaction", transaction));
        }
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut headers: Vec<_> = headers.into_iter().map(own).collect();
        if matches!(command, Command::Send | Command::Subscribe) {
            headers.extend(request.headers.iter().cloned());
        }
        Some((FrameText { command, headers, body }, unsettled))
    }
}

impl Request {
    /// The transaction that it is a part of.
    fn transaction(&self) -> Option<&str> {
        let may_be = matches!(self.kind, RequestKind::Send { .. } | RequestKind::Settle { .. });
        self.transaction.as_deref().filter(|_| may_be)
    }

    /// The headers that the session writes itself.
    fn reserved(&self) -> &'static [&'static str] {
        match self.kind {
            RequestKind::Send { .. } => {
                &["destination", "transaction", "receipt", "content-length"]
            }
            RequestKind::Subscribe { .. } => {
                &["id", "destination", "ack", "receipt", "content-length"]
            }
            _ => &[],
        }
    }
}

impl Model {
    /// Something that keeps the program from having this.
    fn obstacle(
        &self,
        request: &Request,
        frame: &FrameText,
        subscription: Option<&str>,
        waiting: usize,
    ) -> Option<Misuse> {
        let (id, version) = (String::new(), self.version);
        let (command, header) = (frame.command, "");
        let obstacles = [
            Misuse::NotConnected,
            Misuse::NotInVersion { what: "it", version },
            Misuse::ReservedHeader { command, header },
            Misuse::Unrepresentable { command, header: String::new(), version },
            Misuse::DuplicateSubscription { id: id.clone() },
            Misuse::UnknownSubscription { id: id.clone() },
            Misuse::TransactionOpen { id: id.clone() },
            Misuse::UnknownTransaction { id },
            Misuse::Limit { of: "bytes", limit: self.options.waiting_bytes },
            Misuse::Limit { of: "unconfirmed requests", limit: self.options.unconfirmed },
        ];
        let is_so = |misuse: &Misuse| self.is_so(misuse, request, frame, subscription, waiting);
        obstacles.into_iter().find(is_so)
    }

    /// Whether this is so, whatever else may be.
    fn is_so(
        &self,
        misuse: &Misuse,
        request: &Request,
        frame: &FrameText,
        subscription: Option<&str>,
        waiting: usize,
    ) -> bool {
        let named = match &request.kind {
            RequestKind::Unsubscribe { id } => Some(&**id),
            _ => subscription,
        };
        let transaction = match &request.kind {
            RequestKind::Transaction { command, id } if *command != Command::Begin => Some(&**id),
            _ => request.transaction(),
        };
        match misuse {
            Misuse::NotConnected => self.stage != Stage::Connected,
            Misuse::NotInVersion { .. } => {
                let individual = matches!(
                    request.kind,
                    RequestKind::Subscribe { ack: AckMode::ClientIndividual, .. }
                );
                self.version == Version::V1_0 && (individual || frame.command == Command::Nack)
            }
            Misuse::ReservedHeader { .. } => {
                let mut given = request.headers.iter();
                given.any(|(name, _)| request.reserved().contains(&&**name))
            }
            Misuse::Unrepresentable { .. } => frame
                .headers
                .iter()
                .any(|(name, value)| !is_representable(self.version, frame.command, name, value)),
            Misuse::DuplicateSubscription { .. } => {
                matches!(&request.kind, RequestKind::Subscribe { id, .. } if self.subscriptions.contains_key(id))
            }
            Misuse::UnknownSubscription { .. } => {
                named.is_some_and(|id| !self.subscriptions.contains_key(id))
            }
            Misuse::TransactionOpen { .. } => {
                let begins = frame.command == Command::Begin;
                begins && self.transactions.contains(&frame.headers[0].1)
            }
            Misuse::UnknownTransaction { .. } => {
                transaction.is_some_and(|id| !self.transactions.contains(id))
            }
            Misuse::Limit { of: "bytes", limit } => waiting > *limit,
            Misuse::Limit { limit, .. } => {
                let limited = frame.command != Command::Disconnect;
                let confirms = request.confirm == Confirm::Receipt;
                confirms && limited && self.unconfirmed.len() >= *limit
            }
            other => panic!("{other} is not known here"),
        }
    }

    /// It is asked for.
    fn ask(&mut self, request: &Request, mut frame: FrameText, confirms: bool, now: Instant) {
        self.last_request += 1;
        if confirms {
            frame.headers.push(("receipt".to_owned(), self.last_request.to_string()));
            self.unconfirmed.insert(self.last_request, frame.command);
        }
        self.to_write.push_back(Written::Frame(frame));
        match &request.kind {
            RequestKind::Subscribe { id, destination, ack } => {
                let subscription = Subscription { destination: destination.clone(), ack: *ack };
                self.subscriptions.insert(id.clone(), subscription);
            }
            RequestKind::Unsubscribe { id } => drop(self.subscriptions.remove(id)),
            RequestKind::Transaction { command: Command::Begin, id } => {
                self.transactions.insert(id.clone());
            }
            RequestKind::Transaction { id, .. } => {
                self.transactions.remove(id);
            }
            RequestKind::Disconnect => {
                let until = now + self.options.disconnect_timeout;
                self.stage = Stage::Disconnecting { request: self.last_request, until };
            }
            RequestKind::Send { .. } | RequestKind::Settle { .. } => {}
        }
    }
}
