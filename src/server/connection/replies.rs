use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::task::Context;

use crate::broker::{BrokerError, Capability, Destination, Subscriber, Turn};
use crate::frame::{Command, Frame, HeaderName};
use crate::session::{
    AckMode, Leaving, Refusal, SendFrame, SubscribeFrame, SubscriptionKey, UnsubscribeTarget,
};

use super::super::refusals;
use super::Connection;
use super::work::Then;

/// The queues for the replies to one connection, as RabbitMQ has them.
///
/// The client calls one `/temp-queue/prices`, and so may any other. Between the prefix and that name
/// the server puts a key that nobody can guess: `/temp-queue/<key>/prices` is what the receiver of a
/// message with `reply-to:/temp-queue/prices` sees, and where it sends its reply. Whoever has seen
/// that name may send there; only this connection may subscribe.
#[derive(Default)]
pub(super) struct ReplyQueues {
    /// Made when it is first needed.
    key: Option<Box<str>>,
    /// The subscriptions to them, by their names with the key. Some may have ended since.
    subscribed: HashMap<Box<str>, Subscribed>,
}

#[derive(Clone, Copy)]
struct Subscribed {
    key: SubscriptionKey,
    /// It was made for a SEND, and gives way to one that the client asks for.
    automatic: bool,
}

/// The prefix that clients use with every server, and so with one whose broker has no such queues.
const USUAL: &str = "/temp-queue";

/// How many characters a key has, in hexadecimal.
const KEY_LENGTH: usize = 32;

/// What a client calls a queue for replies, behind the prefix.
#[derive(Debug, PartialEq, Eq)]
enum Name<'a> {
    /// Its own name for one of its own.
    Local(&'a str),
    /// With the key of a connection.
    Keyed(&'a str),
}

impl<'a> Name<'a> {
    /// `None` for a destination of any other kind.
    fn parse(prefix: &str, destination: &'a str) -> Option<Self> {
        let name = destination.strip_prefix(prefix)?.strip_prefix('/')?;
        let is_key =
            |key: &str| key.len() == KEY_LENGTH && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let key = name.split_once('/').map(|(key, _)| key).filter(|key| is_key(key));
        Some(key.map_or(Self::Local(name), Self::Keyed))
    }
}

impl Connection {
    /// Gives the queues for replies that a SEND names their keys, and subscribes to the one that its
    /// `reply-to` names, unless the client has done so.
    pub(super) fn name_replies(
        &mut self,
        send: &mut SendFrame,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        self.name_own(&mut send.destination)?;
        let Some(reply_to) = send.frame.header(HeaderName::ReplyTo) else { return Ok(()) };
        if self.shared.temporary_queues.is_none() && Name::parse(USUAL, &reply_to).is_some() {
            // To pass it on would be to have whoever replies refused in place of who asks.
            let capability = Capability::TemporaryQueues;
            let destination = reply_to.into_owned();
            return Err(BrokerError::Unsupported { capability, destination }.into());
        }
        let local: Box<str> = reply_to.as_ref().into();
        let mut named = local.clone();
        if self.name_own(&mut named)? {
            send.frame = with_reply_to(&send.frame, &named);
            self.subscribe_to_replies(local, named, context, turn)?;
        }
        Ok(())
    }

    /// As the broker knows the destination of a SUBSCRIBE. The error is a queue for replies to
    /// somebody else.
    pub(super) fn name_subscribed(&mut self, destination: &mut Box<str>) -> Result<(), Refusal> {
        self.name_own(destination)?;
        match self.reply_name(destination) {
            Some(Name::Keyed(key)) if self.replies.key.as_deref() != Some(key) => {
                let detail = "only the connection that asked for the replies may subscribe to them";
                Err(Refusal::new("not allowed", detail))
            }
            _ => Ok(()),
        }
    }

    /// As the broker knows the destination of an UNSUBSCRIBE.
    pub(super) fn name_unsubscribed(
        &mut self,
        target: &mut UnsubscribeTarget,
    ) -> Result<(), Refusal> {
        match target {
            UnsubscribeTarget::Destination(destination) => self.name_own(destination).map(|_| ()),
            UnsubscribeTarget::Id(_) => Ok(()),
        }
    }

    /// The client has subscribed to one of its queues for replies itself: the subscription that was
    /// made for a SEND, if there is one, ends.
    pub(super) fn end_automatic(&mut self, named: &str, key: SubscriptionKey, turn: &mut Turn) {
        if self.reply_name(named).is_none() {
            return;
        }
        let before = self.note_subscribed(named.into(), Subscribed { key, automatic: false });
        let Some(before) = before.filter(|before| before.automatic) else { return };
        let ended = self.outlet.leaving(|leaving| leaving.unsubscribe(before.key));
        if let Some(Ok(destination)) = ended.map(|name| Destination::new(&name)) {
            let subscriber = self.subscriber(before.key);
            // The client did not ask for it and is not told.
            drop(self.shared.broker.unsubscribe(&destination, subscriber, turn));
        }
    }

    fn reply_name<'a>(&self, destination: &'a str) -> Option<Name<'a>> {
        Name::parse(self.shared.temporary_queues.as_deref()?, destination)
    }

    /// Puts this connection's key into a name without one. Returns whether it did.
    fn name_own(&mut self, destination: &mut Box<str>) -> Result<bool, Refusal> {
        let Some(Name::Local(name)) = self.reply_name(destination) else { return Ok(false) };
        let key = match &self.replies.key {
            Some(key) => key,
            None => {
                let key = super::super::session_id()
                    .map_err(|_| refusals::internal("the system has no random numbers"))?;
                self.replies.key.insert(key.into())
            }
        };
        let prefix = self.shared.temporary_queues.as_deref().unwrap_or_default();
        *destination = format!("{prefix}/{key}/{name}").into();
        Ok(true)
    }

    /// Makes the subscription whose id is the client's own name of the queue.
    fn subscribe_to_replies(
        &mut self,
        id: Box<str>,
        named: Box<str>,
        context: &mut Context<'_>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let destination = Destination::new(&named)?;
        let known = self.replies.subscribed.get(&named).copied();
        let live = self.outlet.leaving(|leaving| {
            let known = known.filter(|known| leaving.is_live(known.key));
            let target = || UnsubscribeTarget::Destination(named.clone());
            known.is_some() || leaving.find(&target()).is_ok()
        });
        if live {
            return Ok(());
        }
        let subscribe = SubscribeFrame {
            id: Some(id),
            destination: named.clone(),
            ack: AckMode::Auto,
            prefetch: None,
            frame: Frame::new(Command::Subscribe),
            receipt: None,
        };
        let key = self.open(&subscribe, &destination)?;
        self.note_subscribed(named, Subscribed { key, automatic: true });
        let subscriber = Subscriber::new(self.subscriber(key), self.outlet.clone());
        let outcome = self.shared.broker.subscribe(&destination, subscriber, turn);
        self.begin(outcome, Then::Activate(key, None), 0, context)
    }

    /// Returns what was noted before.
    fn note_subscribed(&mut self, named: Box<str>, subscribed: Subscribed) -> Option<Subscribed> {
        // There are no more live ones than there may be subscriptions.
        let known = &mut self.replies.subscribed;
        if known.len() > self.shared.session.subscriptions {
            let live = |leaving: &mut Leaving<_>| known.retain(|_, it| leaving.is_live(it.key));
            self.outlet.leaving(live);
        }
        match self.replies.subscribed.entry(named) {
            Entry::Occupied(mut known) => Some(known.insert(subscribed)),
            Entry::Vacant(vacant) => {
                vacant.insert(subscribed);
                None
            }
        }
    }
}

/// The same SEND with another `reply-to`.
fn with_reply_to(send: &Frame, reply_to: &str) -> Frame {
    let mut frame = Frame::new(Command::Send).with_header(HeaderName::ReplyTo, reply_to);
    for header in send.headers().entries() {
        match header.known() {
            // It is written anew; of two headers with one name the first counts.
            Some(HeaderName::ReplyTo | HeaderName::ContentLength) => {}
            _ => frame = frame.with_header(&*header.name(), header.value()),
        }
    }
    frame.with_body(send.body())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_whose_queue_it_is() {
        let key = "0123456789abcdef0123456789abcdef";
        let keyed = format!("/temp-queue/{key}/prices");
        let rows = [
            ("/temp-queue/prices", Some(Name::Local("prices"))),
            ("/temp-queue/prices/5", Some(Name::Local("prices/5"))),
            (&*keyed, Some(Name::Keyed(key))),
            (keyed.strip_suffix("/prices").unwrap(), Some(Name::Local(key))),
            ("/temp-queues/prices", None),
            ("/temp-queue", None),
            ("/queue/prices", None),
        ];
        for (destination, expected) in rows {
            assert_eq!(Name::parse("/temp-queue", destination), expected, "{destination}");
        }
    }
}
