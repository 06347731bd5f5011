use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::locks::RwLock;

use super::super::{Destination, room};
use super::channel::Channel;

/// How many locks the table is spread over. Publishers take a read lock of one of them for a
/// look-up; only a destination that comes or goes writes.
const SHARDS: usize = if cfg!(stompbox_loom) { 1 } else { 64 };

/// A part of the table.
type Shard = RwLock<HashMap<Destination, Arc<Channel>>>;

/// The channels that exist, by destination: at most one at a time for each.
pub(super) struct Table {
    shards: Box<[Shard]>,
    hasher: RandomState,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn find(&self, destination: &Destination) -> Option<Arc<Channel>> {
        self.shard(destination).read().get(destination).cloned()
    }

    /// Finds the channel of a destination, or makes it.
    pub(super) fn open(
        &self,
        destination: &Destination,
        make: impl FnOnce() -> Channel,
    ) -> Arc<Channel> {
        match self.shard(destination).write().entry(destination.clone()) {
            Entry::Occupied(channel) => Arc::clone(channel.get()),
            Entry::Vacant(vacant) => Arc::clone(vacant.insert(Arc::new(make()))),
        }
    }

    /// Removes a channel if it is not used any more. Whoever has found it before is told so when it
    /// tries to use it, and looks again.
    pub(super) fn retire(&self, channel: &Arc<Channel>) {
        let mut guard = self.shard(channel.destination()).write();
        let shard = &mut *guard;
        let same = |found: &Arc<Channel>| Arc::ptr_eq(found, channel);
        if shard.get(channel.destination()).is_some_and(same) && channel.close() {
            let removed = shard.remove(channel.destination());
            room::give_back(shard);
            drop(guard);
            drop(removed);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    #[allow(clippy::indexing_slicing)] // The index is a remainder of the length, which is not 0.
    fn shard(&self, destination: &Destination) -> &Shard {
        let hash = self.hasher.hash_one(destination);
        // The remainder of a 64-bit hash fits any usize.
        #[allow(clippy::cast_possible_truncation)]
        let index = hash as usize % self.shards.len();
        &self.shards[index]
    }
}
