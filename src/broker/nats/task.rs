use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::client::PublishErrorKind;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::super::engine::{Backoff, Change, Item};
use super::super::{BrokerError, Destination, Message};
use super::address::Address;
use super::link::Link;
use super::listener::{Listener, Seen};
use super::message::{self, Origin};
use super::node::{ENGINE, Node};
use super::queue::consume;
use super::stream::{self, refused};

/// What a node is doing at NATS: the one task that talks to it, over one connection after the other.
pub(super) struct Task {
    node: Arc<Node>,
    address: Address,
    backoff: Backoff,
    /// For as long as somebody listens there: one for each subject.
    seen: HashMap<Destination, Vec<Arc<Mutex<Seen>>>>,
}

/// What is done over one connection.
struct Exchange<'a> {
    task: &'a mut Task,
    link: Link,
    listeners: HashMap<Destination, Vec<Listener>>,
    /// The rounds that the server has not answered.
    rounds: VecDeque<Round>,
    last_round: u64,
    /// What the next round is about.
    next: Round,
    /// The stream of the queues, as soon as it was needed.
    stream: Option<Stream>,
    /// The queues that have consumers here.
    queues: JoinSet<()>,
    /// What JetStream has not confirmed, and since when.
    unconfirmed: BTreeMap<u64, (Instant, Destination)>,
}

/// What was sent, and is done when the server answers the question behind it: one round trip for
/// all of it.
struct Round {
    number: u64,
    asked: Instant,
    published: Vec<(u64, Destination)>,
    /// What was subscribed to.
    listening: Vec<Destination>,
    /// What was subscribed to in the round before. It is confirmed by this one, since the client may
    /// tell of a denial a moment after the answer.
    confirmed: Vec<Destination>,
}

/// The connection is lost, or as good as lost.
struct Lost;

/// The most that shares a round.
const ROUND: usize = 512;

/// How long the server may take to answer or to accept what is sent. One that hangs is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is seen whether the server answers, and whether something has waited too long.
const LOOK: Duration = Duration::from_secs(1);

impl Task {
    pub(super) fn new(node: Arc<Node>, address: Address) -> Self {
        Self { node, address, backoff: Backoff::new(), seen: HashMap::new() }
    }

    /// Goes on until it is aborted.
    pub(super) async fn run(mut self, first: Link) {
        let mut link = first;
        loop {
            Exchange::new(&mut self, link).run().await;
            self.node.upstreams.lost();
            self.node.outbox.lost();
            link = self.connect().await;
            let upstreams = &self.node.upstreams;
            self.seen.retain(|destination, _| upstreams.is_wanted(destination));
        }
    }

    async fn connect(&mut self) -> Link {
        loop {
            let delay = self.backoff.delay();
            let attempt = async {
                sleep(delay).await;
                Link::connect(&self.address).await
            };
            tokio::pin!(attempt);
            let link = loop {
                tokio::select! {
                    link = &mut attempt => break link,
                    () = sleep(LOOK) => self.node.expire(Instant::now()),
                }
            };
            // Why it failed will be the same as why publishers are refused.
            if let Ok(link) = link {
                return link;
            }
        }
    }
}

impl<'a> Exchange<'a> {
    fn new(task: &'a mut Task, link: Link) -> Self {
        Self {
            task,
            link,
            listeners: HashMap::new(),
            rounds: VecDeque::new(),
            last_round: 0,
            next: Round::new(),
            stream: None,
            queues: JoinSet::new(),
            unconfirmed: BTreeMap::new(),
        }
    }

    async fn run(mut self) {
        let lost = self.link.lost();
        tokio::select! {
            () = lost => {}
            Err(Lost) = self.exchange() => {}
        }
        self.queues.shutdown().await;
        self.task.node.queues_lost();
        for (destination, listeners) in std::mem::take(&mut self.listeners) {
            for listener in listeners {
                listener.end().await;
            }
            self.task.node.router.gap(&destination);
        }
    }

    async fn exchange(&mut self) -> Result<(), Lost> {
        let node = Arc::clone(&self.task.node);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let dropped = self.link.dropped();
            tokio::select! {
                change = node.upstreams.change() => {
                    in_time(self.round(Some(change), None)).await?;
                }
                item = node.outbox.next() => in_time(self.round(None, Some(item))).await?,
                answer = self.link.answers.next() => {
                    in_time(self.answered(&answer.ok_or(Lost)?.payload)).await?;
                }
                confirmation = self.link.confirmations.next() => {
                    self.confirmed(&confirmation.ok_or(Lost)?);
                }
                Some(_) = self.queues.join_next() => {}
                () = dropped => self.tell_all_of_gap(),
                _ = look.tick() => in_time(self.look()).await?,
            }
        }
    }

    /// Does what there is to do, and asks the server behind it.
    async fn round(
        &mut self,
        change: Option<Change>,
        item: Option<Item<Message>>,
    ) -> Result<(), Lost> {
        let node = Arc::clone(&self.task.node);
        if let Some(change) = change {
            self.change(change).await?;
        }
        let mut item = item.or_else(|| node.outbox.try_next());
        for _ in 0..ROUND {
            // Who subscribed before this was published gets it.
            while let Some(change) = node.upstreams.try_change() {
                self.change(change).await?;
            }
            let Some(it) = item.take().or_else(|| node.outbox.try_next()) else { break };
            self.publish(it).await?;
        }
        self.ask().await
    }

    async fn change(&mut self, change: Change) -> Result<(), Lost> {
        match change {
            Change::Listen(queue) if self.task.node.is_queue(&queue) => {
                match self.stream(&queue).await {
                    Ok(stream) => {
                        // Before anybody can say that it is to stop.
                        if let Some(local) = self.task.node.queue(&queue) {
                            local.consumers.begin();
                        }
                        let (node, client) =
                            (Arc::clone(&self.task.node), self.link.client.clone());
                        self.queues.spawn(consume(node, client, stream, queue));
                    }
                    Err(error) => self.task.node.refuse_queue(&queue, &error),
                }
            }
            Change::Stop(queue) if self.task.node.is_queue(&queue) => {
                match self.task.node.queue(&queue) {
                    Some(local) => local.consumers.stop(),
                    None => self.task.node.upstreams.stopped(&queue),
                }
            }
            Change::Listen(destination) => {
                let listeners = self.listen(&destination).await?;
                self.listeners.insert(destination.clone(), listeners);
                self.next.listening.push(destination);
            }
            Change::Stop(destination) => {
                for listener in self.listeners.remove(&destination).into_iter().flatten() {
                    listener.end().await;
                }
                self.task.seen.remove(&destination);
                self.task.node.upstreams.stopped(&destination);
            }
        }
        Ok(())
    }

    async fn listen(&mut self, destination: &Destination) -> Result<Vec<Listener>, Lost> {
        let node = &self.task.node;
        let subjects = node.subjects.matching(destination);
        let seen = self.task.seen.entry(destination.clone()).or_default();
        seen.resize_with(subjects.len(), Arc::default);
        let mut listeners = Vec::with_capacity(subjects.len());
        for (subject, seen) in subjects.into_iter().zip(seen) {
            let messages = self.link.client.subscribe(subject).await.map_err(|_| Lost)?;
            let (node, seen) = (Arc::clone(node), Arc::clone(seen));
            listeners.push(Listener::new(node, destination.clone(), messages, seen));
        }
        Ok(listeners)
    }

    async fn publish(&mut self, item: Item<Message>) -> Result<(), Lost> {
        let Item { number, what: message, .. } = item;
        let node = &self.task.node;
        let subject = node.subjects.of(message.destination());
        let headers = message::headers(&message, Origin { node: node.number, number });
        let payload = Bytes::copy_from_slice(message.body());
        let destination = message.destination();
        let client = self.link.client.clone();
        let sent = if node.is_queue(destination) {
            if let Err(error) = self.stream(destination).await {
                self.task.node.outbox.answer(number, Err(error));
                return Ok(());
            }
            self.unconfirmed.insert(number, (Instant::now(), destination.clone()));
            let confirmation = self.link.confirmation(number);
            client.publish_with_reply_and_headers(subject, confirmation, headers, payload).await
        } else {
            self.next.published.push((number, destination.clone()));
            client.publish_with_headers(subject, headers, payload).await
        };
        match sent {
            Ok(()) => {}
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                self.unconfirmed.remove(&number);
                let answer = BrokerError::TooLarge {
                    destination: destination.to_string(),
                    limit: client.max_payload(),
                };
                // That it stands in the round does no harm: it is answered now.
                self.task.node.outbox.answer(number, Err(answer));
            }
            Err(_) => return Err(Lost),
        }
        Ok(())
    }

    /// The stream of the queues: without it none of them can do anything.
    async fn stream(&mut self, queue: &Destination) -> Result<Stream, BrokerError> {
        if let Some(stream) = &self.stream {
            return Ok(stream.clone());
        }
        let stream = stream::open(&self.task.node, &self.link.client, queue).await?;
        self.stream = Some(stream.clone());
        Ok(stream)
    }

    /// What JetStream says to a message to a queue.
    fn confirmed(&mut self, confirmation: &async_nats::Message) {
        let number = confirmation.subject.rsplit('.').next().and_then(|it| it.parse().ok());
        let Some(number) = number else { return };
        let Some((_, destination)) = self.unconfirmed.remove(&number) else { return };
        let text = String::from_utf8_lossy(&confirmation.payload);
        let answer = match confirmation.status {
            Some(status) => Err(refused(&destination, format!("JetStream answers {status}"))),
            None if text.contains("\"error\"") => Err(refused(&destination, text.into_owned())),
            None => Ok(()),
        };
        self.task.node.outbox.answer(number, answer);
    }

    async fn ask(&mut self) -> Result<(), Lost> {
        self.last_round += 1;
        let round = std::mem::replace(&mut self.next, Round::new());
        self.rounds.push_back(Round { number: self.last_round, asked: Instant::now(), ..round });
        self.link.ask(self.last_round).await.map_err(|_| Lost)
    }

    /// The server has taken everything before this question, or said that it does not permit it.
    async fn answered(&mut self, payload: &[u8]) -> Result<(), Lost> {
        let Ok(number) = payload.try_into().map(u64::from_be_bytes) else { return Ok(()) };
        self.task.backoff.reset();
        let denied = self.link.denied();
        while self.rounds.front().is_some_and(|round| round.number <= number)
            && let Some(round) = self.rounds.pop_front()
        {
            for (published, destination) in round.published {
                let answer = self.judge(&denied, "Publish", &destination);
                self.task.node.outbox.answer(published, answer);
            }
            self.next.confirmed.extend(round.listening);
            for destination in round.confirmed {
                match self.judge(&denied, "Subscription", &destination) {
                    Ok(()) => self.task.node.upstreams.listening(&destination),
                    Err(error) => {
                        self.listeners.remove(&destination);
                        self.task.seen.remove(&destination);
                        self.task.node.upstreams.refused(&destination, &error);
                    }
                }
            }
        }
        if self.next.confirmed.is_empty() { Ok(()) } else { self.ask().await }
    }

    /// Whether something was permitted: `denied` is what was not.
    fn judge(
        &self,
        denied: &[String],
        what: &str,
        destination: &Destination,
    ) -> Result<(), BrokerError> {
        if denied.is_empty() {
            return Ok(());
        }
        let subjects = self.task.node.subjects.matching(destination);
        let quoted: Vec<_> = subjects.iter().map(|subject| format!("\"{subject}\"")).collect();
        let about = |text: &&String| {
            text.contains(what) && quoted.iter().any(|subject| text.contains(subject))
        };
        match denied.iter().find(about) {
            None => Ok(()),
            Some(reason) => Err(refused(destination, reason.clone())),
        }
    }

    /// Sees whether the server still answers.
    async fn look(&mut self) -> Result<(), Lost> {
        self.task.node.upstreams.expire(ENGINE, Instant::now());
        let unconfirmed = self.unconfirmed.values().next();
        if unconfirmed.is_some_and(|(sent, _)| sent.elapsed() > PATIENCE) {
            return Err(Lost);
        }
        match self.rounds.front() {
            Some(oldest) if oldest.asked.elapsed() > PATIENCE => Err(Lost),
            Some(_) => Ok(()),
            None => self.ask().await,
        }
    }

    /// The client has dropped messages, and does not say whose.
    fn tell_all_of_gap(&self) {
        for destination in self.listeners.keys() {
            self.task.node.router.gap(destination);
        }
    }
}

impl Round {
    fn new() -> Self {
        let (published, listening, confirmed) = (Vec::new(), Vec::new(), Vec::new());
        Self { number: 0, asked: Instant::now(), published, listening, confirmed }
    }
}

async fn in_time(sending: impl Future<Output = Result<(), Lost>>) -> Result<(), Lost> {
    timeout(PATIENCE, sending).await.unwrap_or(Err(Lost))
}
