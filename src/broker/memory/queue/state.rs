use std::time::{Duration, Instant};

use crate::session::Settlement;

use super::super::super::{
    BrokerError, Destination, RejectedPolicy, Settle, Subscriber, SubscriberId,
};
use super::Queue;
use super::consumers::{Consumers, Service};
use super::ready::Ready;
use super::round::Round;
use super::stored::{Arrival, Cause, Stored};
use super::terms::Terms;

/// Everything that a queue's lock protects. How messages are handed out is in `dispatch`.
#[derive(Debug)]
pub(in super::super) struct State {
    pub(super) terms: Terms,
    /// The position of the last message.
    last: u64,
    pub(super) ready: Ready,
    pub(super) consumers: Consumers,
    /// How many messages there are, unsettled ones and those that room is reserved for included.
    messages: usize,
    /// What they take.
    bytes: usize,
    /// How many messages are about to come that were not counted yet.
    announced: usize,
    /// Messages that will not be delivered any more, for their dead-letter destination.
    pub(super) dead: Vec<(Stored, Cause)>,
    pub(super) dispatching: bool,
    /// Nobody finds the queue any more.
    ended: bool,
    /// The room of the last round, for the next.
    pub(super) spare: Option<Round>,
    /// When those that have expired are looked for.
    sweep: Option<Instant>,
    /// When they are looked for at the earliest.
    earliest_sweep: Option<Instant>,
    /// Where the queue stands in the timetable.
    pub(in super::super) entered: Option<Instant>,
}

/// How long after one look for expired messages the next one is: each looks at all messages. What
/// has expired meanwhile is not delivered either way.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// What a queue that holds messages takes beside them, in bytes: itself, its entry among the others,
/// and the room that its ring of messages begins with. So a client that names new queues without
/// end, with a little in each, is bounded too.
const OWN_BYTES: usize = size_of::<Queue>() + 4 * size_of::<Stored>() + 128;

impl State {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            last: 0,
            ready: Ready::default(),
            consumers: Consumers::default(),
            messages: 0,
            bytes: 0,
            announced: 0,
            dead: Vec::new(),
            dispatching: false,
            ended: false,
            spare: None,
            sweep: None,
            earliest_sweep: None,
            entered: None,
        }
    }

    pub(in super::super) fn messages(&self) -> usize {
        self.messages
    }

    /// Whether anybody consumes.
    pub(in super::super) fn has_consumers(&self) -> bool {
        !self.consumers.is_empty()
    }

    /// What it takes of what all queues may hold together.
    pub(super) fn share(&self) -> usize {
        self.bytes + own_bytes_if(self.holds())
    }

    /// Whether it has messages, or is about to.
    fn holds(&self) -> bool {
        self.messages + self.announced > 0
    }

    /// Whether there is nothing in it and nobody at it.
    pub(in super::super) fn is_idle(&self) -> bool {
        self.messages == 0 && self.announced == 0 && self.consumers.is_empty() && !self.dispatching
    }

    /// Ends the queue if it is idle: whoever still has it must look for another one at its place.
    /// Returns whether it has ended.
    pub(in super::super) fn end_if_idle(&mut self) -> bool {
        self.ended |= self.is_idle();
        self.ended
    }

    /// Whether it was ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Adds a message, if there is room for it.
    pub(super) fn accept(
        &mut self,
        to: &Destination,
        arrival: Arrival,
        now: Instant,
    ) -> Result<(), BrokerError> {
        self.reserve(to, arrival.bytes)?;
        self.add(arrival, now);
        Ok(())
    }

    /// Reserves room for a message of so many bytes, or says why there is none. Where the oldest
    /// message makes room it does so when the new one is there.
    pub(super) fn reserve(&mut self, to: &Destination, bytes: usize) -> Result<(), BrokerError> {
        let drops_oldest = self.terms.drops_oldest();
        let held = if drops_oldest { (0, 0) } else { (self.messages, self.bytes) };
        self.terms.check(to, held.0, held.1, bytes)?;
        self.terms.total.add(bytes + own_bytes_if(!self.holds()))?;
        if drops_oldest {
            self.announced += 1;
        } else {
            self.messages += 1;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// Gives reserved room back.
    pub(super) fn release(&mut self, bytes: usize) {
        if self.terms.drops_oldest() {
            self.announced -= 1;
            self.give_back(bytes);
        } else {
            self.forget(1, bytes);
        }
    }

    /// Adds a message that room was reserved for.
    pub(super) fn add(&mut self, arrival: Arrival, now: Instant) {
        let Arrival { message, bytes, expiration, trail } = arrival;
        if self.terms.drops_oldest() {
            let has_room = self.make_room(bytes);
            self.announced -= 1;
            if !has_room {
                // Consumers have all others, so that this one is the oldest.
                self.give_back(bytes);
                self.terms.counters.dropped.increment();
                return;
            }
            self.messages += 1;
            self.bytes += bytes;
        }
        self.last += 1;
        let expiration = earlier(expiration, self.terms.policy.expiration);
        let expires = expiration.and_then(|expiration| now.checked_add(expiration));
        self.expires(expires);
        self.ready.push(Stored {
            message,
            position: self.last,
            bytes,
            attempts: 0,
            expires,
            trail,
        });
    }

    /// Drops the oldest messages that no consumer has until there is room for another.
    fn make_room(&mut self, bytes: usize) -> bool {
        let policy = &self.terms.policy;
        let (messages, limit) = (policy.messages, policy.bytes);
        while self.messages >= messages || self.bytes.saturating_add(bytes) > limit {
            let Some(oldest) = self.ready.pop_oldest() else { return false };
            self.forget(1, oldest.bytes);
            self.terms.counters.dropped.increment();
        }
        true
    }

    /// Adds a consumer, or replaces the one with its id.
    pub(in super::super) fn join(&mut self, mut subscriber: Subscriber) {
        subscriber.history = None;
        self.remove_consumer(subscriber.id);
        self.consumers.add(subscriber);
    }

    /// Removes a consumer and puts back, in order, what it had not settled: at once, or when it is
    /// known what became of what it is being delivered.
    pub(in super::super) fn leave(&mut self, id: SubscriberId) {
        match self.consumers.get_mut(id) {
            Some(consumer) if consumer.service == Service::Served => {
                consumer.service = Service::Left;
            }
            _ => self.remove_consumer(id),
        }
    }

    pub(super) fn remove_consumer(&mut self, id: SubscriberId) {
        let Some(mut consumer) = self.consumers.remove(id) else { return };
        for stored in consumer.unsettled.take_all() {
            self.put_back(stored);
        }
        if self.terms.temporary && self.consumers.is_empty() {
            let (bytes, messages) = self.ready.take_all().bytes();
            self.forget(messages, bytes);
            self.terms.counters.undeliverable.add(messages);
        }
    }

    pub(in super::super) fn settle(&mut self, settle: &Settle, now: Instant) {
        let Some(consumer) = self.consumers.get_mut(settle.subscriber) else { return };
        // Others were settled before.
        let tags = settle.tags.iter();
        let settled = tags.filter_map(|tag| consumer.unsettled.take(*tag));
        match settle.settlement {
            Settlement::Acknowledged => {
                let sizes = settled.map(|stored| stored.bytes);
                let (messages, bytes) = sizes.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
                self.forget(messages, bytes);
            }
            Settlement::Rejected => {
                for stored in settled.collect::<Vec<_>>() {
                    self.reject(stored, now);
                }
            }
        }
        self.consumers.rotate(settle.subscriber);
    }

    /// The consumer's outlet has written all that it had.
    pub(in super::super) fn resume(&mut self, id: SubscriberId) {
        let Some(consumer) = self.consumers.get_mut(id) else { return };
        consumer.stalled = false;
        consumer.resumed += 1;
        let (mut messages, mut bytes) = (0, 0);
        for tag in std::mem::take(&mut consumer.unwritten) {
            if let Some(stored) = consumer.unsettled.take(tag) {
                messages += 1;
                bytes += stored.bytes;
            }
        }
        self.forget(messages, bytes);
        self.consumers.rotate(id);
    }

    fn reject(&mut self, stored: Stored, now: Instant) {
        match self.terms.policy.rejected {
            RejectedPolicy::Requeue => self.put_back(stored),
            RejectedPolicy::Delay(_) if self.is_spent(&stored) => self.put_back(stored),
            RejectedPolicy::Delay(time) => {
                self.expires(stored.expires);
                // An instant that cannot be named never comes.
                let due = now.checked_add(time).unwrap_or(now + FAR);
                self.ready.delay(stored, due);
            }
            RejectedPolicy::Discard => self.discard(&stored),
            RejectedPolicy::DeadLetter => self.die(stored, Cause::Rejected),
        }
    }

    /// Makes a message ready again, in its old place, unless it was delivered as often as it may be.
    pub(super) fn put_back(&mut self, stored: Stored) {
        if self.is_spent(&stored) {
            self.die(stored, Cause::TooManyDeliveries);
        } else {
            self.expires(stored.expires);
            self.ready.put_back(stored);
        }
    }

    fn is_spent(&self, stored: &Stored) -> bool {
        self.terms.policy.deliveries.is_some_and(|most| stored.attempts >= most)
    }

    /// A message will not be delivered any more.
    pub(super) fn die(&mut self, stored: Stored, cause: Cause) {
        if cause == Cause::Expired {
            self.terms.counters.expired.increment();
        }
        if self.terms.policy.dead_letter.is_some() {
            self.dead.push((stored, cause));
        } else if cause == Cause::Expired {
            self.forget(1, stored.bytes);
        } else {
            self.discard(&stored);
        }
    }

    fn discard(&mut self, stored: &Stored) {
        self.forget(1, stored.bytes);
        self.terms.counters.discarded.increment();
    }

    /// Messages have gone.
    pub(super) fn forget(&mut self, messages: usize, bytes: usize) {
        if messages > 0 {
            self.messages -= messages;
            self.bytes -= bytes;
            self.give_back(bytes);
        }
    }

    /// What went with a message is for others to take, and with the last one all that the queue took.
    fn give_back(&self, bytes: usize) {
        self.terms.total.subtract(bytes + own_bytes_if(!self.holds()));
    }

    /// Notes when a message that no consumer has expires.
    fn expires(&mut self, expires: Option<Instant>) {
        let expires =
            expires.map(|expires| self.earliest_sweep.map_or(expires, |at| at.max(expires)));
        self.sweep = earlier(self.sweep, expires);
    }

    /// Takes out what has expired, if it is time to look for it.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.sweep.is_none_or(|at| at > now) {
            return;
        }
        let (expired, next) = self.ready.take_expired(now);
        for stored in expired {
            self.die(stored, Cause::Expired);
        }
        self.earliest_sweep = now.checked_add(BETWEEN_SWEEPS);
        self.sweep = None;
        self.expires(next);
    }

    /// When the queue has something to do without being asked.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        earlier(self.sweep, self.ready.next_due())
    }
}

/// As good as never.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

fn own_bytes_if(counted: bool) -> usize {
    if counted { OWN_BYTES } else { 0 }
}

fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    [one, other].into_iter().flatten().min()
}
