use std::time::Instant;

use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;
use lapin::message::Delivery as Message;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, Consumer};

use super::super::{Outcome, Turn};

/// How many messages RabbitMQ hands over before the first of them is acknowledged: what is more than
/// the subscribers here take waits in the engine, not in this process.
const PREFETCH: u16 = 1_000;

/// How many messages are delivered together, if so many are there.
const TOGETHER: usize = 128;

/// A queue of this node's own, exclusive and gone with the connection, and the channel that all of it
/// is handed over by.
pub(super) struct PrivateQueue {
    channel: Channel,
    name: ShortString,
    consumer: Consumer,
}

impl PrivateQueue {
    pub(super) async fn begin(connection: &Connection) -> lapin::Result<Self> {
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..<_>::default() };
        let named_by_server = ShortString::default();
        let queue = channel.queue_declare(named_by_server, options, FieldTable::default()).await?;
        let name = queue.name().clone();
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
        let consumer =
            channel.basic_consume(name.clone(), tag, options, FieldTable::default()).await?;
        Ok(Self { channel, name, consumer })
    }

    /// The name that RabbitMQ has given it.
    pub(super) fn name(&self) -> &ShortString {
        &self.name
    }

    /// Has RabbitMQ put there what is published to the exchange and matches the key.
    pub(super) async fn bind(&self, exchange: ShortString, key: ShortString) -> lapin::Result<()> {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        self.channel.queue_bind(self.name.clone(), exchange, key, options, none).await
    }

    /// Ends it.
    pub(super) async fn close(self) -> lapin::Result<()> {
        self.channel.close(200, ShortString::default()).await
    }

    /// Waits for a message. `None` if none will come: the connection is lost, or somebody who may do
    /// so has deleted the queue.
    pub(super) async fn next(&mut self) -> Option<Message> {
        self.consumer.next().await.and_then(Result::ok)
    }

    /// Delivers a message and those that came with it, and acknowledges them when the subscribers
    /// have room for more.
    pub(super) async fn deliver(
        &mut self,
        first: Message,
        mut route: impl FnMut(&Message, &mut Turn) -> Outcome,
    ) -> lapin::Result<()> {
        let mut tag = first.delivery_tag;
        let mut pending = Vec::new();
        {
            let mut turn = Turn::new(Instant::now());
            let mut route = |message: &Message| {
                let mut outcome = route(message, &mut turn);
                if outcome.take_ready().is_none() {
                    pending.push(outcome);
                }
            };
            route(&first);
            for _ in 1..TOGETHER {
                let Some(Some(Ok(message))) = self.consumer.next().now_or_never() else { break };
                tag = message.delivery_tag;
                route(&message);
            }
        }
        for outcome in pending {
            // It only says that there is room again.
            drop(outcome.await);
        }
        self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await
    }
}
