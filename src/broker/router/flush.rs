use std::sync::Arc;
use std::time::Instant;

use crate::session::Delivery;

use super::super::Taken;
use super::batch::Batch;
use super::channel::Channel;
use super::history::Slice;
use super::members::Member;

/// How many deliveries one turn makes before it hands the rest over to the host: a publisher to a
/// destination of 100,000 subscribers must not hold up its own connection and its worker thread.
/// Much smaller budgets cost throughput: each hand-over is a task to be scheduled.
const BUDGET: usize = if cfg!(stompbox_loom) { 2 } else { 1_000 };

/// The one who is delivering at a channel. Holds the channel's `flushing` mark until there is
/// nothing left; dropped earlier it gives back the mark and what it has not delivered.
pub(in super::super) struct Flush {
    channel: Arc<Channel>,
    batch: Batch,
    /// Whether there is something in `batch`.
    delivering: bool,
    /// Room for what is delivered of history.
    slice: Vec<Delivery>,
    ended: bool,
}

/// What there is to do for whoever flushes.
#[derive(Debug)]
pub(super) enum Next {
    /// To deliver a batch.
    Batch,
    /// To deliver history to somebody who is reading it.
    Slice(Slice),
    /// More history, which was not asked for.
    Later,
    /// Nothing: the flush has ended.
    Ended,
    /// As `Ended`, and the channel is not used any more.
    Idle,
}

/// What a flush does first, where there is both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A batch.
    BatchFirst,
    /// A slice of history.
    SliceFirst,
    /// It has no time left for history.
    NoSlice,
}

impl Flush {
    /// The caller has just got the channel's mark.
    pub(super) fn new(channel: Arc<Channel>) -> Self {
        let (batch, slice) = (Batch::default(), Vec::new());
        Self { channel, batch, delivering: false, slice, ended: false }
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

    /// Delivers for a turn; returns what is left.
    pub(in super::super) fn run_for_a_turn(mut self, now: Instant) -> Option<Self> {
        (!self.deliver(now, BUDGET)).then_some(self)
    }

    /// Returns whether nothing is left.
    fn deliver(&mut self, now: Instant, mut budget: usize) -> bool {
        let mut order = Order::BatchFirst;
        loop {
            if !self.deliver_batch(now, &mut budget) {
                return false;
            }
            // In turn, so that neither those who publish nor those who read keep the others waiting.
            let next = match budget {
                0 => Order::NoSlice,
                _ => order,
            };
            match self.channel.next(&mut self.batch, &mut self.slice, next) {
                Next::Batch => {
                    self.delivering = true;
                    order = Order::SliceFirst;
                }
                Next::Slice(slice) => {
                    budget = budget.saturating_sub(self.slice.len());
                    let taken = slice.subscriber.deliver(&self.slice, now);
                    self.channel.taken(&slice, taken);
                    order = Order::BatchFirst;
                }
                Next::Later => return false,
                Next::Ended => {
                    self.ended = true;
                    return true;
                }
                Next::Idle => {
                    self.ended = true;
                    self.channel.retire();
                    return true;
                }
            }
        }
    }

    /// Returns whether nothing is left of the batch.
    fn deliver_batch(&mut self, now: Instant, budget: &mut usize) -> bool {
        loop {
            let members = self.batch.next();
            if members.is_empty() {
                break;
            }
            let served = members.len().min(*budget);
            if served == 0 {
                return false;
            }
            for member in members.iter().take(served) {
                self.deliver_to(member, now);
            }
            *budget -= served;
            self.batch.advance(served);
        }
        self.delivering = false;
        true
    }

    /// Delivers the batch to a member. One that is gone leaves by `unsubscribe`; here it is passed
    /// over.
    fn deliver_to(&self, member: &Member, now: Instant) {
        let deliveries = self.batch.deliveries_to(member);
        if deliveries.is_empty() {
            return;
        }
        let taken = if member.gap {
            self.deliver_with_gap(member, deliveries, now)
        } else {
            member.subscriber.deliver(deliveries, now)
        };
        if taken == Taken::Full {
            self.channel.is_full(&member.subscriber, now);
        }
    }

    /// Delivers to a member that is to be told that messages are missing before these.
    fn deliver_with_gap(&self, member: &Member, deliveries: &[Delivery], now: Instant) -> Taken {
        self.channel.told_of_gap(member.subscriber.id);
        let mut deliveries = deliveries.to_vec();
        if let Some(first) = deliveries.first_mut() {
            *first = first.clone().with_gap(true);
        }
        member.subscriber.deliver(&deliveries, now)
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        if !self.ended {
            let left_over = self.delivering.then(|| std::mem::take(&mut self.batch));
            self.channel.abandon_flush(left_over);
        }
    }
}

impl std::fmt::Debug for Flush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flush").finish_non_exhaustive()
    }
}
