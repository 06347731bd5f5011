use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_nats::jetstream::stream::Stream;
use async_nats::{Client, Subject, Subscriber, jetstream};
use futures_util::StreamExt;
use tokio::time::{MissedTickBehavior, interval};

use super::super::Destination;
use super::super::engine::Settled;
use super::node::{Local, Node};
use super::{message, stream};

/// A queue that has consumers on this node: asks JetStream for as many messages as they have credit
/// for.
struct Queue {
    node: Arc<Node>,
    client: Client,
    destination: Destination,
    local: Arc<Local>,
    /// What asks for messages is sent there.
    next: String,
    inbox: String,
    messages: Subscriber,
    /// How many were asked for and did not come.
    wanted: usize,
    /// Those that came and are not settled: by what each is settled at JetStream.
    held: BTreeMap<u64, Subject>,
    last: u64,
}

/// The connection is lost.
struct Lost;

/// How long JetStream keeps a request, in nanoseconds. A queue that is left waits for its last ones:
/// a message that comes for nobody would be out until it is handed out again.
const EXPIRES: u64 = 1_000_000_000;

/// The most that one request asks for.
const REQUEST: usize = 1_000;

/// Consumes from a queue until it has no consumers here, or the connection is lost.
pub(super) async fn consume(
    node: Arc<Node>,
    client: Client,
    stream: Stream,
    destination: Destination,
) {
    let Some(local) = node.queue(&destination) else {
        node.upstreams.stopped(&destination);
        return;
    };
    node.doubt.opened(stream.cached_info().state.last_sequence);
    let name = match stream::consumer(&node, &stream, &destination).await {
        Ok(name) => name,
        Err(error) => {
            node.refuse_queue(&destination, &error);
            return;
        }
    };
    let inbox = client.new_inbox();
    let Ok(messages) = client.subscribe(inbox.clone()).await else { return };
    node.upstreams.listening(&destination);
    let mut queue = Queue {
        node: Arc::clone(&node),
        next: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", node.queue_stream.name),
        destination,
        local,
        client,
        inbox,
        messages,
        wanted: 0,
        held: BTreeMap::new(),
        last: 0,
    };
    if queue.run().await.is_ok() {
        queue.local.consumers.lost();
        node.forget_if_empty(&queue.destination);
        node.upstreams.stopped(&queue.destination);
    }
}

impl Queue {
    async fn run(&mut self) -> Result<(), Lost> {
        let mut progress = interval(stream::IN_PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.local.consumers.is_stopping() {
            self.give_back_surplus().await?;
            self.ask().await?;
            tokio::select! {
                arrived = self.messages.next() => {
                    self.arrived(&arrived.ok_or(Lost)?, true);
                    self.local.consumers.dispatch(Instant::now());
                }
                () = self.local.consumers.changed() => {
                    self.settle().await?;
                    self.local.consumers.dispatch(Instant::now());
                }
                _ = progress.tick() => {
                    for subject in self.held.values() {
                        self.say(subject.clone(), "+WPI").await?;
                    }
                }
            }
        }
        self.give_back().await
    }

    /// Asks for as many messages as the consumers may hold more.
    async fn ask(&mut self) -> Result<(), Lost> {
        let credit = self.local.consumers.credit().min(REQUEST);
        let more = credit.saturating_sub(self.held.len() + self.wanted);
        // Not for each message that is settled.
        if more == 0 || (self.wanted > 0 && more < credit / 2) {
            return Ok(());
        }
        self.wanted += more;
        let request = format!(r#"{{"batch":{more},"expires":{EXPIRES}}}"#);
        let (next, inbox) = (self.next.clone(), self.inbox.clone());
        self.client.publish_with_reply(next, inbox, request.into()).await.map_err(|_| Lost)
    }

    /// Takes a message, or that a request has ended without all that it asked for.
    fn arrived(&mut self, arrived: &async_nats::Message, deliver: bool) {
        if arrived.status.is_some() {
            let headers = arrived.headers.as_ref();
            let pending = headers.and_then(|it| it.get("Nats-Pending-Messages"));
            let pending = pending.and_then(|it| it.as_str().parse().ok());
            self.wanted = self.wanted.saturating_sub(pending.unwrap_or(usize::MAX));
            return;
        }
        let Some(subject) = arrived.reply.clone() else { return };
        self.wanted = self.wanted.saturating_sub(1);
        self.last += 1;
        self.held.insert(self.last, subject);
        if deliver {
            let (headers, payload) = (arrived.headers.as_ref(), &arrived.payload);
            let (message, _) = message::message(self.destination.clone(), headers, payload);
            let (place, delivered) = place(&self.client, arrived);
            let attempts = self.node.doubt.earlier_attempts(place, delivered);
            self.local.consumers.arrived(self.last, message.into_shared(), attempts);
        }
    }

    /// Tells JetStream what was settled.
    async fn settle(&mut self) -> Result<(), Lost> {
        for settled in self.local.consumers.take_settled() {
            let (Settled::Done(key) | Settled::Requeue(key)) = settled;
            let answer = if matches!(settled, Settled::Done(_)) { "+ACK" } else { "-NAK" };
            if let Some(subject) = self.held.remove(&key) {
                self.say(subject, answer).await?;
            }
        }
        Ok(())
    }

    /// Gives back what was asked for by a consumer that has left, unless it would come again.
    async fn give_back_surplus(&mut self) -> Result<(), Lost> {
        if self.wanted == 0 {
            for (key, _) in self.local.consumers.take_surplus().into_iter().rev() {
                if let Some(subject) = self.held.remove(&key) {
                    self.say(subject, "-NAK").await?;
                }
            }
        }
        Ok(())
    }

    /// Gives back what is not settled, in order, once nothing more can come: otherwise it would be
    /// handed out to this node again.
    async fn give_back(&mut self) -> Result<(), Lost> {
        while self.wanted > 0 {
            let arrived = self.messages.next().await.ok_or(Lost)?;
            self.arrived(&arrived, false);
        }
        self.settle().await?;
        for (_, subject) in std::mem::take(&mut self.held) {
            self.say(subject, "-NAK").await?;
        }
        Ok(())
    }

    async fn say(&self, subject: Subject, what: &'static str) -> Result<(), Lost> {
        self.client.publish(subject, what.into()).await.map_err(|_| Lost)
    }
}

/// The place of a message in the stream, and how often it was handed out, this time included.
fn place(client: &Client, arrived: &async_nats::Message) -> (u64, u32) {
    let context = jetstream::new(client.clone());
    let message = jetstream::Message { message: arrived.clone(), context };
    message.info().map_or((0, 1), |info| {
        (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(u32::MAX))
    })
}
