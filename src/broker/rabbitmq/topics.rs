use std::collections::HashSet;

use lapin::message::Delivery as Message;
use lapin::options::{BasicPublishOptions, QueueBindOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection};

use crate::session::Delivery;

use super::super::engine::Change;
use super::super::{Destination, Outcome, Turn};
use super::address::{Address, TOPICS, topic_of};
use super::private_queue::PrivateQueue;
use super::properties::{earlier_deliveries, message_of};
use super::publishing::confirming;
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
}

impl<'a> Topics<'a> {
    pub(super) async fn begin(
        shared: &'a Shared,
        connection: &'a Connection,
    ) -> lapin::Result<Self> {
        let queue = PrivateQueue::begin(connection).await?;
        Ok(Self { shared, connection, queue, binding: None, ending: HashSet::new() })
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
                if self.mark(&destination).await? {
                    self.ending.insert(destination);
                } else {
                    self.shared.topics.upstreams.stopped(&destination);
                }
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
    /// Whoever subscribes anew must not get that, since what was published after it is not there.
    /// Returns whether RabbitMQ permits it.
    async fn mark(&mut self, destination: &Destination) -> lapin::Result<bool> {
        let channel = self.binding().await?;
        let (direct, queue) = (ShortString::default(), self.queue.name().clone());
        let (options, body) = (BasicPublishOptions::default(), destination.as_str().as_bytes());
        let publishing =
            channel.basic_publish(direct, queue, options, body, BasicProperties::default());
        let marked = match publishing.await {
            Ok(confirming) => confirming.await.map(drop),
            Err(error) => Err(error),
        };
        match marked {
            Ok(()) => {
                self.binding = Some(channel);
                Ok(true)
            }
            Err(error) if refusal(destination, &error).is_some() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The channel, to be put back if it is still open.
    async fn binding(&mut self) -> lapin::Result<Channel> {
        match self.binding.take() {
            Some(channel) => Ok(channel),
            None => confirming(self.connection).await,
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
        .with_attempt(attempts + 1);
    shared.topics.router.route(&topic, delivery, turn)
}

/// What is not a topic was refused when it was subscribed to.
fn binding_key(destination: &Destination) -> Option<ShortString> {
    match Address::of(destination) {
        Ok(Address::Topic(key)) => Some(key),
        _ => None,
    }
}
