use std::collections::VecDeque;

/// The deliveries of one subscription that the client has not answered yet, oldest first. Those that
/// it has answered are forgotten: [`Leaving::settle`](super::Leaving::settle) says what is made of
/// them.
#[derive(Debug, Default)]
pub(super) struct Ledger(VecDeque<Unsettled>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unsettled {
    /// The number in the connection that the client knows the delivery by.
    number: u64,
    tag: u64,
}

/// For how many deliveries a ledger keeps room while none is in it: most clients settle a few at a
/// time, and after a burst the room is given back.
const KEPT: usize = 8;

impl Ledger {
    /// Notes a delivery; numbers only grow.
    pub(super) fn note(&mut self, number: u64, tag: u64) {
        self.0.push_back(Unsettled { number, tag });
    }

    /// Takes the delivery with this number out, if it is unsettled, and returns its tag.
    pub(super) fn settle(&mut self, number: u64) -> Option<u64> {
        let place = self.place(number)?;
        let settled = self.0.remove(place);
        self.give_back();
        settled.map(|unsettled| unsettled.tag)
    }

    /// Takes out that delivery and all before it (STOMP 1.2, "ACK": cumulative in mode `client`),
    /// if it is unsettled, and returns their tags.
    pub(super) fn settle_up_to(&mut self, number: u64) -> Vec<u64> {
        let count = self.place(number).map_or(0, |place| place + 1);
        let settled = self.0.drain(..count).map(|unsettled| unsettled.tag).collect();
        self.give_back();
        settled
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.place(number).is_some()
    }

    fn give_back(&mut self) {
        if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0 = VecDeque::new();
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.0.binary_search_by_key(&number, |unsettled| unsettled.number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for number in [3, 4, 7, 9] {
            ledger.note(number, number * 10);
        }
        ledger
    }

    #[test]
    fn one_is_settled_by_its_number() {
        let mut ledger = ledger();
        assert_eq!(ledger.settle(7), Some(70));
        assert_eq!(ledger.settle(7), None);
        assert_eq!(ledger.settle(5), None);
        assert_eq!(ledger.0.len(), 3);
    }

    #[test]
    fn s2_cumulative_settles_all_before() {
        let mut ledger = ledger();
        assert_eq!(ledger.settle_up_to(7), [30, 40, 70]);
        assert!(ledger.settle_up_to(4).is_empty());
        assert_eq!(ledger.settle_up_to(9), [90]);
    }
}
