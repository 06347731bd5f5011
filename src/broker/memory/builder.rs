use std::collections::HashMap;
use std::sync::Arc;

use super::{MemoryBroker, Router};

/// Prefixes and bounds of a [`MemoryBroker`].
///
/// ```
/// use stompbox::broker::MemoryBroker;
///
/// let broker = MemoryBroker::builder().topic("/broadcast").queue_bytes(1 << 20).build();
/// # let _ = broker;
/// ```
#[derive(Debug, Clone)]
pub struct MemoryBrokerBuilder {
    pub(super) topics: Vec<String>,
    pub(super) queues: Vec<String>,
    pub(super) queue_bytes: usize,
    pub(super) total_bytes: usize,
}

impl MemoryBrokerBuilder {
    /// The most bytes that one queue holds: a consumer that is away for a while is served, one that
    /// never comes does not take the node down.
    pub const DEFAULT_QUEUE_BYTES: usize = 16 << 20;

    /// The most bytes that all queues hold together: a client that names new queues without end is
    /// bounded as well.
    pub const DEFAULT_TOTAL_BYTES: usize = 256 << 20;

    pub(super) fn new() -> Self {
        Self {
            topics: vec!["/topic".to_owned()],
            queues: vec!["/queue".to_owned()],
            queue_bytes: Self::DEFAULT_QUEUE_BYTES,
            total_bytes: Self::DEFAULT_TOTAL_BYTES,
        }
    }

    /// Adds a prefix of topics, with or without a `/` at its end. `/topic` is one already.
    #[must_use]
    pub fn topic(mut self, prefix: impl AsRef<str>) -> Self {
        self.topics.push(whole_segments(prefix.as_ref()));
        self
    }

    /// Adds a prefix of queues, with or without a `/` at its end. `/queue` is one already.
    #[must_use]
    pub fn queue(mut self, prefix: impl AsRef<str>) -> Self {
        self.queues.push(whole_segments(prefix.as_ref()));
        self
    }

    /// Sets how many bytes of messages one queue holds at the most, overhead included.
    #[must_use]
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Sets how many bytes of messages all queues hold together at the most.
    #[must_use]
    pub fn total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Makes the broker.
    pub fn build(self) -> MemoryBroker {
        MemoryBroker {
            held: Arc::new(super::Bytes::new(self.total_bytes)),
            settings: self,
            router: Router::new(),
            queues: parking_lot::RwLock::new(HashMap::new()),
        }
    }

    /// The prefixes in words, for an error message.
    pub(super) fn prefixes(&self) -> String {
        let prefixes: Vec<_> = self.topics.iter().chain(&self.queues).map(String::as_str).collect();
        prefixes.join(", ")
    }
}

/// A prefix without the `/` that follows it in a destination.
fn whole_segments(prefix: &str) -> String {
    prefix.trim_end_matches('/').to_owned()
}
