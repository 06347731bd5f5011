use std::time::Instant;

use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;
use lapin::message::Delivery as Message;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, Consumer};

use crate::session::Delivery;

use super::super::engine::Change;
use super::super::{Destination, Turn};
use super::address::{Address, TOPICS, topic_of};
use super::properties::{earlier_deliveries, message_of};
use super::shared::Shared;

/// How many messages RabbitMQ hands over before the first of them is acknowledged: what is more than
/// the subscribers here take waits in the engine, not in this process.
const PREFETCH: u16 = 1_000;

/// How many messages are delivered together, if so many are there.
const TOGETHER: usize = 128;

/// The topics that this node listens to: one queue of its own, exclusive and gone with the connection,
/// bound for each destination and pattern.
///
/// A message that several bindings match is in the queue once; the router finds all its subscribers.
pub(super) struct Topics<'a> {
    shared: &'a Shared,
    channel: Channel,
    queue: ShortString,
    consumer: Consumer,
}

impl<'a> Topics<'a> {
    pub(super) async fn begin(shared: &'a Shared, connection: &Connection) -> lapin::Result<Self> {
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..<_>::default() };
        let named_by_server = ShortString::default();
        let queue = channel.queue_declare(named_by_server, options, FieldTable::default()).await?;
        let queue = queue.name().clone();
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let tag = ShortString::default();
        let consumer =
            channel.basic_consume(queue.clone(), tag, options, FieldTable::default()).await?;
        Ok(Self { shared, channel, queue, consumer })
    }

    /// Works until the connection is lost.
    pub(super) async fn run(mut self) {
        loop {
            let worked = tokio::select! {
                message = self.consumer.next() => match message {
                    Some(Ok(message)) => self.deliver(message).await,
                    // Somebody who may do so has deleted the queue: all begins anew.
                    Some(Err(_)) | None => return,
                },
                change = self.shared.topics.change() => self.change(change).await,
            };
            if worked.is_err() {
                return;
            }
        }
    }

    /// Delivers a message and those that came with it, and acknowledges them when the subscribers
    /// have room for more.
    async fn deliver(&mut self, message: Message) -> lapin::Result<()> {
        let mut tag = message.delivery_tag;
        let mut pending = Vec::new();
        {
            let mut turn = Turn::new(Instant::now());
            let mut route = |message: Message| {
                let Some(topic) = topic_of(message.routing_key.as_str()) else { return };
                let shared = message_of(&topic, &message.properties, &message.data);
                let gap = self.shared.gaps.lock().take(&topic);
                // Not whether RabbitMQ has handed it over before: this queue is as old as its consumer.
                let attempts = earlier_deliveries(&message.properties, false);
                let delivery = Delivery::new(shared).with_gap(gap).with_attempt(attempts + 1);
                let mut outcome = self.shared.router.route(&topic, delivery, &mut turn);
                if outcome.take_ready().is_none() {
                    pending.push(outcome);
                }
            };
            route(message);
            for _ in 1..TOGETHER {
                let Some(Some(Ok(message))) = self.consumer.next().now_or_never() else { break };
                tag = message.delivery_tag;
                route(message);
            }
        }
        for outcome in pending {
            // It only says that there is room again.
            drop(outcome.await);
        }
        self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await
    }

    async fn change(&mut self, change: Change) -> lapin::Result<()> {
        let topics = &self.shared.topics;
        match change {
            Change::Listen(destination) => {
                if let Some(key) = binding_key(&destination) {
                    let (queue, options) = (self.queue.clone(), QueueBindOptions::default());
                    let none = FieldTable::default();
                    self.channel.queue_bind(queue, TOPICS.into(), key, options, none).await?;
                }
                self.shared.gaps.lock().bound(&destination);
                topics.listening(&destination);
            }
            Change::Stop(destination) => {
                if let Some(key) = binding_key(&destination) {
                    let (queue, none) = (self.queue.clone(), FieldTable::default());
                    self.channel.queue_unbind(queue, TOPICS.into(), key, none).await?;
                }
                self.shared.gaps.lock().unbound(&destination);
                topics.stopped(&destination);
            }
        }
        Ok(())
    }
}

/// What is not a topic was refused when it was subscribed to.
fn binding_key(destination: &Destination) -> Option<ShortString> {
    match Address::of(destination) {
        Ok(Address::Topic(key)) => Some(key),
        _ => None,
    }
}
