use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::client::PublishErrorKind;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::super::engine::{Backoff, Change, Item};
use super::super::{BrokerError, Destination, Message};
use super::address::Address;
use super::holding::Holding;
use super::lane::UNCONFIRMED;
use super::link::{Link, judge};
use super::listeners::{Courses, Listeners};
use super::message::{self, Origin};
use super::node::{ENGINE, Node};
use super::queue::consume;
use super::streams::Streams;
use super::temporary::Confirmation;

/// What a node is doing at NATS: the one task that talks to it, over one connection after the other.
pub(super) struct Task {
    node: Arc<Node>,
    address: Address,
    backoff: Backoff,
    courses: Courses,
}

/// What is done over one connection.
struct Exchange<'a> {
    task: &'a mut Task,
    link: Link,
    listeners: Listeners,
    /// The rounds that the server has not answered.
    rounds: VecDeque<Round>,
    last_round: u64,
    /// What the next round is about.
    next: Round,
    streams: Arc<Streams>,
    holding: Holding,
    /// The queues that have consumers here.
    queues: JoinSet<()>,
}

/// What was sent, and is done when the server answers the question behind it: one round trip for
/// all of it.
struct Round {
    number: u64,
    asked: Instant,
    published: Vec<Published>,
    /// What was subscribed to.
    listening: Vec<Destination>,
    /// What was subscribed to in the round before. It is confirmed by this one, since the client may
    /// tell of a denial a moment after the answer.
    confirmed: Vec<Destination>,
}

/// A message that was sent.
struct Published {
    number: u64,
    destination: Destination,
    /// Whether JetStream is to confirm it.
    is_kept: bool,
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
        Self { node, address, backoff: Backoff::new(), courses: Courses::new() }
    }

    /// Goes on until it is aborted.
    pub(super) async fn run(mut self, first: Link) {
        let mut link = first;
        loop {
            Exchange::new(&mut self, link).run().await;
            self.node.upstreams.lost();
            self.node.outbox.lost();
            link = self.connect().await;
            self.forget_unwanted();
        }
    }

    /// Forgets what somebody has left while there was no connection.
    fn forget_unwanted(&mut self) {
        let node = &self.node;
        self.courses.retain(|destination, _| {
            let wanted = node.upstreams.is_wanted(destination);
            if !wanted {
                node.router.forget(destination);
            }
            wanted
        });
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
        let (node, streams) = (Arc::clone(&task.node), Arc::new(Streams::new(link.client.clone())));
        node.doubt.connected(link.client.server_info().server_id);
        Self {
            task,
            link,
            listeners: Listeners::new(Arc::clone(&node)),
            holding: Holding::new(node, Arc::clone(&streams)),
            streams,
            rounds: VecDeque::new(),
            last_round: 0,
            next: Round::new(),
            queues: JoinSet::new(),
        }
    }

    async fn run(mut self) {
        let lost = self.link.lost();
        tokio::select! {
            () = lost => {}
            Err(Lost) = self.exchange() => {}
        }
        self.holding.lost();
        self.queues.shutdown().await;
        self.task.node.queues_lost();
        self.listeners.lost().await;
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
                item = node.outbox.next(), if self.holding.unconfirmed() < UNCONFIRMED => {
                    in_time(self.round(None, Some(item))).await?;
                }
                answer = self.link.answers.next() => {
                    in_time(self.answered(&answer.ok_or(Lost)?.payload)).await?;
                }
                confirmation = self.link.confirmations.next() => {
                    in_time(self.confirmed(&confirmation.ok_or(Lost)?)).await?;
                }
                Some(_) = self.queues.join_next() => {}
                Some(()) = self.holding.opened() => in_time(self.publish_held()).await?,
                Some(ready) = self.listeners.ready() => {
                    self.listeners.is_ready(ready, &mut self.task.courses);
                }
                () = dropped => self.listeners.dropped(),
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
        let mut item = item;
        for _ in 0..ROUND {
            // Who subscribed before this was published gets it.
            while let Some(change) = node.upstreams.try_change() {
                self.change(change).await?;
            }
            let may_send = self.holding.unconfirmed() < UNCONFIRMED;
            let next = || may_send.then(|| node.outbox.try_next()).flatten();
            let Some(it) = item.take().or_else(next) else { break };
            self.publish(it).await?;
        }
        self.ask().await
    }

    async fn change(&mut self, change: Change) -> Result<(), Lost> {
        match change {
            Change::Listen(queue) if self.task.node.is_queue(&queue) => {
                // Before anybody can say that it is to stop.
                if let Some(local) = self.task.node.queue(&queue) {
                    local.consumers.begin();
                }
                let (node, streams) = (Arc::clone(&self.task.node), Arc::clone(&self.streams));
                self.queues.spawn(consume(node, self.link.client.clone(), streams, queue));
            }
            Change::Stop(queue) if self.task.node.is_queue(&queue) => {
                match self.task.node.queue(&queue) {
                    Some(local) => local.consumers.stop(),
                    None => self.task.node.upstreams.stopped(&queue),
                }
            }
            Change::Listen(topic) => {
                let courses = &mut self.task.courses;
                let listen = self.listeners.listen(&topic, courses, &self.link, &self.streams);
                listen.await.map_err(|_| Lost)?;
                self.next.listening.push(topic);
            }
            Change::Stop(topic) => self.listeners.stop(&topic, &mut self.task.courses).await,
        }
        Ok(())
    }

    async fn publish(&mut self, item: Item<Message>) -> Result<(), Lost> {
        let node = Arc::clone(&self.task.node);
        match node.stream_to_publish(item.what.destination()) {
            Some(stream) => {
                self.holding.push(stream, item);
                self.send_held().await
            }
            None => self.send(item, false).await,
        }
    }

    /// Publishes what its streams may have now.
    async fn send_held(&mut self) -> Result<(), Lost> {
        while let Some(item) = self.holding.next() {
            self.send(item, true).await?;
        }
        Ok(())
    }

    /// As [`send_held`](Self::send_held), in a round of its own.
    async fn publish_held(&mut self) -> Result<(), Lost> {
        self.send_held().await?;
        if self.next.published.is_empty() { Ok(()) } else { self.ask().await }
    }

    /// Publishes a message; whether JetStream is to confirm it is said.
    async fn send(&mut self, item: Item<Message>, is_kept: bool) -> Result<(), Lost> {
        let Item { number, what: message, .. } = item;
        let node = Arc::clone(&self.task.node);
        let destination = message.destination();
        let headers = message::headers(&message, Origin { node: node.number, number });
        let payload = Bytes::copy_from_slice(message.body());
        let client = self.link.client.clone();
        let subject = node.subject_to_publish(destination);
        self.next.published.push(Published { number, destination: destination.clone(), is_kept });
        let sent = if is_kept {
            let confirmation = self.link.confirmation(number);
            client.publish_with_reply_and_headers(subject, confirmation, headers, payload).await
        } else {
            client.publish_with_headers(subject, headers, payload).await
        };
        match sent {
            Ok(()) => {}
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                let error = BrokerError::TooLarge {
                    destination: destination.to_string(),
                    limit: client.max_payload(),
                };
                // That it stands in the round does no harm: it is answered now.
                self.refuse(number, error);
            }
            Err(_) => return Err(Lost),
        }
        Ok(())
    }

    fn refuse(&mut self, number: u64, error: BrokerError) {
        self.holding.take(number);
        self.task.node.outbox.answer(number, Err(error));
    }

    /// What JetStream says to a message that it is to keep.
    async fn confirmed(&mut self, confirmation: &async_nats::Message) -> Result<(), Lost> {
        let number = confirmation.subject.rsplit('.').next().and_then(|it| it.parse().ok());
        let Some(number) = number else { return Ok(()) };
        let said = Confirmation::read(confirmation.status, &confirmation.payload);
        self.holding.confirmed(number, said);
        self.send_held().await
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
            for Published { number, destination, is_kept } in round.published {
                let subjects = || vec![self.task.node.subject_to_publish(&destination)];
                match judge(&denied, "Publish", &destination, subjects) {
                    Err(error) => self.refuse(number, error),
                    // What JetStream keeps it confirms itself.
                    Ok(()) if is_kept => {}
                    Ok(()) => self.task.node.outbox.answer(number, Ok(())),
                }
            }
            self.next.confirmed.extend(round.listening);
            for destination in round.confirmed {
                let subjects = || self.task.node.subjects.matching(&destination);
                match judge(&denied, "Subscription", &destination, subjects) {
                    Ok(()) => self.listeners.confirm(&destination),
                    Err(error) => {
                        self.listeners.refuse(&destination, &error, &mut self.task.courses);
                    }
                }
            }
        }
        if self.next.confirmed.is_empty() { Ok(()) } else { self.ask().await }
    }

    /// Sees whether the server still answers.
    async fn look(&mut self) -> Result<(), Lost> {
        self.task.node.upstreams.expire(ENGINE, Instant::now());
        self.holding.refuse_denied(&self.link.denied());
        self.holding.look();
        // There may be another server that does better.
        if self.holding.is_stuck() && self.task.address.servers.len() > 1 {
            return Err(Lost);
        }
        self.publish_held().await?;
        match self.rounds.front() {
            Some(oldest) if oldest.asked.elapsed() > PATIENCE => Err(Lost),
            Some(_) => Ok(()),
            None => self.ask().await,
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
