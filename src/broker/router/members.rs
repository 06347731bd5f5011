use std::collections::HashMap;
use std::sync::Arc;

use super::super::{Subscriber, SubscriberId, room};

/// How many members are copied when one of them changes while a flush is looking at them.
const CHUNK: usize = 256;

/// A part of the members; all but the last have [`CHUNK`] of them.
type Chunk = Vec<Member>;

/// A subscriber, and what it is delivered first.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) subscriber: Subscriber,
    /// Where it joined: the first position of its channel that it is delivered, or, where it
    /// subscribed to a pattern, the number of its join.
    pub(super) from: u64,
    /// Whether the first message that it is delivered says that others are missing before it.
    pub(super) gap: bool,
}

/// The members of a channel or of a pattern, which flushes look at while others join and leave.
///
/// Copied on write, in chunks: joining and leaving cost a look-up, and for the first one after a
/// [`snapshot`](Self::snapshot) that is still held a copy of one chunk and of the list of chunks.
/// A snapshot costs a reference count.
#[derive(Default)]
pub(super) struct Members {
    chunks: Arc<Vec<Arc<Chunk>>>,
    /// Where each of them is, so that leaving does not search 100,000 others.
    places: HashMap<SubscriberId, usize>,
}

/// The members as they were at one moment.
#[derive(Clone)]
pub(super) struct Snapshot(Arc<Vec<Arc<Chunk>>>);

impl Members {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn contains(&self, id: SubscriberId) -> bool {
        self.places.contains_key(&id)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.chunks))
    }

    /// Adds a member, or replaces the one with its id.
    pub(super) fn insert(&mut self, member: Member) {
        let end = self.places.len();
        let place = *self.places.entry(member.subscriber.id).or_insert(end);
        let chunks = Arc::make_mut(&mut self.chunks);
        if place == end {
            if end.is_multiple_of(CHUNK) {
                chunks.push(Arc::default());
            }
            if let Some(chunk) = chunks.last_mut() {
                Arc::make_mut(chunk).push(member);
            }
        } else if let Some(same) = slot(chunks, place) {
            *same = member;
        }
    }

    /// Returns whether it was there.
    pub(super) fn remove(&mut self, id: SubscriberId) -> bool {
        let Some(place) = self.places.remove(&id) else { return false };
        room::give_back(&mut self.places);
        let chunks = Arc::make_mut(&mut self.chunks);
        // The last one takes its place.
        let last = chunks.last_mut().and_then(|chunk| Arc::make_mut(chunk).pop());
        if chunks.last().is_some_and(|chunk| chunk.is_empty()) {
            chunks.pop();
        }
        if let Some(last) = last.filter(|last| last.subscriber.id != id) {
            self.places.insert(last.subscriber.id, place);
            if let Some(left) = slot(chunks, place) {
                *left = last;
            }
        }
        true
    }

    /// The next message that each is delivered says that others are missing before it.
    #[cfg(feature = "nats")]
    pub(super) fn set_gap(&mut self) {
        for chunk in Arc::make_mut(&mut self.chunks) {
            for member in Arc::make_mut(chunk) {
                member.gap = true;
            }
        }
    }

    pub(super) fn get_mut(&mut self, id: SubscriberId) -> Option<&mut Member> {
        let place = *self.places.get(&id)?;
        let chunks = Arc::make_mut(&mut self.chunks);
        slot(chunks, place)
    }
}

fn slot(chunks: &mut [Arc<Chunk>], place: usize) -> Option<&mut Member> {
    Arc::make_mut(chunks.get_mut(place / CHUNK)?).get_mut(place % CHUNK)
}

impl Snapshot {
    /// Those from this place on that stand together; none only at the end.
    pub(super) fn from(&self, place: usize) -> &[Member] {
        let chunk = self.0.get(place / CHUNK);
        chunk.and_then(|chunk| chunk.get(place % CHUNK..)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::super::{Outlet, Taken};
    use super::*;
    use crate::session::{Delivery, SubscriptionKey};

    struct Nowhere;

    impl Outlet for Nowhere {
        fn deliver(&self, _: SubscriptionKey, _: &[Delivery], _: Instant) -> Taken {
            Taken::Gone
        }
    }

    fn id(connection: u64) -> SubscriberId {
        SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) }
    }

    fn members(count: u64) -> Members {
        let outlet = Arc::new(Nowhere);
        let mut members = Members::default();
        for connection in 0..count {
            let subscriber = Subscriber::new(id(connection), outlet.clone());
            members.insert(Member { subscriber, from: 0, gap: false });
        }
        members
    }

    fn ids(snapshot: &Snapshot) -> Vec<u64> {
        let all = (0..).map_while(|place| snapshot.from(place).first());
        all.map(|member| member.subscriber.id.connection).collect()
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let mut members = members(600);
        let before = members.snapshot();
        for connection in (0..600).step_by(2) {
            assert!(members.remove(id(connection)));
            assert!(!members.remove(id(connection)));
        }
        assert!(ids(&before).into_iter().eq(0..600));
        let mut left = ids(&members.snapshot());
        left.sort_unstable();
        assert!(left.into_iter().eq((1..600).step_by(2)));
        assert_eq!(members.len(), 300);
        assert!(
            (0..600).all(|connection| members.contains(id(connection)) == (connection % 2 == 1))
        );
    }

    /// 100,000 join, and after each hundred of them somebody looks until the next hundred are there.
    #[test]
    fn a_storm_is_linear() {
        let outlet = Arc::new(Nowhere);
        let mut members = Members::default();
        let allocated = allocation_counter::measure(|| {
            let mut looking = members.snapshot();
            for connection in 0..100_000 {
                let subscriber = Subscriber::new(id(connection), outlet.clone());
                members.insert(Member { subscriber, from: 0, gap: false });
                if connection % 100 == 0 {
                    looking = members.snapshot();
                }
            }
            drop(looking);
        });
        // A copy of one chunk and of the list of chunks for each hundred, and the map: to copy all
        // of them for each hundred would be 50,000 bytes for each.
        let each = allocated.bytes_total / 100_000;
        assert!(each < 1_000, "{each} bytes for each");
    }

    #[test]
    fn a_change_copies_one_chunk_and_only_while_somebody_looks() {
        let mut members = members(10 * CHUNK as u64);
        let shared = |members: &Members, snapshot: &Snapshot| {
            let both = members.chunks.iter().zip(snapshot.0.iter());
            both.filter(|(one, other)| Arc::ptr_eq(one, other)).count()
        };
        let before = members.snapshot();
        members.get_mut(id(3)).unwrap().from = 7;
        assert_eq!(shared(&members, &before), 9);
        drop(before);
        let chunks = Arc::as_ptr(&members.chunks);
        members.get_mut(id(700)).unwrap().from = 7;
        assert_eq!(Arc::as_ptr(&members.chunks), chunks, "nobody looks");
    }
}
