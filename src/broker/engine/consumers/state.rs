use std::collections::{BTreeMap, HashMap};

use crate::frame::SharedMessage;
use crate::session::Settlement;

use super::super::super::{Settle, Subscriber, SubscriberId};
use super::Settled;

/// Everything that the lock protects.
#[derive(Debug)]
pub(super) struct State<K> {
    /// The tag of the last message: the first one has 1, since 0 says that there is nothing to
    /// settle. It goes on over losses, so that no tag ever means another message.
    pub(super) last: u64,
    pub(super) ready: BTreeMap<u64, Stored<K>>,
    pub(super) unsettled: HashMap<u64, Assigned<K>>,
    pub(super) consumers: Vec<Consumer>,
    /// Whose turn it is.
    pub(super) turn: usize,
    pub(super) dispatching: bool,
    pub(super) settled: Vec<Settled<K>>,
    pub(super) stopping: bool,
    /// Whether what is rejected is made ready again here, and the engine is not told.
    pub(super) requeues: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Stored<K> {
    pub(super) key: K,
    pub(super) message: SharedMessage,
    /// How often it may have reached a consumer.
    pub(super) attempts: u32,
}

#[derive(Debug)]
pub(super) struct Assigned<K> {
    pub(super) to: SubscriberId,
    pub(super) stored: Stored<K>,
    /// Whether it may have reached its consumer.
    pub(super) offered: bool,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) subscriber: Subscriber,
    pub(super) unsettled: usize,
    /// Its outlet has something of ours that is not written, or is gone.
    pub(super) stalled: bool,
    /// What it has that is settled when it is written: the tags, in mode `auto`.
    pub(super) unwritten: Vec<u64>,
    /// How often it was resumed.
    pub(super) resumed: u64,
}

impl Consumer {
    pub(super) fn new(subscriber: Subscriber) -> Self {
        Self { subscriber, unsettled: 0, stalled: false, unwritten: Vec::new(), resumed: 0 }
    }

    pub(super) fn free(&self) -> usize {
        self.subscriber.prefetch.saturating_sub(self.unsettled)
    }
}

impl<K: Copy> State<K> {
    pub(super) fn new() -> Self {
        Self {
            last: 0,
            ready: BTreeMap::new(),
            unsettled: HashMap::new(),
            consumers: Vec::new(),
            turn: 0,
            dispatching: false,
            settled: Vec::new(),
            stopping: false,
            requeues: false,
        }
    }

    pub(super) fn consumer(&mut self, id: SubscriberId) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.subscriber.id == id)
    }

    /// The next in turn who may have another message, and takes its credit.
    pub(super) fn next_consumer(&mut self) -> Option<Subscriber> {
        let count = self.consumers.len();
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            if let Some(consumer) = self.consumers.get_mut(self.turn)
                && consumer.free() > 0
                && !consumer.stalled
            {
                consumer.unsettled += 1;
                return Some(consumer.subscriber.clone());
            }
        }
        None
    }

    /// Takes back what a consumer has not settled, and gives it credit for another.
    pub(super) fn withdraw(&mut self, tag: u64, from: SubscriberId) -> Option<Assigned<K>> {
        self.unsettled.get(&tag).filter(|assigned| assigned.to == from)?;
        if let Some(consumer) = self.consumer(from) {
            consumer.unsettled -= 1;
        }
        self.unsettled.remove(&tag)
    }

    /// Withdraws what is settled: each with how often it may have reached a consumer.
    pub(super) fn withdraw_settled(&mut self, settle: &Settle) -> Vec<(Settled<K>, u32)> {
        let withdraw = |tag: &u64| {
            let assigned = self.withdraw(*tag, settle.subscriber)?;
            if settle.settlement == Settlement::Rejected && self.requeues {
                self.put_back(*tag, assigned);
                return None;
            }
            let Stored { key, attempts, .. } = assigned.stored;
            let settled = match settle.settlement {
                Settlement::Acknowledged => Settled::Done(key),
                Settlement::Rejected => Settled::Requeue(key),
            };
            Some((settled, attempts.saturating_add(1)))
        };
        settle.tags.iter().filter_map(withdraw).collect()
    }

    /// Makes a message ready again, in its old place.
    pub(super) fn put_back(&mut self, tag: u64, assigned: Assigned<K>) {
        let attempts = assigned.stored.attempts.saturating_add(assigned.offered.into());
        self.ready.insert(tag, Stored { attempts, ..assigned.stored });
    }

    pub(super) fn leave(&mut self, subscriber: SubscriberId) {
        self.consumers.retain(|consumer| consumer.subscriber.id != subscriber);
        let returned: Vec<_> =
            self.unsettled.extract_if(|_, assigned| assigned.to == subscriber).collect();
        for (tag, assigned) in returned {
            self.put_back(tag, assigned);
        }
    }
}
