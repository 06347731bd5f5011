use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::time::Instant;

use futures_util::future::FutureExt;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use tokio::sync::watch;
use tokio::time::sleep;

use super::super::engine::{Backoff, Item};
use super::super::{BrokerError, Destination};
use super::address::{Address, ENGINE, TOPICS, temporary_of};
use super::connection::{self, in_time};
use super::declaring::declare;
use super::properties::properties_of;
use super::returned::Returned;
use super::shared::{Sending, Shared, refusal, refused_because};
use super::suspicion::{Suspicion, Verdict};
use super::unconfirmed::{Answer, Unconfirmed, Written};

/// How many messages may be unconfirmed.
const UNCONFIRMED: usize = 4_096;

/// How many queues and exchanges are remembered to be there.
const KNOWN: usize = 10_000;

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
    suspicion: Suspicion,
    returned: Returned,
    /// What is to be sent again once nothing is unconfirmed: what is on its way behind it would come to
    /// the queue before it.
    again: BTreeMap<u64, Item<Sending>>,
    /// Since when there is this connection, and how long to wait before the next one.
    since: Instant,
    backoff: Backoff,
}

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
            suspicion: Suspicion::default(),
            returned: Returned::default(),
            again: BTreeMap::new(),
            since: Instant::now(),
            backoff: Backoff::new(),
        })
    }

    /// The channel for marks, whatever becomes of the connection.
    pub(super) fn marking(&self) -> watch::Receiver<Channel> {
        self.marking.subscribe()
    }

    /// Works until the connection of those who listen is lost.
    pub(super) async fn run(mut self) {
        let (shared, mut unconfirmed) = (self.shared, Unconfirmed::default());
        loop {
            let idle = unconfirmed.is_empty();
            if idle {
                self.returned.clear();
            }
            let worked = if let Some(answer) = unconfirmed.next_heard(&mut self.returned) {
                self.answered(answer)
            } else if idle && !self.again.is_empty() {
                self.send_again(&mut unconfirmed).await
            } else {
                let has_room = unconfirmed.len() < self.most_unconfirmed(idle)
                    && !unconfirmed.is_full()
                    && self.again.is_empty();
                let waits = unconfirmed.waits();
                tokio::select! {
                    () = unconfirmed.hear(&mut self.returned), if waits => Ok(()),
                    item = shared.outbox.next(), if has_room => {
                        self.publish(&mut unconfirmed, item, false).await
                    }
                }
            };
            if let Err(error) = worked {
                unconfirmed.hear(&mut self.returned).now_or_never();
                unconfirmed.tell_taken(&shared.outbox, &self.returned);
                unconfirmed.clear();
                if !self.listening.status().connected() {
                    return;
                }
                self.begin_anew(&error).await;
            }
        }
    }

    /// Sends in its order what was returned.
    async fn send_again(&mut self, unconfirmed: &mut Unconfirmed) -> lapin::Result<()> {
        while !unconfirmed.is_full()
            && let Some((_, item)) = self.again.pop_first()
        {
            self.publish(unconfirmed, item, true).await?;
        }
        Ok(())
    }

    /// How many messages may be unconfirmed at present; none are if it is `idle`.
    fn most_unconfirmed(&mut self, idle: bool) -> usize {
        if self.suspicion.is_any(idle) { 1 } else { UNCONFIRMED }
    }

    /// Goes on over another channel, and over another connection if it is gone or does not answer. What
    /// is not confirmed is sent again, in its order.
    async fn begin_anew(&mut self, error: &lapin::Error) {
        let connected = self.connection.status().connected();
        let verdict = self.suspicion.judge(error, connected);
        if let Verdict::Guilty(number, destination) = &verdict {
            let refused = refusal(destination, error);
            let refused =
                refused.unwrap_or_else(|| refused_because(destination, error.to_string()));
            self.shared.outbox.answer(*number, Err(refused));
        }
        self.returned.clear();
        self.again.clear();
        self.known.clear();
        self.shared.outbox.lost();
        if connected
            && verdict != Verdict::ConnectAnew
            && let Ok(channel) = in_time(confirming(self.connection)).await
        {
            self.channel = channel;
        } else {
            self.connect_anew().await;
        }
    }

    async fn connect_anew(&mut self) {
        if self.since.elapsed() > connection::LASTED {
            self.backoff.reset();
        }
        loop {
            sleep(self.backoff.delay()).await;
            let Ok(connection) = connection::connect_to_publish(self.shared).await else {
                continue;
            };
            let channels =
                async { tokio::try_join!(confirming(&connection), confirming(&connection)) };
            if let Ok((channel, marking)) = in_time(channels).await {
                self.channel = channel;
                self.marking.send_replace(marking);
                *self.connection = connection;
                self.since = Instant::now();
                return;
            }
        }
    }

    /// Sends a message, unless it is refused.
    async fn publish(
        &mut self,
        unconfirmed: &mut Unconfirmed,
        item: Item<Sending>,
        returned: bool,
    ) -> lapin::Result<()> {
        let sending = &item.what;
        let properties = properties_of(&sending.message, sending.persistence(), item.again);
        if let Some(refused) = self.prepare(unconfirmed, sending, &properties).await? {
            self.shared.outbox.answer(item.number, Err(refused));
            return Ok(());
        }
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
        let mandatory = sending.needs_queue().is_some();
        let options = BasicPublishOptions { mandatory, ..<_>::default() };
        self.suspicion.sent(item.number, &sending.destination);
        let (channel, bytes) = (self.channel.clone(), sending.message.size());
        let writing = async move {
            let body = item.what.message.body();
            let confirming = channel.basic_publish(exchange, key, options, body, properties).await;
            Written { item, returned, bytes, confirming }
        };
        unconfirmed.write(Box::pin(writing), bytes);
        Ok(())
    }

    /// Sees to it that a message, and the replies to it, find their queues. Tells meanwhile of others
    /// that are confirmed: RabbitMQ may take its time. Returns why it refuses.
    async fn prepare(
        &mut self,
        unconfirmed: &mut Unconfirmed,
        sending: &Sending,
        properties: &BasicProperties,
    ) -> lapin::Result<Option<BrokerError>> {
        let (shared, mut returned) = (self.shared, std::mem::take(&mut self.returned));
        let prepared = {
            let mut ensuring = pin!(async {
                let refused = self.ensure(sending).await?;
                if refused.is_none() {
                    self.ensure_replies(properties).await?;
                }
                Ok(refused)
            });
            loop {
                let waits = unconfirmed.waits();
                tokio::select! {
                    biased;
                    prepared = &mut ensuring => break prepared,
                    () = unconfirmed.hear(&mut returned), if waits => {
                        unconfirmed.tell_taken(&shared.outbox, &returned);
                    }
                }
            }
        };
        self.returned = returned;
        prepared
    }

    /// RabbitMQ has said what becomes of a message.
    fn answered(&mut self, answer: Answer) -> lapin::Result<()> {
        let Answer { item, returned, confirmation } = answer;
        let destination = &item.what.destination;
        let result = match confirmation.transpose()? {
            None => Err(BrokerError::Unavailable { engine: ENGINE }),
            Some(Confirmation::Nack(_)) => {
                Err(refused_because(destination, "it did not take the message".to_owned()))
            }
            Some(Confirmation::NotRequested) => Ok(()),
            Some(Confirmation::Ack(_)) => match self.returned.take(&item.what) {
                None => Ok(()),
                // The queue was there, and somebody has deleted it.
                Some(_) if matches!(item.what.address, Address::Queue(_)) && !returned => {
                    self.known.remove(&item.what.address);
                    self.again.insert(item.number, item);
                    return Ok(());
                }
                Some(reason) => Err(refused_because(destination, reason)),
            },
        };
        self.shared.outbox.answer(item.number, result);
        Ok(())
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
        match self.asked(address).await {
            Ok(()) => Ok(None),
            Err(error) => refusal(destination, &error).map(Some).ok_or(error),
        }
    }

    async fn asked(&mut self, address: &Address) -> lapin::Result<()> {
        let channel = match self.asking.take() {
            Some(channel) => channel,
            None => self.listening.create_channel().await?,
        };
        declare(&channel, address).await?;
        self.asking = Some(channel);
        Ok(())
    }
}

/// A channel over which RabbitMQ confirms what it takes.
async fn confirming(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}
