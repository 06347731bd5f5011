use std::collections::BTreeMap;

/// What of a partition of a queue was handed to this node, and what of that is settled.
///
/// Kafka knows one offset, behind which nothing is settled: so an offset is committed only when
/// everything before it is. With it goes a note, which tells who reads on there what may have been
/// delivered before.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The records from the committed offset on, and whether each is settled.
    records: BTreeMap<i64, bool>,
    /// The offset behind the last record that came.
    next: i64,
    /// What stands before this may have been delivered before.
    doubtful: i64,
    /// Whether there is more to commit.
    changed: bool,
}

/// What is noted beside a committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// Somebody consumes: whatever came since may have been delivered.
    Open,
    /// Somebody has consumed, and what stands before this may have been delivered.
    Seen(i64),
}

/// How many records may lie between one that is not settled and the last one.
const SPAN: usize = 10_000;

impl Ledger {
    /// A partition is read from here on. What stands before `doubtful` may have been delivered.
    pub(super) fn new(next: i64, doubtful: i64) -> Self {
        Self { records: BTreeMap::new(), next, doubtful, changed: false }
    }

    /// A record has come. Returns how often it may have been delivered before; `None` if it came
    /// already.
    pub(super) fn arrived(&mut self, offset: i64) -> Option<u32> {
        if offset < self.next {
            return None;
        }
        self.records.insert(offset, false);
        self.next = offset + 1;
        Some(u32::from(offset < self.doubtful))
    }

    /// A record is settled.
    pub(super) fn settle(&mut self, offset: i64) {
        let Some(settled) = self.records.get_mut(&offset) else { return };
        *settled = true;
        while let Some(first) = self.records.first_entry().filter(|first| *first.get()) {
            first.remove();
            self.changed = true;
        }
    }

    /// Before which everything is settled.
    pub(super) fn settled_to(&self) -> i64 {
        self.records.first_key_value().map_or(self.next, |(first, _)| *first)
    }

    /// What is to be committed, if that is more than when this was asked.
    pub(super) fn take_changed(&mut self) -> Option<i64> {
        std::mem::take(&mut self.changed).then(|| self.settled_to())
    }

    /// What was to be committed was not.
    pub(super) fn commit_again(&mut self) {
        self.changed = true;
    }

    /// Whether so much waits for one record that no more is to come.
    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= SPAN
    }

    /// What is noted when the partition is given back: `delivered` are the offsets of what is not
    /// settled and may have reached a consumer.
    pub(super) fn seen(&self, delivered: impl Iterator<Item = i64>) -> Note {
        let settled =
            self.records.iter().filter(|(_, settled)| **settled).map(|(offset, _)| *offset);
        let last = settled.chain(delivered).map(|offset| offset + 1).max();
        Note::Seen(last.unwrap_or_default().max(self.doubtful))
    }
}

impl Note {
    pub(super) fn write(self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Seen(offset) => format!("seen={offset}"),
        }
    }

    /// Up to where messages may have been delivered. `None` if whoever had the partition has not given
    /// it back, or the note is none of a node's.
    pub(super) fn read(note: &str) -> Option<i64> {
        note.strip_prefix("seen=")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_committed_behind_what_is_not_settled() {
        let mut ledger = Ledger::new(5, 7);
        let came: Vec<_> = [5, 6, 9, 10].map(|offset| ledger.arrived(offset)).into();
        assert_eq!(came, [Some(1), Some(1), Some(0), Some(0)]);
        assert_eq!(ledger.arrived(9), None);
        ledger.settle(6);
        ledger.settle(10);
        assert_eq!((ledger.take_changed(), ledger.settled_to()), (None, 5));
        ledger.settle(5);
        assert_eq!(ledger.take_changed(), Some(9));
        assert_eq!(ledger.take_changed(), None);
        ledger.settle(5);
        ledger.settle(9);
        assert_eq!(ledger.take_changed(), Some(11));
        ledger.commit_again();
        assert_eq!(ledger.take_changed(), Some(11));
    }

    #[test]
    fn the_next_one_knows_what_may_have_been_delivered() {
        let mut ledger = Ledger::new(0, 0);
        for offset in 0..10 {
            ledger.arrived(offset);
        }
        assert_eq!(ledger.seen(std::iter::empty()), Note::Seen(0));
        assert_eq!(ledger.seen([3, 4].into_iter()), Note::Seen(5));
        ledger.settle(7);
        assert_eq!(ledger.seen([3, 4].into_iter()), Note::Seen(8));
        assert_eq!(Ledger::new(5, 20).seen(std::iter::empty()), Note::Seen(20));

        assert_eq!(Note::read(&Note::Seen(8).write()), Some(8));
        assert_eq!(Note::read(&Note::Open.write()), None);
        assert_eq!(Note::read(""), None);
    }

    #[test]
    fn one_that_is_never_settled_stops_the_rest() {
        let mut ledger = Ledger::new(0, 0);
        for offset in 0..10_000 {
            assert!(!ledger.is_full());
            ledger.arrived(offset);
        }
        assert!(ledger.is_full());
        ledger.settle(9_999);
        assert!(ledger.is_full());
        ledger.settle(0);
        assert!(!ledger.is_full());
    }
}
