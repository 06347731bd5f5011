use std::sync::Arc;
use std::time::Instant;

use crate::session::Delivery;

use super::channel::{Batch, Channel};

/// How many deliveries one turn makes before it hands the rest over to the host: a publisher to a
/// destination of 100,000 subscribers must not hold up its own connection and its worker thread.
/// Much smaller budgets cost throughput: each hand-over is a task to be scheduled.
const BUDGET: usize = if cfg!(stompbox_loom) { 2 } else { 1_000 };

/// The rest of a long flush, for the [`Host`](super::super::Host) to run.
///
/// Until it is run, messages of its destination wait; dropped without being run to its end, it
/// leaves the rest to whoever publishes there next.
#[derive(Debug)]
pub struct Work(Flush);

impl Work {
    /// Delivers for a while; returns what is left, to be run again after others had their turn.
    #[must_use = "what is left must be run as well"]
    pub fn run(mut self, now: Instant) -> Option<Work> {
        (!self.0.deliver(now, BUDGET)).then_some(self)
    }
}

impl From<Flush> for Work {
    fn from(flush: Flush) -> Self {
        Self(flush)
    }
}

/// The one who is delivering at a channel. Holds the channel's `flushing` mark until there is
/// nothing left; dropped earlier it gives back the mark and what it has not delivered.
pub(super) struct Flush {
    channel: Arc<Channel>,
    batch: Option<Batch>,
    /// The deliveries of the last batch, for their room.
    spent: Vec<Delivery>,
    ended: bool,
}

impl Flush {
    /// The caller has just got the channel's mark from `begin_flush`.
    pub(super) fn new(channel: Arc<Channel>) -> Self {
        Self { channel, batch: None, spent: Vec::new(), ended: false }
    }

    /// Delivers all; what is more than a turn's budget is left to the host, if there is one.
    pub(super) fn run(mut self, now: Instant) {
        if let Some(host) = self.channel.host().cloned() {
            if !self.deliver(now, BUDGET) {
                host.hand_over(self.into());
            }
        } else {
            self.deliver(now, usize::MAX);
        }
    }

    /// Returns whether nothing is left.
    fn deliver(&mut self, now: Instant, mut budget: usize) -> bool {
        loop {
            if self.batch.is_none() {
                self.batch = self.channel.next_batch(std::mem::take(&mut self.spent));
            }
            let Some(batch) = &mut self.batch else {
                self.ended = true;
                return true;
            };
            while let Some(member) = batch.members.get(batch.cursor) {
                if budget == 0 {
                    return false;
                }
                budget -= 1;
                batch.cursor += 1;
                if let deliveries @ [_, ..] = batch.for_member(member) {
                    // A member that is gone leaves by `unsubscribe`; here it is passed over.
                    let _ = member.subscriber.deliver(deliveries, now);
                }
            }
            self.spent = self.batch.take().map(|batch| batch.deliveries).unwrap_or_default();
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        if !self.ended {
            self.channel.abandon_flush(self.batch.take());
        }
    }
}

impl std::fmt::Debug for Flush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flush").finish_non_exhaustive()
    }
}
