use std::collections::BTreeMap;

use crate::frame::SharedMessage;

use super::ledger::{Ledger, Note};
use super::place::Place;

/// A partition of a queue that was given to this node, while nothing of it is delivered yet.
///
/// Kafka is asked what may have been delivered by whoever had it before; then it is noted there that
/// this node begins, so that others know it if this node dies. What comes meanwhile waits here.
#[derive(Debug)]
pub(super) struct Opening {
    number: u64,
    came: BTreeMap<i64, SharedMessage>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Kafka is asked what may have been delivered.
    Asking,
    /// What stands before this offset may have been. That this node begins is to be noted.
    Answered(i64),
    /// It is being noted.
    Noting(i64),
}

/// What Kafka is asked of a partition before anything of it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) topic: String,
    /// Of the first record that came.
    pub(super) place: Place,
    /// No other one has it: a partition may go and come again before there is an answer.
    pub(super) number: u64,
}

/// A record of a partition that was opened: its offset, and how often it may have been delivered.
pub(super) type Opened = (i64, u32, SharedMessage);

impl Opening {
    /// With the number of what Kafka is asked.
    pub(super) fn new(number: u64) -> Self {
        Self { number, came: BTreeMap::new(), stage: Stage::Asking }
    }

    pub(super) fn arrived(&mut self, offset: i64, message: SharedMessage) {
        self.came.insert(offset, message);
    }

    /// How many records wait.
    pub(super) fn waiting(&self) -> usize {
        self.came.len()
    }

    /// Whether it waits for the answer to this.
    pub(super) fn asks(&self, number: u64) -> bool {
        self.number == number && self.stage == Stage::Asking
    }

    /// What stands before this offset may have been delivered.
    pub(super) fn answer(&mut self, doubtful: i64) {
        self.stage = Stage::Answered(doubtful);
    }

    /// The offset to be committed with the note that this node begins. Asked once.
    pub(super) fn take_note(&mut self) -> Option<i64> {
        let Stage::Answered(doubtful) = self.stage else { return None };
        self.stage = Stage::Noting(doubtful);
        self.first()
    }

    /// It was not noted.
    pub(super) fn note_again(&mut self) {
        if let Stage::Noting(doubtful) = self.stage {
            self.stage = Stage::Answered(doubtful);
        }
    }

    /// If it is noted that this node begins: the ledger, and what has come.
    pub(super) fn open(&mut self) -> Option<(Ledger, Vec<Opened>)> {
        let Stage::Noting(doubtful) = self.stage else { return None };
        let mut ledger = Ledger::new(self.first()?, doubtful);
        let came = std::mem::take(&mut self.came).into_iter();
        let came = came.filter_map(|(offset, message)| {
            ledger.arrived(offset).map(|attempts| (offset, attempts, message))
        });
        let came = came.collect();
        Some((ledger, came))
    }

    /// What is to be committed when the partition is given back: that this node begins may be noted.
    pub(super) fn give_back(&self) -> Option<(i64, Note)> {
        let Stage::Noting(doubtful) = self.stage else { return None };
        Some((self.first()?, Note::Seen(doubtful)))
    }

    fn first(&self) -> Option<i64> {
        self.came.first_key_value().map(|(offset, _)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Message;
    use super::*;

    /// One of which two records came.
    fn opening() -> Opening {
        let mut opening = Opening::new(1);
        for offset in [5, 6] {
            let message = Message::builder("/queue/work".parse().unwrap()).body("");
            opening.arrived(offset, message.into_shared());
        }
        opening
    }

    #[test]
    fn nothing_is_handed_out_before_it_is_noted_that_this_node_begins() {
        let mut opening = opening();
        assert!(opening.asks(1) && !opening.asks(2));
        assert!(opening.take_note().is_none() && opening.open().is_none());
        opening.answer(6);
        assert!(!opening.asks(1));
        assert!(opening.open().is_none());
        assert_eq!(opening.take_note(), Some(5));
        assert_eq!(opening.take_note(), None);
        opening.note_again();
        assert!(opening.open().is_none());
        assert_eq!(opening.take_note(), Some(5));
        let (ledger, came) = opening.open().unwrap();
        let came: Vec<_> =
            came.into_iter().map(|(offset, attempts, _)| (offset, attempts)).collect();
        assert_eq!((ledger.settled_to(), &came[..]), (5, &[(5, 1), (6, 0)][..]));
    }

    #[test]
    fn who_gives_it_back_takes_back_what_may_be_noted() {
        let mut opening = opening();
        assert_eq!(opening.give_back(), None);
        opening.answer(6);
        assert_eq!(opening.give_back(), None);
        opening.take_note();
        assert_eq!(opening.give_back(), Some((5, Note::Seen(6))));
    }
}
