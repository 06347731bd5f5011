use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use futures_util::stream::{FuturesUnordered, SelectAll, StreamExt};
use lapin::message::Delivery as Message;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, ShortString};
use lapin::{Channel, Connection, Consumer, ErrorKind};

use super::super::Destination;
use super::super::engine::{Change, Consumers, Settled};
use super::address::Address;
use super::declaring::declare;
use super::granted::Granted;
use super::properties::{earlier_deliveries, message_of};
use super::shared::{DeliveryTag, Shared, TELL, refusal};
use super::sharing::Sharing;

/// How long to wait before a queue that is refused for the moment is asked for again.
const UNTIL_AGAIN: Duration = Duration::from_millis(500);

/// How many consumers a queue may have at RabbitMQ for this node before they are made one again, when
/// nothing is out: to end and begin them costs three round trips.
const SEVERAL: usize = 4;

/// How long a consumer at RabbitMQ that is to be begun anew, and is alone, waits for what is held.
const UNTIL_IDLE: Duration = Duration::from_millis(10);

/// The queues that have consumers on this node, each over a channel of its own: closing it gives all
/// that is not settled back to the queue, in its old place.
pub(super) struct Queues<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
}

/// One queue, for as long as it has consumers here.
struct Consuming<'a> {
    shared: &'a Shared,
    queue: Destination,
    address: Address,
    name: ShortString,
    channel: Channel,
    consumers: Arc<Consumers<DeliveryTag>>,
    granted: Granted,
    sharing: Sharing,
    /// What comes by each of the consumers at RabbitMQ.
    arriving: SelectAll<Consumer>,
}

impl<'a> Queues<'a> {
    pub(super) fn new(shared: &'a Shared, connection: &'a Connection) -> Self {
        Self { shared, connection }
    }

    /// Works until the connection is lost.
    pub(super) async fn run(self) {
        let mut at_work: FuturesUnordered<BoxFuture<'a, lapin::Result<()>>> = <_>::default();
        loop {
            tokio::select! {
                Some(ended) = at_work.next() => if ended.is_err() { return },
                change = self.shared.queues.change() => match change {
                    Change::Listen(queue) => {
                        at_work.push(Box::pin(consume(self.shared, self.connection, queue)));
                    }
                    Change::Stop(queue) => if let Some(consumers) = self.shared.consumers(&queue) {
                        consumers.stop();
                    }
                }
            }
        }
    }
}

/// Consumes from a queue until it has no consumers here. An error is a loss of the connection.
async fn consume(
    shared: &Shared,
    connection: &Connection,
    queue: Destination,
) -> lapin::Result<()> {
    let Some(consumers) = shared.consumers(&queue) else {
        shared.queues.stopped(&queue);
        return Ok(());
    };
    consumers.begin();
    let consumed = loop {
        let consumed = match Consuming::begin(shared, connection, &queue, &consumers).await {
            Ok(Some(consuming)) => consuming.run().await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        consumers.lost();
        match consumed {
            Err(error) if passes(&queue, &error) => {}
            Err(error) if error.is_amqp_soft_error() && error.to_string().contains(TELL) => {
                shared.tells_of_end.store(false, Relaxed);
                continue;
            }
            consumed => break consumed,
        }
        tokio::select! {
            () = tokio::time::sleep(UNTIL_AGAIN) => {}
            () = consumers.changed() => {}
        }
        if consumers.is_stopping() {
            break Ok(());
        }
    };
    match consumed {
        Ok(()) => {
            shared.forget_if_empty(&queue);
            shared.queues.stopped(&queue);
            Ok(())
        }
        Err(error) => {
            let refused = refusal(&queue, &error).ok_or(error)?;
            shared.queues.refused(&queue, &refused);
            Ok(())
        }
    }
}

/// Whether RabbitMQ refuses a queue for the moment only.
fn passes(queue: &Destination, error: &lapin::Error) -> bool {
    use AMQPSoftError::{NOTFOUND, RESOURCELOCKED};
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    let AMQPErrorKind::Soft(error) = error.kind() else { return false };
    match Address::of(queue) {
        // It may belong to the connection that this node has lost, until RabbitMQ notices the loss.
        Ok(Address::Temporary(_)) => matches!(error, RESOURCELOCKED | NOTFOUND),
        // Somebody has deleted it since it was declared.
        Ok(Address::Queue(_)) => *error == NOTFOUND,
        _ => false,
    }
}

impl<'a> Consuming<'a> {
    /// `None` for what is no queue, which was refused when it was subscribed to.
    async fn begin(
        shared: &'a Shared,
        connection: &Connection,
        queue: &Destination,
        consumers: &Arc<Consumers<DeliveryTag>>,
    ) -> lapin::Result<Option<Self>> {
        let Ok(address) = Address::of(queue) else { return Ok(None) };
        let (Address::Queue(name) | Address::ExistingQueue(name) | Address::Temporary(name)) =
            &address
        else {
            return Ok(None);
        };
        let (name, consumers) = (name.clone(), Arc::clone(consumers));
        let channel = connection.create_channel().await?;
        let sharing = Sharing::new(!matches!(address, Address::ExistingQueue(_)));
        Ok(Some(Self {
            shared,
            queue: queue.clone(),
            address,
            name,
            channel,
            consumers,
            granted: Granted::default(),
            sharing,
            arriving: SelectAll::new(),
        }))
    }

    async fn run(mut self) -> lapin::Result<()> {
        // Again where somebody has deleted the queue.
        loop {
            declare(&self.channel, &self.address).await?;
            let ended = self.run_on_queue().await?;
            if ended {
                if let Address::Temporary(name) = self.address {
                    let options = QueueDeleteOptions::default();
                    self.channel.queue_delete(name, options).await?;
                }
                return self.channel.close(200, ShortString::default()).await;
            }
        }
    }

    /// Consumes for as long as there are consumers here. Returns whether it is to stop; else the queue is
    /// not there any more.
    async fn run_on_queue(&mut self) -> lapin::Result<bool> {
        let mut is_listening = false;
        loop {
            // Asked first: all that was settled by those who have left is then told to RabbitMQ.
            let stops = self.consumers.is_stopping();
            self.settle().await?;
            if stops {
                // Who has come meanwhile finds the subscription stopped, and has it begun again.
                return Ok(true);
            }
            let later = self.adjust().await?;
            if !std::mem::replace(&mut is_listening, true) {
                self.shared.queues.listening(&self.queue);
            }
            self.consumers.dispatch(Instant::now());
            tokio::select! {
                came = next(&mut self.arriving), if !self.arriving.is_empty() => {
                    self.take(&came?);
                    if self.arriving.is_empty() {
                        self.granted.all_ended();
                        return Ok(false);
                    }
                }
                () = self.consumers.changed() => {}
                () = tokio::time::sleep(later.unwrap_or_default()), if later.is_some() => {}
            }
        }
    }

    /// Has RabbitMQ hand over as many messages as the consumers here have credit for. Returns when to ask
    /// again, if nothing happens.
    async fn adjust(&mut self) -> lapin::Result<Option<Duration>> {
        let credit = self.consumers.credit();
        let to_be_one = self.arriving.len() > SEVERAL && self.granted.is_idle();
        if self.granted.exceeds(credit) || to_be_one {
            self.cancel().await?;
        }
        let Some(window) = self.granted.next_window(credit) else { return Ok(None) };
        if self.arriving.is_empty() || self.sharing.is_shared() {
            self.begin_consumer(window).await?;
        } else if self.granted.is_idle() {
            self.begin_anew().await?;
        } else if self.granted.is_full() {
            let stays = self.sharing.stays(Instant::now());
            if stays.is_some() && !self.granted.is_less_than(window) {
                return Ok(stays);
            }
            self.sharing.begins_anew(Instant::now());
            if self.sharing.is_stream() || !self.shares(window).await? {
                self.begin_anew().await?;
            }
        }
        Ok(None)
    }

    async fn begin_consumer(&mut self, window: u16) -> lapin::Result<()> {
        self.channel.basic_qos(window, BasicQosOptions::default()).await?;
        let (name, tag) = (self.name.clone(), ShortString::default());
        let (options, mut arguments) = (BasicConsumeOptions::default(), self.sharing.arguments());
        if matches!(self.address, Address::Queue(_)) && self.shared.tells_of_end.load(Relaxed) {
            arguments.insert(TELL.into(), AMQPValue::Boolean(true));
        }
        self.arriving.push(self.channel.basic_consume(name, tag, options, arguments).await?);
        self.granted.grant(window);
        Ok(())
    }

    /// Begins a second consumer beside one that is handed no more, and finds out whether it is handed
    /// anything while there are messages. Returns whether it is.
    async fn shares(&mut self, window: u16) -> lapin::Result<bool> {
        let held = self.granted.held();
        self.begin_consumer(window).await?;
        // What the queue had handed over when it answered has come by the second answer.
        for is_last in [false, true] {
            let passive = QueueDeclareOptions { passive: true, ..<_>::default() };
            let asked = self.channel.queue_declare(self.name.clone(), passive, <_>::default());
            let waiting = asked.await?.message_count();
            let came = next(&mut self.arriving).now_or_never();
            self.take(&came.transpose()?.unwrap_or_default());
            if self.granted.held() > held {
                self.sharing.shares();
                return Ok(true);
            }
            if waiting == 0 {
                break;
            }
            if is_last {
                self.sharing.does_not_share();
            }
        }
        Ok(false)
    }

    /// Begins one consumer at RabbitMQ instead of those that there are.
    async fn begin_anew(&mut self) -> lapin::Result<()> {
        self.cancel().await?;
        if self.sharing.is_alone() {
            self.await_idle().await?;
        }
        if let Some(window) = self.granted.next_window(self.consumers.credit()) {
            self.begin_consumer(window).await?;
        }
        Ok(())
    }

    /// Waits for what is settled in no time: all that is held makes the next consumer's window smaller.
    async fn await_idle(&mut self) -> lapin::Result<()> {
        let mut too_long = pin!(tokio::time::sleep(UNTIL_IDLE));
        while !self.granted.is_idle() {
            self.consumers.dispatch(Instant::now());
            tokio::select! {
                () = &mut too_long => break,
                () = self.consumers.changed() => {}
            }
            self.settle().await?;
        }
        Ok(())
    }

    /// Ends the consumers at RabbitMQ, keeps what they had handed over, and gives back what is too much.
    async fn cancel(&mut self) -> lapin::Result<()> {
        for consumer in &self.arriving {
            self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await?;
        }
        while !self.arriving.is_empty() {
            let came = next(&mut self.arriving).await?;
            self.take(&came);
        }
        // A stream takes nothing back.
        if !self.sharing.is_stream() {
            for (tag, _) in self.consumers.take_surplus() {
                self.requeue(tag).await?;
            }
        }
        self.granted.all_ended();
        Ok(())
    }

    fn take(&mut self, came: &[Message]) {
        for message in came {
            let shared = message_of(&self.queue, &message.properties, &message.data);
            let attempts = earlier_deliveries(&message.properties, message.redelivered);
            self.granted.came(message.delivery_tag);
            self.sharing.came(&message.properties);
            self.consumers.arrived(message.delivery_tag, shared, attempts);
        }
    }

    /// Tells RabbitMQ what was settled, all of it in one write.
    async fn settle(&mut self) -> lapin::Result<()> {
        let settled = self.consumers.take_settled();
        for Settled::Done(tag) | Settled::Requeue(tag) in &settled {
            self.granted.settled(*tag);
        }
        let telling = settled.into_iter().map(|it| tell(&self.channel, it));
        try_join_all(telling).await.map(|_| ())
    }

    async fn requeue(&mut self, tag: DeliveryTag) -> lapin::Result<()> {
        self.granted.settled(tag);
        tell(&self.channel, Settled::Requeue(tag)).await
    }
}

async fn tell(channel: &Channel, settled: Settled<DeliveryTag>) -> lapin::Result<()> {
    match settled {
        Settled::Done(tag) => channel.basic_ack(tag, BasicAckOptions::default()).await,
        Settled::Requeue(tag) => {
            channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true }).await
        }
    }
}

/// Waits for messages, or the end of all consumers, and returns what is here, in the order of the queue.
async fn next(arriving: &mut SelectAll<Consumer>) -> lapin::Result<Vec<Message>> {
    let mut came = Vec::new();
    let mut next = arriving.next().await;
    while let Some(message) = next {
        came.push(message?);
        next = arriving.next().now_or_never().flatten();
    }
    // Each consumer brings its own in their order.
    came.sort_unstable_by_key(|message| message.delivery_tag);
    Ok(came)
}
