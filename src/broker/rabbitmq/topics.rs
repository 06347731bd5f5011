use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::message::Delivery as Message;
use lapin::options::{BasicPublishOptions, QueueBindOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection};
use tokio::sync::watch;

use crate::session::Delivery;

use super::super::engine::Change;
use super::super::{Destination, Outcome, Turn};
use super::address::{Address, TOPICS, topic_of};
use super::private_queue::PrivateQueue;
use super::properties::{earlier_deliveries, message_of};
use super::shared::{Shared, refusal};

/// The topics that this node listens to: one queue of its own, bound for each destination and
/// pattern.
///
/// A message that several bindings match is in the queue once; the router finds all its subscribers.
pub(super) struct Topics<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    queue: PrivateQueue,
    /// Where it is bound: RabbitMQ refuses by closing the channel that it was asked over.
    binding: Option<Channel>,
    /// Where it is bound no more, while messages of before may still be in the queue: up to the
    /// [mark](Self::mark) behind them.
    ending: HashSet<Destination>,
    /// Where marks are published: over the connection for it, which is another after a loss.
    marking: watch::Receiver<Channel>,
    /// Marks on their way. Those of which RabbitMQ takes none in time are returned.
    marks: FuturesUnordered<BoxFuture<'static, Option<Destination>>>,
}

/// How long RabbitMQ may take for a mark.
const MARKED: Duration = Duration::from_secs(5);

/// How many marks may be on their way: what RabbitMQ does not take at present has to wait somewhere.
const MARKS: usize = 256;

impl<'a> Topics<'a> {
    pub(super) async fn begin(
        shared: &'a Shared,
        connection: &'a Connection,
        marking: watch::Receiver<Channel>,
    ) -> lapin::Result<Self> {
        let queue = PrivateQueue::begin(connection).await?;
        let (binding, ending, marks) = (None, HashSet::new(), FuturesUnordered::new());
        Ok(Self { shared, connection, queue, binding, ending, marking, marks })
    }

    /// Works until the connection is lost.
    pub(super) async fn run(mut self) {
        loop {
            let worked = tokio::select! {
                message = self.queue.next() => match message {
                    Some(message) => {
                        let Self { shared, queue, ending, .. } = &mut self;
                        let route = |it: &Message, turn: &mut Turn| route(shared, ending, it, turn);
                        queue.deliver(message, route).await
                    }
                    None => return,
                },
                change = self.shared.topics.upstreams.change() => self.change(change).await,
                Some(unmarked) = self.marks.next() => {
                    if let Some(destination) = unmarked.filter(|it| self.ending.remove(it)) {
                        self.shared.topics.upstreams.stopped(&destination);
                    }
                    Ok(())
                }
            };
            if worked.is_err() {
                return;
            }
        }
    }

    async fn change(&mut self, change: Change) -> lapin::Result<()> {
        let topics = &self.shared.topics.upstreams;
        match change {
            Change::Listen(destination) => {
                if let Err(error) = self.bind(&destination).await {
                    topics.refused(&destination, &refusal(&destination, &error).ok_or(error)?);
                    return Ok(());
                }
                self.shared.gaps.lock().bound(&destination);
                self.shared.topics.listening(&destination);
            }
            Change::Stop(destination) => {
                self.unbind(&destination).await?;
                self.shared.gaps.lock().unbound(&destination);
                self.mark(&destination);
                self.ending.insert(destination);
            }
        }
        Ok(())
    }

    async fn bind(&mut self, destination: &Destination) -> lapin::Result<()> {
        let Some(key) = binding_key(destination) else { return Ok(()) };
        let channel = self.binding().await?;
        let (queue, options) = (self.queue.name().clone(), QueueBindOptions::default());
        channel.queue_bind(queue, TOPICS.into(), key, options, FieldTable::default()).await?;
        self.binding = Some(channel);
        Ok(())
    }

    async fn unbind(&mut self, destination: &Destination) -> lapin::Result<()> {
        let Some(key) = binding_key(destination) else { return Ok(()) };
        let channel = self.binding().await?;
        let (queue, none) = (self.queue.name().clone(), FieldTable::default());
        channel.queue_unbind(queue, TOPICS.into(), key, none).await?;
        self.binding = Some(channel);
        Ok(())
    }

    /// Puts a message of our own into the queue: what came by a binding that is gone stands before it.
    /// Whoever subscribes anew must not get that, since what was published after it is not there. Where
    /// RabbitMQ does not permit it, takes too long, or has [many](MARKS) to take already, the binding
    /// counts as ended without it.
    pub(super) fn mark(&self, destination: &Destination) {
        let (channel, destination) = (self.marking.borrow().clone(), destination.clone());
        if self.marks.len() >= MARKS {
            self.marks.push(Box::pin(std::future::ready(Some(destination))));
            return;
        }
        let (direct, queue) = (ShortString::default(), self.queue.name().clone());
        self.marks.push(Box::pin(async move {
            let (options, body) = (BasicPublishOptions::default(), destination.as_str().as_bytes());
            let marking = async {
                channel.basic_publish(direct, queue, options, body, <_>::default()).await?.await
            };
            let marked = tokio::time::timeout(MARKED, marking).await;
            (!matches!(marked, Ok(Ok(_)))).then_some(destination)
        }));
    }

    /// The channel, to be put back if it is still open.
    async fn binding(&mut self) -> lapin::Result<Channel> {
        match self.binding.take() {
            Some(channel) => Ok(channel),
            None => self.connection.create_channel().await,
        }
    }
}

fn route(
    shared: &Shared,
    ending: &mut HashSet<Destination>,
    message: &Message,
    turn: &mut Turn,
) -> Outcome {
    if message.exchange.as_str().is_empty() {
        let marked = str::from_utf8(&message.data).ok().and_then(|it| it.parse().ok());
        if let Some(destination) = marked.filter(|it| ending.remove(it)) {
            shared.topics.upstreams.stopped(&destination);
        }
        return Outcome::done();
    }
    let Some(topic) = topic_of(message.routing_key.as_str()) else { return Outcome::done() };
    let gap = shared.gaps.lock().take(&topic);
    // Not whether RabbitMQ has handed it over before: this queue is as old as its consumer.
    let attempts = earlier_deliveries(&message.properties, false);
    let delivery = Delivery::new(message_of(&topic, &message.properties, &message.data))
        .with_gap(gap)
        .with_attempt(attempts.saturating_add(1));
    shared.topics.router.route(&topic, delivery, turn)
}

/// What is not a topic was refused when it was subscribed to.
fn binding_key(destination: &Destination) -> Option<ShortString> {
    match Address::of(destination) {
        Ok(Address::Topic(key)) => Some(key),
        _ => None,
    }
}
