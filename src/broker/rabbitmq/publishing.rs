use std::collections::HashSet;
use std::future::ready;
use std::pin::pin;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPHardError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ErrorKind, ExchangeKind};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::super::engine::{Backoff, Item};
use super::super::{BrokerError, Destination};
use super::address::{Address, ENGINE, TOPICS, temporary_of};
use super::connection;
use super::properties::properties_of;
use super::shared::{Sending, Shared, UNANSWERED, refusal, refused_because};

/// How many messages may be unconfirmed.
const UNCONFIRMED: usize = 4_096;

/// How many queues and exchanges are remembered to be there.
const KNOWN: usize = 10_000;

/// How long a queue for replies that nobody consumes is kept, in milliseconds: one that was made for
/// a client that has just gone.
const UNUSED: i32 = 60_000;

/// Takes what is published to RabbitMQ, all of it over one channel: so what one publisher sends to
/// one destination arrives in its order.
pub(super) struct Publishing<'a> {
    shared: &'a Shared,
    /// It may be lost alone: those who listen are not concerned.
    connection: &'a mut Connection,
    listening: &'a Connection,
    channel: Channel,
    /// The channel for [marks](super::topics::Topics::mark).
    marking: watch::Sender<Channel>,
    /// Where queues and exchanges are asked for: RabbitMQ answers a question by closing the channel
    /// that it came over. A queue for replies belongs to the connection that consumes from it.
    asking: Option<Channel>,
    /// The queues and exchanges that are there.
    known: HashSet<Address>,
    /// What was sent last over this channel, and the highest number that was.
    last: Option<(u64, Destination)>,
    highest: u64,
    /// Up to this number there may be one that RabbitMQ refuses: each of them is sent alone.
    suspected: u64,
}

/// What RabbitMQ said of a message.
struct Answer {
    item: Item<Sending>,
    /// Whether it was returned before, and sent again.
    returned: bool,
    /// None in [time](UNANSWERED).
    confirmation: Option<lapin::Result<Confirmation>>,
}

impl Answer {
    /// Whether nothing is left to do but to tell the publisher.
    fn is_taken(&self) -> bool {
        matches!(self.confirmation, Some(Ok(Confirmation::Ack(None) | Confirmation::NotRequested)))
    }
}

type Unconfirmed = FuturesUnordered<BoxFuture<'static, Answer>>;

impl<'a> Publishing<'a> {
    pub(super) async fn begin(
        shared: &'a Shared,
        connection: &'a mut Connection,
        listening: &'a Connection,
    ) -> lapin::Result<Self> {
        let channel = confirming(connection).await?;
        let marking = watch::Sender::new(confirming(connection).await?);
        let known = HashSet::new();
        Ok(Self {
            shared,
            connection,
            listening,
            channel,
            marking,
            asking: None,
            known,
            last: None,
            highest: 0,
            suspected: 0,
        })
    }

    /// The channel for marks, whatever becomes of the connection.
    pub(super) fn marking(&self) -> watch::Receiver<Channel> {
        self.marking.subscribe()
    }

    /// Works until the connection of those who listen is lost.
    pub(super) async fn run(mut self) {
        let mut unconfirmed = Unconfirmed::new();
        loop {
            let most = self.most_unconfirmed(unconfirmed.is_empty());
            let worked = tokio::select! {
                Some(answer) = unconfirmed.next() => self.answered(answer).await,
                item = self.shared.outbox.next(), if unconfirmed.len() < most => {
                    self.publish_beside(&mut unconfirmed, item).await
                }
            };
            match worked {
                Ok(Some(confirming)) => unconfirmed.push(confirming),
                Ok(None) => {}
                Err(error) => {
                    unconfirmed.clear();
                    if self.begin_anew(&error).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// How many messages may be unconfirmed at present; none are if it is `idle`.
    fn most_unconfirmed(&mut self, idle: bool) -> usize {
        if idle && self.highest >= self.suspected {
            self.suspected = 0;
        }
        if self.suspected > 0 { 1 } else { UNCONFIRMED }
    }

    /// Goes on over another channel, and over another connection if it is gone. RabbitMQ refuses a
    /// message by closing the channel, and does not say which one it was: so all that it has not
    /// confirmed are sent again, each alone, and the one after which it closes the channel again is it.
    ///
    /// The connection may be gone because of that, too: what lapin writes to the channel after it has
    /// agreed that it is closed has RabbitMQ close the connection.
    async fn begin_anew(&mut self, error: &lapin::Error) -> lapin::Result<()> {
        let connected = self.connection.status().connected();
        if !self.listening.status().connected() {
            return Err(error.clone());
        }
        match self.last.take() {
            Some((number, destination)) if self.suspected > 0 && is_answer(error) => {
                let refused = refusal(&destination, error);
                let refused =
                    refused.unwrap_or_else(|| refused_because(&destination, error.to_string()));
                self.shared.outbox.answer(number, Err(refused));
            }
            Some(_) if self.suspected == 0 => self.suspected = self.highest,
            // The channel is closed whatever is sent, or before that.
            _ if connected => return Err(error.clone()),
            _ => {}
        }
        self.highest = 0;
        self.known.clear();
        self.shared.outbox.lost();
        if connected && let Ok(channel) = confirming(self.connection).await {
            self.channel = channel;
            return Ok(());
        }
        self.connect_anew().await;
        Ok(())
    }

    async fn connect_anew(&mut self) {
        let mut backoff = Backoff::new();
        loop {
            sleep(backoff.delay()).await;
            let Ok(connection) = connection::connect_to_publish(self.shared).await else {
                continue;
            };
            let channels = tokio::try_join!(confirming(&connection), confirming(&connection));
            if let Ok((channel, marking)) = channels {
                self.channel = channel;
                self.marking.send_replace(marking);
                *self.connection = connection;
                return;
            }
        }
    }

    /// As [`publish`](Self::publish), and tells meanwhile of those that are confirmed: while RabbitMQ
    /// has no memory it takes no more messages, and confirms those that it has.
    async fn publish_beside(
        &mut self,
        unconfirmed: &mut Unconfirmed,
        item: Item<Sending>,
    ) -> lapin::Result<Option<BoxFuture<'static, Answer>>> {
        let (shared, mut others) = (self.shared, Vec::new());
        let mut publishing = pin!(self.publish(item, false));
        let published = loop {
            tokio::select! {
                published = &mut publishing => break published,
                Some(answer) = unconfirmed.next() => if answer.is_taken() {
                    shared.outbox.answer(answer.item.number, Ok(()));
                } else {
                    others.push(answer);
                }
            }
        };
        unconfirmed.extend(others.into_iter().map(|other| ready(other).boxed()));
        published
    }

    /// Sends a message. Returns what waits for its confirmation, if it was not refused.
    async fn publish(
        &mut self,
        item: Item<Sending>,
        returned: bool,
    ) -> lapin::Result<Option<BoxFuture<'static, Answer>>> {
        if let Some(refused) = self.ensure(&item.what).await? {
            self.shared.outbox.answer(item.number, Err(refused));
            return Ok(None);
        }
        let sending = &item.what;
        let (exchange, key) = match &sending.address {
            Address::Topic(key) => (TOPICS.into(), key.clone()),
            Address::Exchange(name, key) => (name.clone(), key.clone()),
            Address::Queue(name)
            | Address::ExistingQueue(name)
            | Address::Temporary(name)
            | Address::ReplyQueue(name) => (ShortString::default(), name.clone()),
        };
        // What no queue takes comes back: without a queue it would be lost in spite of its RECEIPT. A
        // reply that comes too late is lost.
        let mandatory =
            exchange.as_str().is_empty() && !matches!(sending.address, Address::Temporary(_));
        let options = BasicPublishOptions { mandatory, ..<_>::default() };
        let properties = properties_of(&sending.message, sending.persistence(), item.again);
        self.ensure_replies(&properties).await?;
        let body = sending.message.body();
        self.last = Some((item.number, sending.destination.clone()));
        self.highest = self.highest.max(item.number);
        let confirming = self.channel.basic_publish(exchange, key, options, body, properties);
        let confirming = confirming.await?;
        Ok(Some(Box::pin(async move {
            // With the message goes what it takes of memory and of the number that may be unconfirmed.
            let confirmation = timeout(UNANSWERED, confirming).await.ok();
            Answer { item, returned, confirmation }
        })))
    }

    async fn answered(
        &mut self,
        answer: Answer,
    ) -> lapin::Result<Option<BoxFuture<'static, Answer>>> {
        let Answer { item, returned, confirmation } = answer;
        let destination = item.what.destination.clone();
        let Some(confirmation) = confirmation else {
            self.shared
                .outbox
                .answer(item.number, Err(BrokerError::Unavailable { engine: ENGINE }));
            return Ok(None);
        };
        let result = match confirmation? {
            Confirmation::Ack(None) | Confirmation::NotRequested => Ok(()),
            // The queue was there, and somebody has deleted it.
            Confirmation::Ack(Some(_))
                if matches!(item.what.address, Address::Queue(_)) && !returned =>
            {
                self.known.remove(&item.what.address);
                return self.publish(item, true).await;
            }
            Confirmation::Ack(Some(message)) => {
                Err(refused_because(&destination, message.reply_text.to_string()))
            }
            Confirmation::Nack(_) => {
                Err(refused_because(&destination, "it did not take the message".to_owned()))
            }
        };
        self.shared.outbox.answer(item.number, result);
        Ok(None)
    }

    /// Sees to it that the queue or the exchange is there. Returns why not.
    async fn ensure(&mut self, sending: &Sending) -> lapin::Result<Option<BrokerError>> {
        let address = &sending.address;
        let needed = matches!(address, Address::Queue(_) | Address::Exchange(..));
        if !needed || self.known.contains(address) {
            return Ok(None);
        }
        let refused = self.ask(&sending.destination, address).await?;
        if refused.is_none() {
            if self.known.len() >= KNOWN {
                self.known.clear();
            }
            self.known.insert(address.clone());
        }
        Ok(refused)
    }

    /// Sees to it that the replies to a message find their queue: its client has subscribed, and that
    /// may still be on its way.
    async fn ensure_replies(&mut self, properties: &BasicProperties) -> lapin::Result<()> {
        let reply_to = properties.reply_to().as_ref().map(ShortString::as_str);
        if let Some(Ok(replies)) = reply_to.and_then(temporary_of).map(Destination::new)
            && self.shared.queues.is_awaited(&replies)
            && let Ok(address) = Address::of(&replies)
        {
            // The subscription is told if it is refused.
            self.ask(&replies, &address).await?;
        }
        Ok(())
    }

    /// Has RabbitMQ make a queue, or say that it is there. Returns why it refuses.
    async fn ask(
        &mut self,
        destination: &Destination,
        address: &Address,
    ) -> lapin::Result<Option<BrokerError>> {
        let channel = match self.asking.take() {
            Some(channel) => channel,
            None => self.listening.create_channel().await?,
        };
        match declare(&channel, address).await {
            Ok(()) => {
                self.asking = Some(channel);
                Ok(None)
            }
            Err(error) => refusal(destination, &error).map(Some).ok_or(error),
        }
    }
}

/// Whether RabbitMQ says this because of what was sent, not because somebody has it close connections.
fn is_answer(error: &lapin::Error) -> bool {
    let forced = AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED);
    matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() != forced)
}

/// A channel over which RabbitMQ confirms what it takes.
async fn confirming(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Makes a queue as RabbitMQ's STOMP plugin does, or asks whether a queue or an exchange is there.
pub(super) async fn declare(channel: &Channel, address: &Address) -> lapin::Result<()> {
    let queue_with = async |name: &ShortString, options, arguments| {
        channel.queue_declare(name.clone(), options, arguments).await.map(|_| ())
    };
    let queue = async |name, options| queue_with(name, options, FieldTable::default()).await;
    match address {
        Address::Topic(_) => Ok(()),
        Address::Queue(name) => {
            queue(name, QueueDeclareOptions { durable: true, ..<_>::default() }).await
        }
        Address::Temporary(name) => {
            let mut arguments = FieldTable::default();
            arguments.insert("x-expires".into(), AMQPValue::LongInt(UNUSED));
            let options = QueueDeclareOptions { exclusive: true, ..<_>::default() };
            queue_with(name, options, arguments).await
        }
        Address::ExistingQueue(name) | Address::ReplyQueue(name) => {
            queue(name, QueueDeclareOptions { passive: true, ..<_>::default() }).await
        }
        Address::Exchange(name, _) => {
            let options = ExchangeDeclareOptions { passive: true, ..<_>::default() };
            let kind = ExchangeKind::default();
            channel.exchange_declare(name.clone(), kind, options, FieldTable::default()).await
        }
    }
}
