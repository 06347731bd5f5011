//! How a listener comes to what is kept: at first, and where something did not come to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, Stream};
use tokio::time::sleep;

use super::super::engine::Backoff;
use super::super::{BrokerError, Outcome, Turn};
use super::course::Reached;
use super::listener::{BEHIND, Listening, wait};
use super::message;
use super::node::ENGINE;
use super::reading::{self, Kept, Reader};
use super::streams::Streams;

/// Where the messages of a subscription are kept.
pub(super) struct Keeping {
    pub(super) streams: Arc<Streams>,
    /// The stream as it is made.
    pub(super) config: Config,
    /// The subject in the stream.
    pub(super) subject: String,
}

/// The place of a message that the stream has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) sequence: u64,
    /// That of the one before it on its subject, if that is there; otherwise 0.
    pub(super) previous: u64,
}

impl Keeping {
    /// The place of a message that came, if it comes from the stream.
    pub(super) fn place(&self, arrived: &async_nats::Message) -> Option<Place> {
        let headers = arrived.headers.as_ref()?;
        let number = |name: &str| headers.get(name)?.as_str().parse().ok();
        if headers.get(message::STREAM)?.as_str() != self.config.name {
            return None;
        }
        let previous = number("Nats-Last-Sequence").unwrap_or(0);
        Some(Place { sequence: number("Nats-Sequence")?, previous })
    }
}

impl Listening {
    /// Delivers what was kept and has not come, and notes how far that is. At the first time it is what
    /// was there before, which waits for those who ask for it. Tries for as long as it takes; only what
    /// is refused at the first time is an error.
    pub(super) async fn fill(&mut self) -> Result<(), BrokerError> {
        let mut backoff = Backoff::new();
        loop {
            let first = !self.course.lock().begun;
            // It is large, and a listener is nearly always without it.
            match Box::pin(self.try_to_fill()).await {
                // What came here and to the reader has come to both by now.
                Ok(()) if self.take_waiting().is_ok() => return Ok(()),
                Ok(()) => {}
                Err(error @ BrokerError::Refused { .. }) if first => return Err(error),
                Err(_) => sleep(backoff.delay()).await,
            }
        }
    }

    async fn try_to_fill(&mut self) -> Result<(), BrokerError> {
        let Some(Keeping { streams, config, subject }) = &self.keeping else { return Ok(()) };
        let (streams, subject) = (Arc::clone(streams), subject.clone());
        let stream = streams.open(config, &self.wanted).await?;
        let _reader = streams.reader().await?;
        let born = reading::born(&stream);
        let reached = self.course.lock().reached;
        match reached {
            None => self.begin(&stream, &subject, born).await?,
            Some(reached) if reached.stream == born => {
                self.fill_from(&stream, &subject, reached).await?;
            }
            Some(_) => {
                let reached = self.begin_anew(born);
                self.fill_from(&stream, &subject, reached).await?;
            }
        }
        let course = &mut *self.course.lock();
        (course.since, course.fallen) = (None, None);
        course.begun = true;
        Ok(())
    }

    /// There is another stream of the name: nothing of it has come here, and more may have been in the
    /// old one.
    fn begin_anew(&self, born: u64) -> Reached {
        self.node.router.forget(&self.wanted);
        let reached = Reached { stream: born, sequence: 0 };
        let course = &mut *self.course.lock();
        course.gap = true;
        course.begin(reached);
        reached
    }

    /// Begins where the stream ends, and with what it keeps of a destination.
    async fn begin(
        &mut self,
        stream: &Stream,
        subject: &str,
        born: u64,
    ) -> Result<(), BrokerError> {
        if !self.wanted.is_pattern() {
            return self.begin_with_history(stream, subject, born).await;
        }
        // What came to the stream up to this answer has come here as well, before it.
        let last = reading::last_of_all(stream, &self.wanted).await?;
        self.course.lock().begin(Reached { stream: born, sequence: 0 });
        self.take_first();
        self.course.lock().begin(Reached { stream: born, sequence: last });
        Ok(())
    }

    /// Adds what the stream keeps of a destination to what this node has of it.
    async fn begin_with_history(
        &mut self,
        stream: &Stream,
        subject: &str,
        born: u64,
    ) -> Result<(), BrokerError> {
        let retention = self.node.rules.policy(&self.wanted).retention;
        let mut older = VecDeque::new();
        let (mut bytes, mut count, mut sequence) = (0, 0_u64, 0);
        let mut gone = None;
        if reading::last_on(stream, &self.wanted, subject).await?.is_some() {
            let mut reader = Reader::new(stream, &self.wanted, subject, 1).await?;
            loop {
                let read = reader.next().await?;
                if read.is_empty() {
                    break;
                }
                for kept in read {
                    (count, sequence) = (count + 1, kept.sequence);
                    let reached = Reached { stream: born, sequence };
                    let delivery = self.delivery(self.wanted.clone(), &kept.message, Some(reached));
                    let Some(delivery) = delivery else { continue };
                    bytes += delivery.message().size();
                    older.push_back((kept.at, delivery));
                    while (older.len() > retention.messages || bytes > retention.bytes)
                        && let Some((at, dropped)) = older.pop_front()
                    {
                        bytes -= dropped.message().size();
                        gone = Some(at);
                    }
                }
            }
            reader.end().await;
        }
        let now = Instant::now();
        // Nobody knows of what the stream has dropped for its age, or because there was more of it.
        if gone.is_none() && count >= most_on_a_subject(stream) {
            gone = older.front().map(|(at, _)| *at);
        }
        let age = retention.age.min(oldest(stream));
        let gone = gone.or_else(|| now.checked_sub(age)).unwrap_or(now);
        self.node.router.prepend(&self.wanted, older.make_contiguous(), gone, now);
        self.course.lock().begin(Reached { stream: born, sequence });
        Ok(())
    }

    /// Delivers what came to the stream behind the place where this is.
    async fn fill_from(
        &mut self,
        stream: &Stream,
        subject: &str,
        from: Reached,
    ) -> Result<(), BrokerError> {
        let is_pattern = self.wanted.is_pattern();
        let last = if is_pattern {
            Some(reading::last_of_all(stream, &self.wanted).await?)
        } else {
            reading::last_on(stream, &self.wanted, subject).await?
        };
        match last {
            Some(last) if last == from.sequence => return Ok(()),
            Some(last) if last > from.sequence => {}
            Some(_) => return self.fall_back(stream, subject, from.stream).await,
            None => {
                let all = from.sequence == 0 || self.keeps_all_since(stream, 0);
                self.course.lock().gap |= !all;
                return Ok(());
            }
        }
        // The one that it has is read again, to see whether what follows does so without a gap.
        let first = from.sequence + u64::from(is_pattern);
        let mut reader = Reader::new(stream, &self.wanted, subject, first).await?;
        let mut read = reader.next().await?;
        let follows = from.sequence == 0
            || read.first().is_none_or(|kept| kept.sequence == from.sequence)
            || self.keeps_all_since(stream, reader.pending);
        self.course.lock().gap |= !follows;
        let mut sequence = from.sequence;
        while !read.is_empty() {
            sequence = read.last().map_or(sequence, |kept| kept.sequence);
            wait(self.deliver_kept(&read, from.stream)).await;
            read = reader.next().await?;
        }
        reader.end().await;
        // In a cluster the one that was read from may be behind the one that leads.
        let last = last.unwrap_or(0);
        let next = if is_pattern {
            reading::next_on(stream, &self.wanted, subject, sequence + 1).await?
        } else {
            Some(last).filter(|last| *last > sequence)
        };
        if next.is_some_and(|next| next <= last) {
            return Err(BrokerError::Unavailable { engine: ENGINE });
        }
        if is_pattern && let Some(here) = &mut self.course.lock().reached {
            here.sequence = here.sequence.max(last);
        }
        Ok(())
    }

    /// A crash has cost the stream what came here already: those places are given to other messages.
    /// Or, in a cluster, the one that leads now does not know yet what it has.
    async fn fall_back(
        &mut self,
        stream: &Stream,
        subject: &str,
        born: u64,
    ) -> Result<(), BrokerError> {
        {
            let course = &mut *self.course.lock();
            let now = Instant::now();
            if now.saturating_duration_since(*course.fallen.get_or_insert(now)) < BEHIND {
                return Err(BrokerError::Unavailable { engine: ENGINE });
            }
            course.gap = true;
            course.reached = None;
        }
        self.node.router.forget(&self.wanted);
        self.begin(stream, subject, born).await
    }

    /// Delivers what was read, as far as it has not come.
    fn deliver_kept(&mut self, read: &[Kept], born: u64) -> Outcome {
        let mut turn = Turn::new(Instant::now());
        let mut outcome = Outcome::done();
        let is_pattern = self.wanted.is_pattern();
        for kept in read {
            let Some(Ok(destination)) = self.node.kept.destination(&kept.message.subject) else {
                continue;
            };
            let subject = self.node.kept.behind_prefix(&kept.message.subject);
            {
                let course = &mut *self.course.lock();
                if kept.sequence <= course.known(subject, is_pattern) {
                    continue;
                }
                course.reach(subject, is_pattern, kept.sequence);
            }
            let reached = Reached { stream: born, sequence: kept.sequence };
            outcome = self.deliver(destination, &kept.message, Some(reached), &mut turn);
        }
        outcome
    }

    /// Whether a stream that keeps so many messages of ours since the last one that came cannot have
    /// dropped others.
    fn keeps_all_since(&self, stream: &Stream, count: u64) -> bool {
        let config = &stream.cached_info().config;
        let away = self.course.lock().since.map_or(Duration::ZERO, |since| since.elapsed());
        config.max_bytes <= 0
            && config.max_messages <= 0
            && away < oldest(stream)
            && count < most_on_a_subject(stream)
    }
}

/// The most messages that a stream keeps on one subject.
fn most_on_a_subject(stream: &Stream) -> u64 {
    let most = stream.cached_info().config.max_messages_per_subject;
    u64::try_from(most).ok().filter(|most| *most > 0).unwrap_or(u64::MAX)
}

/// How long a stream keeps a message.
fn oldest(stream: &Stream) -> Duration {
    match stream.cached_info().config.max_age {
        Duration::ZERO => Duration::MAX,
        age => age,
    }
}
