use std::collections::BTreeSet;

/// What somebody has seen of one publisher's messages, exact for any order.
#[derive(Debug, Default)]
pub struct Record {
    /// One more than the highest number seen.
    next: u32,
    /// What is missing below that.
    missing: BTreeSet<u32>,
}

/// How a message stands to those seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    InOrder,
    /// After a later one.
    Late,
    Again,
}

impl Record {
    pub fn see(&mut self, number: u32) -> Seen {
        if number >= self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
            Seen::InOrder
        } else if self.missing.remove(&number) {
            Seen::Late
        } else {
            Seen::Again
        }
    }

    /// How many of the first `sent` have not come.
    pub fn lost(&self, sent: u32) -> u64 {
        self.missing.len() as u64 + u64::from(sent.saturating_sub(self.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_duplicates_and_disorder_are_told_apart() {
        let mut record = Record::default();
        let seen: Vec<_> = [0, 1, 5, 3, 3, 2, 5, 0, 9].map(|number| record.see(number)).into();
        let (new, late, again) = (Seen::InOrder, Seen::Late, Seen::Again);
        assert_eq!(seen, [new, new, new, late, again, late, again, again, new]);
        // 4, 6, 7, 8, and then 10 and 11.
        assert_eq!((record.lost(10), record.lost(12)), (4, 6));
    }
}
