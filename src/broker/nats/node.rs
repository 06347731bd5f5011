use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::super::engine::{Consumers, Outbox, OutboxLimits, Upstreams};
use super::super::prefixes::{Kind, Prefixes};
use super::super::{BrokerError, Destination, Message, Router, Settle, Subscriber};
use super::subject::Subjects;

/// What the broker and its task share.
pub(super) struct Node {
    /// Its number, by which others know its messages: no other run of a node has it.
    pub(super) number: u64,
    pub(super) router: Router,
    pub(super) subjects: Subjects,
    pub(super) upstreams: Upstreams,
    pub(super) outbox: Outbox<Message>,
    /// The stream that holds the messages of queues, and what it listens to.
    pub(super) stream: String,
    pub(super) queue_subjects: Vec<String>,
    prefixes: Prefixes,
    queues: Mutex<HashMap<Destination, Arc<Local>>>,
}

/// What this node knows of a queue that it consumes from.
pub(super) struct Local {
    pub(super) consumers: Consumers<u64>,
    /// The highest place in the stream of a message that came here.
    highest: AtomicU64,
    /// What it was when the connection was lost.
    doubtful: AtomicU64,
}

/// What NATS is called in errors.
pub(super) const ENGINE: &str = "NATS";

impl Node {
    pub(super) fn new(subjects: Subjects, prefixes: Prefixes) -> Self {
        let below = |prefix: &String| subjects.below(prefix);
        Self {
            stream: subjects.stream(),
            queue_subjects: prefixes.queues().iter().map(below).collect(),
            prefixes,
            queues: Mutex::default(),
            number: RandomState::new().build_hasher().finish(),
            router: Router::with_patterns_as_names(),
            subjects,
            upstreams: Upstreams::default(),
            outbox: Outbox::new(ENGINE, OutboxLimits::default()),
        }
    }

    pub(super) fn is_queue(&self, destination: &Destination) -> bool {
        self.prefixes.kind(destination) == Some(Kind::Queue)
    }

    /// Adds a consumer of a queue, or replaces the one with its id.
    pub(super) fn join(&self, queue: &Destination, subscriber: Subscriber) {
        let mut queues = self.queues.lock();
        let queue = queues.entry(queue.clone()).or_insert_with(|| Arc::new(Local::new()));
        queue.consumers.leave(subscriber.id);
        queue.consumers.join(subscriber);
    }

    /// A queue that has consumers here.
    pub(super) fn queue(&self, queue: &Destination) -> Option<Arc<Local>> {
        self.queues.lock().get(queue).cloned()
    }

    /// Settles what came from a queue. From a topic there is nothing to settle.
    pub(super) fn settle(&self, settle: &Settle) {
        if let Some(queue) = self.queue(&settle.destination) {
            queue.consumers.settle(settle);
        }
    }

    /// JetStream refuses a queue. Its consumers stay here for as long as they do not leave.
    pub(super) fn refuse_queue(&self, queue: &Destination, error: &BrokerError) {
        if let Some(queue) = self.queue(queue) {
            queue.consumers.lost();
        }
        self.upstreams.refused(queue, error);
    }

    /// Gives up what has waited too long for a NATS that cannot be reached.
    pub(super) fn expire(&self, now: Instant) {
        self.upstreams.expire(ENGINE, now);
        self.outbox.expire(now);
    }

    /// Forgets a queue that nobody consumes from any more.
    pub(super) fn forget_if_empty(&self, queue: &Destination) {
        let mut queues = self.queues.lock();
        if queues.get(queue).is_some_and(|queue| queue.consumers.is_empty()) {
            queues.remove(queue);
        }
    }

    /// The connection is lost: what JetStream had handed out is handed out again.
    pub(super) fn queues_lost(&self) {
        self.queues.lock().retain(|_, queue| {
            queue.consumers.lost();
            queue.doubtful.store(queue.highest.load(Ordering::Relaxed), Ordering::Relaxed);
            !queue.consumers.is_empty()
        });
    }
}

impl Local {
    fn new() -> Self {
        let (highest, doubtful) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { consumers: Consumers::new(), highest, doubtful }
    }

    /// A message has come from this place in the stream, which JetStream says it has handed out so
    /// often. Returns how often it may have been handed out before.
    ///
    /// After a crash JetStream may have forgotten what it had handed out: then whatever can have come
    /// here before, or to another node before that, counts as handed out.
    pub(super) fn attempts(&self, place: u64, delivered: u32) -> u32 {
        self.highest.fetch_max(place, Ordering::Relaxed);
        let doubtful = place <= self.doubtful.load(Ordering::Relaxed);
        delivered.saturating_sub(1).max(doubtful.into())
    }
}
