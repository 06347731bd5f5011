use std::collections::BTreeSet;

use super::shared::DeliveryTag;

/// How many messages of a queue RabbitMQ may hand to this node, and has.
///
/// RabbitMQ bounds what each of its consumers is handed by a window of its own, and the window stays as
/// it was begun (one for the whole channel, which could be changed, is not for every kind of queue). So there is another consumer for what the consumers here have credit for more, as long
/// as there are messages out; and where they have credit for less, all end, and what they have handed
/// over counts beside the windows of those that begin anew. Otherwise more messages would come than
/// anybody here has credit for, and wait for as long as the others are worked on, while somebody at
/// another node is idle.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// The windows of the consumers at RabbitMQ together.
    windows: usize,
    /// What is here and is not settled.
    held: BTreeSet<DeliveryTag>,
    /// The last of those that came by consumers that have ended, and how many of them are held.
    ended: DeliveryTag,
    beside: usize,
}

/// The part of the credit that is not worth a consumer of its own at RabbitMQ.
const SMALL: usize = 16;

impl Granted {
    /// Whether RabbitMQ may hand over more than there is credit for.
    pub(super) fn exceeds(&self, credit: usize) -> bool {
        self.windows + self.beside > credit
    }

    /// The window of another consumer, if there is to be one.
    pub(super) fn next_window(&self, credit: usize) -> Option<u16> {
        let room = credit.saturating_sub(self.windows + self.beside);
        (room >= (credit / SMALL).max(1)).then(|| u16::try_from(room).unwrap_or(u16::MAX))
    }

    /// There is another consumer at RabbitMQ.
    pub(super) fn grant(&mut self, window: u16) {
        self.windows += usize::from(window);
    }

    /// A message has come.
    pub(super) fn came(&mut self, tag: DeliveryTag) {
        self.held.insert(tag);
    }

    /// A message is settled, or goes back.
    pub(super) fn settled(&mut self, tag: DeliveryTag) {
        if self.held.remove(&tag) && tag <= self.ended {
            self.beside -= 1;
        }
    }

    /// All consumers at RabbitMQ have ended.
    pub(super) fn all_ended(&mut self) {
        self.windows = 0;
        self.ended = self.held.last().copied().unwrap_or(self.ended);
        self.beside = self.held.len();
    }

    /// Whether RabbitMQ has handed over all that it may by the consumers that there are.
    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= self.windows + self.beside
    }

    /// Whether a consumer with this window is worth more than those that there are.
    pub(super) fn is_less_than(&self, window: u16) -> bool {
        self.windows < usize::from(window)
    }

    /// How many messages are here and not settled.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing is held: what several consumers at RabbitMQ bring one could as well.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a consumer at RabbitMQ for all that there is credit for.
    fn granted(credit: usize) -> Granted {
        let mut granted = Granted::default();
        let window = granted.next_window(credit).unwrap();
        assert_eq!(usize::from(window), credit);
        granted.grant(window);
        assert_eq!(granted.next_window(credit), None);
        granted
    }

    #[test]
    fn who_comes_beside_one_that_works_adds_what_it_has_credit_for() {
        let mut granted = granted(1);
        granted.came(1);
        assert_eq!(granted.next_window(2), Some(1));
        granted.grant(1);
        assert!(!granted.exceeds(2) && granted.exceeds(1));
    }

    #[test]
    fn what_came_by_those_that_have_ended_counts_until_it_is_settled() {
        let mut granted = granted(3);
        for tag in [1, 2, 3] {
            granted.came(tag);
        }
        granted.settled(3);
        granted.all_ended();
        assert_eq!(granted.next_window(2), None, "two are worked on");
        granted.settled(1);
        assert_eq!(granted.next_window(2), Some(1));
        granted.grant(1);
        granted.came(4);
        // By the one that there is now, which gets another one for it.
        granted.settled(4);
        granted.settled(4);
        assert_eq!(granted.next_window(2), None);
        granted.settled(2);
        assert_eq!(granted.next_window(2), Some(1));
        assert!(granted.is_idle());
    }

    #[test]
    fn it_is_full_when_no_more_can_come() {
        let mut granted = granted(2);
        granted.came(1);
        assert!(!granted.is_full() && granted.held() == 1);
        granted.all_ended();
        granted.grant(1);
        assert!(!granted.is_full(), "the first came by another consumer");
        granted.came(2);
        assert!(granted.is_full());
        granted.settled(1);
        assert!(granted.is_full() && !granted.is_less_than(1) && granted.is_less_than(2));
        granted.settled(2);
        assert!(!granted.is_full());
    }

    #[test]
    fn little_is_not_worth_a_consumer() {
        let mut granted = granted(160);
        assert_eq!(granted.next_window(169), None);
        assert_eq!(granted.next_window(170), Some(10));
        granted.all_ended();
        assert_eq!(granted.next_window(100_000), Some(u16::MAX));
    }
}
