use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_nats::{Client, StatusCode, Subject, Subscriber, jetstream};
use futures_util::{FutureExt, StreamExt};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::super::engine::{Backoff, Settled};
use super::super::{BrokerError, Destination, Message};
use super::node::{Local, Node};
use super::streams::Streams;
use super::{message, stream};

/// A queue that has consumers on this node: asks JetStream for as many messages as they have credit
/// for.
struct Queue {
    node: Arc<Node>,
    client: Client,
    streams: Arc<Streams>,
    destination: Destination,
    local: Arc<Local>,
    /// What hands out its messages, for all nodes.
    source: stream::Source,
    inbox: String,
    messages: Subscriber,
    /// How many were asked for and did not come, and when it was asked last.
    wanted: usize,
    asked: Instant,
    trouble: Option<Trouble>,
    /// Those that came and are not settled: by what each is settled at JetStream.
    held: BTreeMap<u64, Subject>,
    last: u64,
}

/// JetStream has not answered as it does: what hands out the messages may be gone, or nobody lead it.
struct Trouble {
    since: Instant,
    backoff: Backoff,
    /// When it is looked for again; `None` while it is asked, after it was found.
    again: Option<Instant>,
}

/// What ends a queue here, beside that nobody consumes from it any more.
enum Ended {
    /// The connection is lost.
    Lost,
    /// JetStream refuses it.
    Refused(BrokerError),
}

/// A message that came.
struct Arrived {
    /// Its place in the stream.
    place: u64,
    /// How often it was handed out, this time included.
    delivered: u32,
    /// When it came to the stream, by the clock of its server.
    published: Option<SystemTime>,
}

/// How long JetStream keeps a request. A queue that is left waits for its last ones: a message that
/// comes for nobody would be out until it is handed out again.
const EXPIRES: Duration = Duration::from_secs(1);

/// After how long a request will not be answered any more: who was to do so is gone.
const UNANSWERED: Duration = Duration::from_secs(3);

/// How long it is looked for what hands out the messages where JetStream refuses it. While it does not
/// answer, there is no end to that.
const SOUGHT: Duration = Duration::from_secs(10);

/// The most that is asked for at once.
const REQUEST: usize = 1_000;

/// How many messages are taken before they are delivered, if so many are there.
const TOGETHER: usize = 64;

/// Consumes from a queue until it has no consumers here, or the connection is lost.
pub(super) async fn consume(
    node: Arc<Node>,
    client: Client,
    streams: Arc<Streams>,
    destination: Destination,
) {
    let Some(local) = node.queue(&destination) else {
        node.upstreams.stopped(&destination);
        return;
    };
    let mut backoff = Backoff::new();
    let source = loop {
        match open(&node, &streams, &destination).await {
            Ok(source) => break source,
            // Who is new waits for it for a bounded time, who was there before for as long as it takes.
            Err(BrokerError::Unavailable { .. }) if node.upstreams.is_wanted(&destination) => {
                sleep(backoff.delay()).await;
            }
            Err(BrokerError::Unavailable { .. }) => {
                end(&node, &local, &destination);
                return;
            }
            Err(error) => {
                node.refuse_queue(&destination, &error);
                return;
            }
        }
    };
    let inbox = client.new_inbox();
    let Ok(messages) = client.subscribe(inbox.clone()).await else { return };
    node.doubt.opened(source.end_of_stream);
    node.upstreams.listening(&destination);
    let mut queue = Queue {
        node: Arc::clone(&node),
        client,
        streams,
        destination,
        local,
        source,
        inbox,
        messages,
        wanted: 0,
        asked: Instant::now(),
        trouble: None,
        held: BTreeMap::new(),
        last: 0,
    };
    match queue.run().await {
        Ok(()) => end(&node, &queue.local, &queue.destination),
        Err(Ended::Refused(error)) => node.refuse_queue(&queue.destination, &error),
        Err(Ended::Lost) => {}
    }
}

/// Nobody consumes from a queue here any more.
fn end(node: &Node, local: &Local, queue: &Destination) {
    local.consumers.lost();
    node.forget_if_empty(queue);
    node.upstreams.stopped(queue);
}

/// Finds what hands out the messages of a queue, or makes it.
async fn open(
    node: &Node,
    streams: &Streams,
    queue: &Destination,
) -> Result<stream::Source, BrokerError> {
    let stream = streams.open(&node.queue_stream, queue).await?;
    let source = stream::source(node, &stream, queue).await;
    if source.is_err() {
        // It may be the stream that is gone.
        streams.forget(&node.queue_stream.name);
    }
    source
}

impl Queue {
    async fn run(&mut self) -> Result<(), Ended> {
        let mut progress = interval(stream::IN_PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.local.consumers.is_stopping() {
            self.give_back_surplus().await?;
            self.ask().await?;
            let again = self.trouble.as_ref().and_then(|trouble| trouble.again);
            tokio::select! {
                arrived = self.messages.next() => {
                    self.take_all(&arrived.ok_or(Ended::Lost)?).await?;
                    self.local.consumers.dispatch(Instant::now());
                }
                () = self.local.consumers.changed() => {
                    self.settle().await?;
                    self.local.consumers.dispatch(Instant::now());
                }
                () = sleep_until(again.unwrap_or(self.asked).into()), if again.is_some() => {
                    self.look_for_source().await?;
                }
                _ = progress.tick() => self.go_on().await?,
            }
        }
        self.give_back().await
    }

    /// Asks for as many messages as the consumers may hold more.
    async fn ask(&mut self) -> Result<(), Ended> {
        if self.trouble.as_ref().is_some_and(|trouble| trouble.again.is_some()) {
            return Ok(());
        }
        let credit = self.local.consumers.credit();
        let more = credit.saturating_sub(self.held.len() + self.wanted);
        // Not for each message that is settled, and not for all that many consumers might take at once.
        let more = more.min(REQUEST.saturating_sub(self.wanted));
        if more == 0 || (self.wanted > 0 && more < credit.min(REQUEST) / 2) {
            return Ok(());
        }
        self.wanted += more;
        self.asked = Instant::now();
        let request = format!(r#"{{"batch":{more},"expires":{}}}"#, EXPIRES.as_nanos());
        let stream = &self.node.queue_stream.name;
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", self.source.name);
        let asking = self.client.publish_with_reply(next, self.inbox.clone(), request.into());
        asking.await.map_err(|_| Ended::Lost)
    }

    /// Takes what arrived, and what came with it: it is delivered together.
    async fn take_all(&mut self, first: &async_nats::Message) -> Result<(), Ended> {
        self.take(first).await?;
        for _ in 1..TOGETHER {
            let Some(Some(more)) = self.messages.next().now_or_never() else { break };
            self.take(&more).await?;
        }
        Ok(())
    }

    /// Takes a message, or that a request has ended without all that it asked for.
    async fn take(&mut self, arrived: &async_nats::Message) -> Result<(), Ended> {
        if let Some(status) = arrived.status {
            self.request_ended(status, arrived);
            return Ok(());
        }
        self.trouble = None;
        let Some(key) = self.hold(arrived) else { return Ok(()) };
        let (headers, payload) = (arrived.headers.as_ref(), &arrived.payload);
        let (message, _) = message::message(self.destination.clone(), headers, payload);
        let Arrived { place, delivered, published } = Arrived::new(&self.client, arrived);
        if self.has_expired(&message, published) {
            return self.answer(key, "+ACK").await;
        }
        let attempts = self.node.doubt.earlier_attempts(place, delivered);
        self.local.consumers.arrived(key, message.into_shared(), attempts);
        Ok(())
    }

    /// Notes a message that came. Returns its key.
    fn hold(&mut self, arrived: &async_nats::Message) -> Option<u64> {
        let subject = arrived.reply.clone()?;
        self.wanted = self.wanted.saturating_sub(1);
        self.last += 1;
        self.held.insert(self.last, subject);
        Some(self.last)
    }

    /// Whether a message has waited for longer than it or its rule says.
    fn has_expired(&self, message: &Message, published: Option<SystemTime>) -> bool {
        let own = message.expiration().ok().flatten();
        let rule = self.node.rules.policy(&self.destination).queue.expiration;
        let (Some(longest), Some(published)) = (own.into_iter().chain(rule).min(), published)
        else {
            return false;
        };
        published.elapsed().is_ok_and(|waited| waited >= longest)
    }

    /// A request has ended: in time, or since JetStream cannot do what it asks for.
    fn request_ended(&mut self, status: StatusCode, answer: &async_nats::Message) {
        let pending = answer.headers.as_ref().and_then(|it| it.get("Nats-Pending-Messages"));
        let pending = pending.and_then(|it| it.as_str().parse().ok());
        self.wanted = self.wanted.saturating_sub(pending.unwrap_or(usize::MAX));
        if matches!(status, StatusCode::TIMEOUT | StatusCode::NOT_FOUND) {
            self.trouble = None;
        } else {
            self.is_in_trouble();
        }
    }

    /// Asks no more until it was looked for what hands out the messages.
    fn is_in_trouble(&mut self) {
        let now = Instant::now();
        let new = || Trouble { since: now, backoff: Backoff::new(), again: None };
        let trouble = self.trouble.get_or_insert_with(new);
        trouble.again = Some(now + trouble.backoff.delay());
    }

    /// Finds what hands out the messages again, or makes another one.
    async fn look_for_source(&mut self) -> Result<(), Ended> {
        self.streams.forget(&self.node.queue_stream.name);
        match open(&self.node, &self.streams, &self.destination).await {
            Ok(source) => {
                if source.made != self.source.made {
                    // It knows nothing of what the one before has handed out.
                    self.held.clear();
                    self.local.consumers.lost();
                    self.node.doubt.begun_anew(source.end_of_stream);
                }
                self.source = source;
                if let Some(trouble) = &mut self.trouble {
                    // It was not gone for longer than until now.
                    trouble.since = Instant::now();
                    trouble.again = None;
                }
                Ok(())
            }
            Err(error) => {
                let since = self.trouble.as_ref().map(|trouble| trouble.since);
                let passes = matches!(error, BrokerError::Unavailable { .. });
                if !passes && since.is_some_and(|since| since.elapsed() > SOUGHT) {
                    return Err(Ended::Refused(error));
                }
                self.is_in_trouble();
                Ok(())
            }
        }
    }

    /// Says of all messages that are here that they are worked on, and sees whether the last request
    /// was answered.
    async fn go_on(&mut self) -> Result<(), Ended> {
        if self.wanted > 0 && self.asked.elapsed() > UNANSWERED {
            self.wanted = 0;
            self.is_in_trouble();
        }
        for subject in self.held.values() {
            self.say(subject.clone(), "+WPI").await?;
        }
        Ok(())
    }

    /// Tells JetStream what was settled.
    async fn settle(&mut self) -> Result<(), Ended> {
        for settled in self.local.consumers.take_settled() {
            let (Settled::Done(key) | Settled::Requeue(key)) = settled;
            let answer = if matches!(settled, Settled::Done(_)) { "+ACK" } else { "-NAK" };
            self.answer(key, answer).await?;
        }
        Ok(())
    }

    /// Gives back what was asked for by a consumer that has left, unless it would come again.
    async fn give_back_surplus(&mut self) -> Result<(), Ended> {
        if self.wanted == 0 {
            for (key, _) in self.local.consumers.take_surplus().into_iter().rev() {
                self.answer(key, "-NAK").await?;
            }
        }
        Ok(())
    }

    /// Gives back what is not settled, in order, once nothing more can come: otherwise it would be
    /// handed out to this node again.
    async fn give_back(&mut self) -> Result<(), Ended> {
        while self.wanted > 0 {
            let Ok(arrived) = timeout(UNANSWERED, self.messages.next()).await else { break };
            let arrived = arrived.ok_or(Ended::Lost)?;
            match arrived.status {
                Some(status) => self.request_ended(status, &arrived),
                None => _ = self.hold(&arrived),
            }
        }
        self.settle().await?;
        for (_, subject) in std::mem::take(&mut self.held) {
            self.say(subject, "-NAK").await?;
        }
        Ok(())
    }

    /// Settles a message, if it is here.
    async fn answer(&mut self, key: u64, what: &'static str) -> Result<(), Ended> {
        match self.held.remove(&key) {
            Some(subject) => self.say(subject, what).await,
            None => Ok(()),
        }
    }

    async fn say(&self, subject: Subject, what: &'static str) -> Result<(), Ended> {
        self.client.publish(subject, what.into()).await.map_err(|_| Ended::Lost)
    }
}

impl Arrived {
    fn new(client: &Client, arrived: &async_nats::Message) -> Self {
        let context = jetstream::new(client.clone());
        let message = jetstream::Message { message: arrived.clone(), context };
        message.info().map_or(Self { place: 0, delivered: 1, published: None }, |info| Self {
            place: info.stream_sequence,
            delivered: u32::try_from(info.delivered).unwrap_or(u32::MAX),
            published: Some(info.published.into()),
        })
    }
}
