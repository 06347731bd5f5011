use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::session::Delivery;

use super::super::{Retention, Subscriber, SubscriberId, Taken, room};
use super::log::{Log, Start};
use super::members::Member;
use super::retained::Place;

/// What a destination keeps, and the subscribers that are still reading it.
///
/// A subscriber that asked for history reads the log slice by slice, at its own pace, and becomes a
/// member of the channel when it is at the end: from there on it is delivered what is routed.
/// Both happen under the lock of the channel, so nothing is missed and nothing comes twice.
#[derive(Debug)]
pub(super) struct History {
    pub(super) log: Log,
    /// Where the destination stands in [`Retained`](super::retained::Retained), if it keeps anything.
    pub(super) place: Option<Place>,
    readers: HashMap<SubscriberId, Reader>,
    /// The readers that are to be delivered the next slice, in turn.
    ready: VecDeque<SubscriberId>,
    /// How many readers there have been.
    joined: u64,
}

/// A subscriber that is reading.
#[derive(Debug)]
struct Reader {
    subscriber: Subscriber,
    /// Tells it from another one with its id.
    number: u64,
    /// The position that it reads next.
    next: u64,
    gap: bool,
    /// Its outlet keeps something of ours; it reads on when that is written.
    waiting: bool,
    /// How often it was resumed.
    resumed: u64,
}

/// Whom a slice is for.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) subscriber: Subscriber,
    number: u64,
    /// The position behind the slice.
    end: u64,
    resumed: u64,
}

/// What the next of the readers in turn does.
pub(super) enum Reading {
    /// It is delivered a slice.
    Slice(Slice),
    /// It has read everything: it is a member now.
    CaughtUp(Member),
}

/// How many messages a slice has at the most.
const SLICE_MESSAGES: usize = 64;

/// How many bytes a slice has, or one message more. It has to fit what a connection may keep for a
/// client that is slow.
const SLICE_BYTES: usize = 64 * 1024;

impl History {
    /// Nothing yet. The first message will have this position.
    pub(super) fn new(retention: Retention, position: u64, lost: Instant) -> Self {
        Self {
            log: Log::new(retention, position, lost),
            place: None,
            readers: HashMap::new(),
            ready: VecDeque::new(),
            joined: 0,
        }
    }

    /// Whether nothing is kept and nobody reads.
    pub(super) fn is_idle(&self) -> bool {
        self.log.is_empty() && self.readers.is_empty()
    }

    pub(super) fn readers(&self) -> usize {
        self.readers.len()
    }

    /// Whether somebody is to be delivered something.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Adds a reader.
    pub(super) fn join(&mut self, subscriber: Subscriber, start: Start) {
        let id = subscriber.id;
        let Start { position: next, gap } = start;
        self.joined += 1;
        let number = self.joined;
        let reader = Reader { subscriber, number, next, gap, waiting: false, resumed: 0 };
        self.readers.insert(id, reader);
        self.ready.push_back(id);
    }

    /// Returns whether it was a reader.
    pub(super) fn leave(&mut self, id: SubscriberId) -> bool {
        // Its place in turn is passed over.
        self.remove(id).is_some()
    }

    /// What the next one in turn does. `deliveries` is empty, and gets
    /// what it is delivered.
    pub(super) fn read(&mut self, deliveries: &mut Vec<Delivery>) -> Option<Reading> {
        loop {
            let id = self.ready.pop_front()?;
            // It may have left, or left and come again.
            let Some(reader) = self.readers.get_mut(&id) else { continue };
            if reader.waiting {
                continue;
            }
            if reader.next < self.log.first() {
                reader.next = self.log.first();
                reader.gap = true;
            }
            self.log.read(reader.next, SLICE_MESSAGES, SLICE_BYTES, deliveries);
            if let Some(first) = deliveries.first_mut() {
                *first = first.clone().with_gap(reader.gap);
                let end = reader.next + deliveries.len() as u64;
                let subscriber = reader.subscriber.clone();
                let (number, resumed) = (reader.number, reader.resumed);
                return Some(Reading::Slice(Slice { subscriber, number, end, resumed }));
            }
            let Reader { subscriber, next, gap, .. } = self.remove(id)?;
            return Some(Reading::CaughtUp(Member { subscriber, from: next, gap }));
        }
    }

    fn remove(&mut self, id: SubscriberId) -> Option<Reader> {
        let reader = self.readers.remove(&id);
        room::give_back(&mut self.readers);
        reader
    }

    /// A slice was delivered.
    pub(super) fn taken(&mut self, slice: &Slice, taken: Taken) {
        let id = slice.subscriber.id;
        let reader = self.readers.get_mut(&id).filter(|reader| reader.number == slice.number);
        let Some(reader) = reader else { return };
        reader.next = slice.end;
        reader.gap = false;
        match taken {
            // It leaves by `unsubscribe`; until then it is in nobody's way.
            Taken::Gone => {}
            // If it was resumed meanwhile, what it kept is written already.
            Taken::Queued | Taken::Full if reader.resumed == slice.resumed => reader.waiting = true,
            Taken::Written | Taken::Queued | Taken::Full => self.ready.push_back(id),
        }
    }

    /// A reader's outlet has written what it kept.
    pub(super) fn resume(&mut self, id: SubscriberId) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.resumed += 1;
            if std::mem::take(&mut reader.waiting) {
                self.ready.push_back(id);
            }
        }
    }
}
