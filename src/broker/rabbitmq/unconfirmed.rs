use std::collections::VecDeque;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::Confirmation;

use super::super::engine::{Item, Outbox};
use super::returned::Returned;
use super::shared::Sending;

/// What RabbitMQ said of a message.
pub(super) struct Answer {
    pub(super) item: Item<Sending>,
    /// Whether it was returned before, and sent again.
    pub(super) returned: bool,
    /// None in [time](super::shared::UNANSWERED).
    pub(super) confirmation: Option<lapin::Result<Confirmation>>,
}

/// The messages that RabbitMQ has not confirmed, and those of which nobody was told yet.
#[derive(Default)]
pub(super) struct Unconfirmed {
    waiting: FuturesUnordered<BoxFuture<'static, Answer>>,
    heard: VecDeque<Answer>,
}

impl Unconfirmed {
    pub(super) fn push(&mut self, confirming: BoxFuture<'static, Answer>) {
        self.waiting.push(confirming);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.heard.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether RabbitMQ has still something to say.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.heard.clear();
    }

    /// Waits until RabbitMQ says something, and hears all that it has said.
    pub(super) async fn hear(&mut self, returned: &mut Returned) {
        let mut next = self.waiting.next().await;
        while let Some(mut answer) = next {
            returned.hear(&mut answer.confirmation);
            self.heard.push_back(answer);
            next = self.waiting.next().now_or_never().flatten();
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
