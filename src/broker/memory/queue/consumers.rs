use std::collections::{HashMap, VecDeque};

use super::super::super::room::give_back;
use super::super::super::{Subscriber, SubscriberId};
use super::unsettled::Unsettled;

/// The consumers of a queue, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    by_id: HashMap<SubscriberId, Consumer>,
    /// Those that may have more messages, in turn: nobody else is looked at, however many wait for
    /// credit. Some in it have left since.
    rotation: VecDeque<(SubscriberId, u64)>,
    /// The serial number of the last one.
    serial: u64,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) subscriber: Subscriber,
    /// Tells it from one with the same id that it took the place of.
    pub(super) serial: u64,
    pub(super) unsettled: Unsettled,
    /// Its outlet has something of ours that is not written; it gets no more until it is.
    pub(super) stalled: bool,
    /// What it has that is settled when it is written: the tags, in mode `auto`.
    pub(super) unwritten: Vec<u64>,
    /// How often it was resumed.
    pub(super) resumed: u64,
    pub(super) service: Service,
    /// Whether it is in the rotation.
    rotates: bool,
}

/// Whether a consumer is being delivered to at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    None,
    Served,
    /// It is, and it left meanwhile.
    Left,
}

/// For how many consumers the rotation keeps room, though they have left.
const KEPT_ROOM: usize = 64;

impl Consumer {
    /// How many messages it may have beside those that it has.
    pub(super) fn credit(&self) -> usize {
        if self.stalled || self.service != Service::None {
            return 0;
        }
        self.subscriber.prefetch.saturating_sub(self.unsettled.len())
    }
}

impl Consumers {
    /// Adds a consumer. There must be none with its id.
    pub(super) fn add(&mut self, subscriber: Subscriber) {
        self.serial += 1;
        let id = subscriber.id;
        let consumer = Consumer {
            subscriber,
            serial: self.serial,
            unsettled: Unsettled::default(),
            stalled: false,
            unwritten: Vec::new(),
            resumed: 0,
            service: Service::None,
            rotates: false,
        };
        self.by_id.insert(id, consumer);
        self.rotate(id);
    }

    pub(super) fn remove(&mut self, id: SubscriberId) -> Option<Consumer> {
        let removed = self.by_id.remove(&id);
        give_back(&mut self.by_id);
        // Otherwise those that come and go where there are no messages would be kept for ever.
        if self.rotation.len() > 2 * self.by_id.len() + 16 {
            let by_id = &self.by_id;
            self.rotation.retain(|(id, serial)| {
                by_id.get(id).is_some_and(|consumer| consumer.serial == *serial)
            });
            self.rotation.shrink_to(2 * self.rotation.len() + KEPT_ROOM);
        }
        removed
    }

    /// A consumer that has not left.
    pub(super) fn get_mut(&mut self, id: SubscriberId) -> Option<&mut Consumer> {
        self.by_id.get_mut(&id).filter(|consumer| consumer.service != Service::Left)
    }

    /// A consumer that was being delivered to, unless another has taken its place.
    pub(super) fn served(&mut self, id: SubscriberId, serial: u64) -> Option<&mut Consumer> {
        self.by_id.get_mut(&id).filter(|consumer| consumer.serial == serial)
    }

    /// Gives a consumer its turn, behind all others, if it may have more and waits for none yet.
    pub(super) fn rotate(&mut self, id: SubscriberId) {
        let Some(consumer) = self.by_id.get_mut(&id) else { return };
        if !consumer.rotates && consumer.credit() > 0 {
            consumer.rotates = true;
            self.rotation.push_back((id, consumer.serial));
        }
    }

    /// Takes the next in turn who may have more messages.
    pub(super) fn next(&mut self) -> Option<&mut Consumer> {
        let id = loop {
            let (id, serial) = self.rotation.pop_front()?;
            let Some(consumer) = self.by_id.get_mut(&id) else { continue };
            if consumer.serial == serial {
                consumer.rotates = false;
                if consumer.credit() > 0 {
                    break id;
                }
            }
        };
        self.by_id.get_mut(&id)
    }

    /// How many may have more messages, beside the one whose turn it is.
    pub(super) fn waiting(&self) -> usize {
        self.rotation.len()
    }

    /// Whether nobody is there; one that is about to have left is there.
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
