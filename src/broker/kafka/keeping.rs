use std::time::{Duration, Instant};

use rdkafka::topic_partition_list::TopicPartitionListElem;

use super::ledger::Note;

/// What has become of what was committed of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    /// Kafka answers, and has something else.
    No,
    /// Kafka does not answer.
    Unknown,
}

/// Since when Kafka has answered what is of no use.
///
/// While it does not answer at all one waits for it, as with everything else; but of this nobody would
/// ever hear.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<Instant>);

/// How long it may. Members come and go meanwhile, while Kafka refuses what is committed.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

impl Kept {
    /// By what Kafka has of the partition.
    ///
    /// The note need not be there. It is there for those who take the partition over, and without one
    /// they take all for delivered that has come by then. What it must not be is that of somebody who
    /// gave the partition back before: then they would not.
    pub(super) fn of(
        committed: &TopicPartitionListElem<'_>,
        found: Option<&TopicPartitionListElem<'_>>,
    ) -> Self {
        let kept = found.is_some_and(|found| {
            found.error().is_ok()
                && found.offset() == committed.offset()
                && Note::read(found.metadata()).is_none()
        });
        if kept { Self::Yes } else { Self::No }
    }
}

impl Patience {
    /// It was of no use again. Returns whether that is so for too long.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(*self.0.get_or_insert(now)) >= LONGEST
    }

    /// It was of use, or there was no answer.
    pub(super) fn begin_anew(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{Offset, TopicPartitionList};

    use super::*;

    fn list(offset: Offset, note: &str) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        let mut place = list.add_partition("work", 3);
        place.set_offset(offset).unwrap();
        place.set_metadata(note);
        list
    }

    #[test]
    fn the_offset_is_kept_and_the_note_may_be_lost_but_no_older_one_stays() {
        let committed = list(Offset::Offset(5), &Note::Open.write());
        let found = |offset, note: &str| {
            let found = list(offset, note);
            Kept::of(&committed.elements()[0], Some(&found.elements()[0]))
        };
        assert_eq!(found(Offset::Offset(5), &Note::Open.write()), Kept::Yes);
        for lost in ["", "something of the engine's own"] {
            assert_eq!(found(Offset::Offset(5), lost), Kept::Yes, "{lost}");
        }
        assert_eq!(found(Offset::Offset(5), &Note::Seen(7).write()), Kept::No);
        assert_eq!(found(Offset::Offset(4), &Note::Open.write()), Kept::No);
        assert_eq!(found(Offset::Invalid, ""), Kept::No, "nothing is committed");
        assert_eq!(Kept::of(&committed.elements()[0], None), Kept::No);
    }

    #[test]
    fn patience_ends_and_begins_anew() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        assert!(!patience.is_over(now) && !patience.is_over(now + LONGEST / 2));
        assert!(patience.is_over(now + LONGEST));
        patience.begin_anew();
        assert!(!patience.is_over(now + LONGEST));
        assert!(patience.is_over(now + LONGEST * 2));
    }
}
