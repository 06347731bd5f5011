use lapin::message::Delivery as Message;
use lapin::options::QueueBindOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection};

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
}

impl<'a> Topics<'a> {
    pub(super) async fn begin(
        shared: &'a Shared,
        connection: &'a Connection,
    ) -> lapin::Result<Self> {
        let queue = PrivateQueue::begin(connection).await?;
        Ok(Self { shared, connection, queue, binding: None })
    }

    /// Works until the connection is lost.
    pub(super) async fn run(mut self) {
        loop {
            let worked = tokio::select! {
                message = self.queue.next() => match message {
                    Some(message) => {
                        let shared = self.shared;
                        self.queue.deliver(message, |it, turn| route(shared, it, turn)).await
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
                topics.stopped(&destination);
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

    /// The channel, to be put back if it is still open.
    async fn binding(&mut self) -> lapin::Result<Channel> {
        match self.binding.take() {
            Some(channel) => Ok(channel),
            None => self.connection.create_channel().await,
        }
    }
}

fn route(shared: &Shared, message: &Message, turn: &mut Turn) -> Outcome {
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
