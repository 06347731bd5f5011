use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::{Confirmation, PublisherConfirm};
use tokio::time::timeout;

use super::super::engine::{Item, Outbox};
use super::returned::Returned;
use super::shared::{Sending, UNANSWERED};

/// How many messages may wait to be written, and how many bytes of them: lapin has a copy of each. It
/// writes together those that it has.
const WRITING: usize = 64;
const WRITING_BYTES: usize = 1 << 20;

/// A message that was given to lapin to be written.
pub(super) struct Written {
    pub(super) item: Item<Sending>,
    /// Whether it was returned before, and sent again.
    pub(super) returned: bool,
    /// As they were counted.
    pub(super) bytes: usize,
    pub(super) confirming: lapin::Result<PublisherConfirm>,
}

/// What RabbitMQ said of a message.
pub(super) struct Answer {
    pub(super) item: Item<Sending>,
    /// Whether it was returned before, and sent again.
    pub(super) returned: bool,
    /// None in [time](UNANSWERED).
    pub(super) confirmation: Option<lapin::Result<Confirmation>>,
}

/// The messages that are written to RabbitMQ, those that it has not confirmed, and those of which
/// nobody was told yet.
#[derive(Default)]
pub(super) struct Unconfirmed {
    writing: FuturesUnordered<BoxFuture<'static, Written>>,
    writing_bytes: usize,
    waiting: FuturesUnordered<BoxFuture<'static, Answer>>,
    heard: VecDeque<Answer>,
}

impl Unconfirmed {
    /// Has a message of so many bytes written. They are written in the order of these calls: lapin
    /// takes a message when it is first polled.
    pub(super) fn write(&mut self, mut writing: BoxFuture<'static, Written>, bytes: usize) {
        self.writing_bytes += bytes;
        match writing.as_mut().now_or_never() {
            Some(written) => self.written(written),
            None => self.writing.push(writing),
        }
    }

    /// Whether lapin has as many to write as it should.
    pub(super) fn is_full(&self) -> bool {
        self.writing.len() >= WRITING || self.writing_bytes >= WRITING_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.writing.len() + self.waiting.len() + self.heard.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether RabbitMQ has still something to say.
    pub(super) fn waits(&self) -> bool {
        !self.writing.is_empty() || !self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.writing.clear();
        self.writing_bytes = 0;
        self.waiting.clear();
        self.heard.clear();
    }

    /// Waits until something is written or RabbitMQ says something, and hears all that it has said.
    pub(super) async fn hear(&mut self, returned: &mut Returned) {
        poll_fn(|context| self.poll_hear(context, returned)).await;
    }

    fn poll_hear(&mut self, context: &mut Context<'_>, returned: &mut Returned) -> Poll<()> {
        let mut hears = Poll::Pending;
        // First: what is confirmed was written before.
        while let Poll::Ready(Some(written)) = self.writing.poll_next_unpin(context) {
            self.written(written);
            hears = Poll::Ready(());
        }
        while let Poll::Ready(Some(mut answer)) = self.waiting.poll_next_unpin(context) {
            returned.hear(&mut answer.confirmation);
            self.heard.push_back(answer);
            hears = Poll::Ready(());
        }
        hears
    }

    fn written(&mut self, Written { item, returned, bytes, confirming }: Written) {
        self.writing_bytes = self.writing_bytes.saturating_sub(bytes);
        match confirming {
            // With the message goes what it takes of memory and of the number that may be unconfirmed.
            Ok(confirming) => self.waiting.push(Box::pin(async move {
                let confirmation = timeout(UNANSWERED, confirming).await.ok();
                Answer { item, returned, confirmation }
            })),
            Err(error) => {
                let confirmation = Some(Err(error));
                self.heard.push_back(Answer { item, returned, confirmation });
            }
        }
    }

    /// What was heard first. All that RabbitMQ has said is heard before: what it has returned may have
    /// come with [another](Returned) answer, of what was sent since.
    pub(super) fn next_heard(&mut self, returned: &mut Returned) -> Option<Answer> {
        if !self.heard.is_empty() {
            self.hear(returned).now_or_never();
        }
        self.heard.pop_front()
    }

    /// Tells of those that were heard to be taken.
    pub(super) fn tell_taken(&mut self, outbox: &Outbox<Sending>, returned: &Returned) {
        self.heard.retain(|answer| {
            let item = &answer.item;
            let is_taken = matches!(answer.confirmation, Some(Ok(Confirmation::Ack(_))))
                && !returned.has(&item.what);
            if is_taken {
                outbox.answer(item.number, Ok(()));
            }
            !is_taken
        });
    }
}
