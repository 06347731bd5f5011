use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use super::address::Address;

/// How long a queue for replies that nobody consumes is kept, in milliseconds: one that was made for
/// a client that has just gone.
const UNUSED: i32 = 60_000;

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
