use std::sync::Arc;
use std::time::Instant;

use super::memory::Queue;
use super::router::Channel;

/// One turn of a caller of a [`Broker`](super::Broker): what it publishes within one turn is
/// delivered when the turn ends, combined per destination. So is what a queue has for consumers who
/// joined or settled within it.
///
/// A connection makes one turn of everything that one read brought, so that a hundred SENDs in one
/// read cost each subscriber one write. The turn ends when it is dropped. Position in a destination
/// is fixed when `publish` is called, not when the turn ends.
///
/// ```
/// use std::time::Instant;
/// use stompbox::broker::{Broker, MemoryBroker, Message, Turn};
///
/// let broker = MemoryBroker::new();
/// let mut turn = Turn::new(Instant::now());
/// for n in 0..3 {
///     let message = Message::builder("/topic/a".parse()?).body(n.to_string());
///     let mut outcome = broker.publish(message, &mut turn);
///     assert!(matches!(outcome.take_ready(), Some(Ok(()))));
/// }
/// drop(turn); // Now the subscribers get all three.
/// # Ok::<(), stompbox::broker::DestinationError>(())
/// ```
#[derive(Debug)]
pub struct Turn {
    now: Instant,
    /// Whose turn it is, if that is known.
    publisher: Option<u64>,
    channels: Touched<Channel>,
    queues: Touched<Queue>,
}

/// The destinations touched, some perhaps twice. Nearly always one, which then costs no allocation.
#[derive(Debug)]
struct Touched<T> {
    first: Option<Arc<T>>,
    others: Vec<Arc<T>>,
}

impl Turn {
    /// Begins a turn at this instant.
    pub fn new(now: Instant) -> Self {
        let (channels, queues) = (Touched::default(), Touched::default());
        Self { now, publisher: None, channels, queues }
    }

    /// Says whose turn it is, by any number: where several publish at one destination, its flush may
    /// be handed to the [`Host`](super::Host), to take along what the others are about to publish.
    #[must_use]
    pub fn with_publisher(mut self, publisher: u64) -> Self {
        self.publisher = Some(publisher);
        self
    }

    /// The instant that the turn began.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whose turn it is, if that is known.
    #[cfg(feature = "kafka")]
    pub(super) fn publisher(&self) -> Option<u64> {
        self.publisher
    }

    /// Notes that `channel` has something to deliver.
    pub(super) fn touch(&mut self, channel: Arc<Channel>) {
        if !self.channels.ends_with(&channel) {
            self.channels.push(channel);
        }
    }

    /// The queue that may have something to deliver since the last operation on a queue.
    pub(super) fn last_queue(&self) -> Option<&Arc<Queue>> {
        self.queues.last()
    }

    /// Notes that `queue` may have something to deliver.
    pub(super) fn touch_queue(&mut self, queue: &Arc<Queue>) {
        if !self.queues.ends_with(queue) {
            self.queues.push(Arc::clone(queue));
        }
    }
}

impl<T> Touched<T> {
    fn last(&self) -> Option<&Arc<T>> {
        self.others.last().or(self.first.as_ref())
    }

    /// Whether this was touched last. To look at all of them would cost a COMMIT to 10,000
    /// destinations 50 million looks, while to flush a destination twice costs nothing.
    fn ends_with(&self, destination: &Arc<T>) -> bool {
        self.last().is_some_and(|last| Arc::ptr_eq(last, destination))
    }

    fn push(&mut self, destination: Arc<T>) {
        if self.first.is_none() {
            self.first = Some(destination);
        } else {
            self.others.push(destination);
        }
    }

    fn take(&mut self) -> impl Iterator<Item = Arc<T>> {
        self.first.take().into_iter().chain(self.others.drain(..))
    }
}

impl<T> Default for Touched<T> {
    fn default() -> Self {
        Self { first: None, others: Vec::new() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        for channel in self.channels.take() {
            channel.flush(self.publisher, self.now);
        }
        for queue in self.queues.take() {
            queue.dispatch(self.now);
        }
    }
}
