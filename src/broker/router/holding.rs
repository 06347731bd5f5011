use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::locks::Mutex;

use super::super::{Completer, SubscriberId};
use super::channel::Channel;

/// Which subscribers hold the publishers of which destinations, since their outlets are
/// [full](super::super::Taken::Full).
///
/// An outlet says so in answer to a delivery, and its connection's task resumes it at any time, even
/// before that answer is known here. So resumptions are counted, and the last of them remembered: who
/// was resumed since the delivery began holds nobody.
#[derive(Default)]
pub(super) struct Holding {
    state: Mutex<State>,
    /// How many resumptions there were.
    resumptions: AtomicU64,
    /// How many subscribers hold publishers, or are about to.
    held: AtomicUsize,
}

#[derive(Default)]
struct State {
    channels: HashMap<SubscriberId, Vec<Weak<Channel>>>,
    /// Who was resumed last.
    recent: VecDeque<SubscriberId>,
}

/// How many resumptions are remembered. If there were more while one batch was delivered, nobody
/// knows who of those that were full still is: none of them holds anybody until its next delivery.
const REMEMBERED: usize = 64;

impl Holding {
    /// How many resumptions there were: to be asked before a delivery begins.
    pub(super) fn resumptions(&self) -> u64 {
        self.resumptions.load(Ordering::Acquire)
    }

    /// A subscriber is full, by its answer to a delivery that began when there were `before`
    /// resumptions: publishers of this channel are held until it is resumed or leaves.
    pub(super) fn hold(&self, subscriber: SubscriberId, channel: &Arc<Channel>, before: u64) {
        let state = &mut *self.state.lock();
        let missed = self.resumptions() - before;
        if missed > state.recent.len() as u64 {
            return;
        }
        let mut since = state.recent.iter().rev().zip(0..missed);
        if since.any(|(resumed, _)| *resumed == subscriber) {
            return;
        }
        // Whoever leaves now either finds this count or is not found by the channel any more.
        self.held.store(state.channels.len() + 1, Ordering::SeqCst);
        if channel.hold(subscriber) {
            state.channels.entry(subscriber).or_default().push(Arc::downgrade(channel));
        }
        self.held.store(state.channels.len(), Ordering::SeqCst);
    }

    /// A subscriber's outlet has written what it kept.
    pub(super) fn resume(&self, subscriber: SubscriberId) {
        let mut state = self.state.lock();
        if state.recent.len() == REMEMBERED {
            state.recent.pop_front();
        }
        state.recent.push_back(subscriber);
        self.resumptions.fetch_add(1, Ordering::AcqRel);
        let released = state.release(subscriber);
        self.held.store(state.channels.len(), Ordering::SeqCst);
        drop(state);
        complete(released);
    }

    /// A subscriber has left.
    pub(super) fn leave(&self, subscriber: SubscriberId) {
        if self.held.load(Ordering::SeqCst) > 0 {
            let mut state = self.state.lock();
            let released = state.release(subscriber);
            self.held.store(state.channels.len(), Ordering::SeqCst);
            drop(state);
            complete(released);
        }
    }
}

impl State {
    /// Lets the publishers go that only this subscriber holds.
    fn release(&mut self, subscriber: SubscriberId) -> Vec<Released> {
        let channels = self.channels.remove(&subscriber).unwrap_or_default();
        let channels = channels.iter().filter_map(Weak::upgrade);
        channels.map(|channel| (channel.release(subscriber), channel)).collect()
    }
}

/// Who waited at a channel that a subscriber held.
type Released = (Vec<Completer>, Arc<Channel>);

/// Waking is no work for under a lock.
fn complete(released: Vec<Released>) {
    for (waiters, channel) in released {
        for waiter in waiters {
            waiter.complete(Ok(()));
        }
        channel.retire();
    }
}
