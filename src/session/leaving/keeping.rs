use std::time::Instant;

use super::super::backlog::Backlog;
use super::super::subscriptions::Flow;
use super::super::{
    Delivery, Envelope, Refusal, SessionError, SlowConsumerAction, SubscriptionKey,
};
use super::Leaving;
use super::room::Room;

/// Deliveries that have waited too long are dropped late by at most this part of the time that they
/// may wait, so that not each of them is woken up for.
const LATE: u32 = 8;

impl<E: Envelope> Leaving<E> {
    /// Takes deliveries to a subscription. They are encoded when they are [taken](Self::take), and
    /// held back before that while the broker has not confirmed the subscription, or the client has
    /// as much unsettled as it may. Returns whether the subscription is live.
    ///
    /// Where they are too many, or wait too long, what its policy says is done
    /// ([`set_slow_consumer`](Self::set_slow_consumer)): some may be dropped, or
    /// [`is_full`](Self::is_full) says that publishers are to be held.
    ///
    /// The error is that more would wait than may: the connection reads, or settles, too slowly. The
    /// delivery that is too much was not taken, nor was any after it.
    pub fn deliver(
        &mut self,
        key: SubscriptionKey,
        deliveries: &[Delivery],
        now: Instant,
    ) -> Result<bool, SessionError> {
        if self.is_over() || !self.is_live(key) {
            return Ok(false);
        }
        if self.waiting.deliveries.is_none() {
            self.overdue_at = None;
        }
        for delivery in deliveries {
            self.keep(key, delivery, now)?;
        }
        self.note_overdue(key);
        Ok(true)
    }

    /// Whether publishers are to be held because of a subscription
    /// ([`SlowConsumerAction::HoldPublisher`]), until it has caught up.
    pub fn is_full(&mut self, key: SubscriptionKey) -> bool {
        self.subscriptions.get_mut(key).is_some_and(|subscription| subscription.is_full())
    }

    /// When [`handle_overdue`](Self::handle_overdue) wants to be called, unless more is taken before.
    pub fn next_overdue(&self) -> Option<Instant> {
        self.overdue_at.filter(|_| !self.is_over() && !self.waiting.deliveries.is_none())
    }

    /// Deals with what has waited too long by now, as the policies of the subscriptions say.
    ///
    /// The error is that the client is to be refused for it.
    pub fn handle_overdue(&mut self, now: Instant) -> Result<(), Refusal> {
        if self.next_overdue().is_none_or(|due| due > now) {
            return Ok(());
        }
        let mut next = None;
        for subscription in self.subscriptions.iter_mut() {
            if subscription.backlog.is_none() {
                continue;
            }
            let mut room = Room {
                subscription,
                waiting: &mut self.waiting,
                counters: &mut self.counters,
                limit: self.settings.waiting_bytes,
                fewer_released: 0,
            };
            let checked = room.check_time(now);
            let fewer_released = room.fewer_released;
            subscription.drop_spent();
            if subscription.ack.settles() {
                subscription.unsettled -= fewer_released;
                self.unsettled -= fewer_released;
            }
            let id = subscription.named.then_some(&*subscription.id);
            checked.map_err(|error| Refusal::from(error).with_subscription(id))?;
            next = earlier(
                next,
                subscription.overdue_at().map(|due| match &subscription.slow {
                    Some(slow) if slow.action == SlowConsumerAction::DropOldest => {
                        now.checked_add(slow.time / LATE).map_or(due, |late| due.max(late))
                    }
                    _ => due,
                }),
            );
        }
        self.overdue_at = next;
        self.resume();
        Ok(())
    }

    /// Keeps one delivery, or does what is done where there is no room for it.
    fn keep(
        &mut self,
        key: SubscriptionKey,
        delivery: &Delivery,
        now: Instant,
    ) -> Result<(), SessionError> {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return Ok(()) };
        let settles = subscription.ack.settles();
        let mut room = Room {
            subscription,
            waiting: &mut self.waiting,
            counters: &mut self.counters,
            limit: self.settings.waiting_bytes,
            fewer_released: 0,
        };
        let admitted = room.admit(delivery, now);
        let fewer_released = room.fewer_released;
        if settles {
            subscription.unsettled -= fewer_released;
            self.unsettled -= fewer_released;
        }
        if let Some(waits) = admitted? {
            let full = self.unsettled >= self.settings.unsettled;
            if settles && full && subscription.flow == Flow::Open {
                subscription.flow = Flow::Paused;
                self.paused.push_back(key);
                self.counters.pauses += 1;
            }
            let gap = std::mem::take(&mut subscription.gap);
            let backlog = subscription.backlog.get_or_insert_default();
            backlog.push(waits, gap, &mut self.waiting.deliveries);
            if subscription.flow == Flow::Open {
                backlog.release(&mut self.waiting.deliveries);
                if backlog.takes_ticket() {
                    self.waiting.push_ticket(key);
                }
                if settles {
                    subscription.unsettled += 1;
                    self.unsettled += 1;
                }
            }
            if subscription.begins_to_hold(now) {
                self.counters.holds += 1;
            }
        }
        if fewer_released > 0 {
            self.resume();
        }
        Ok(())
    }

    /// Sees to it that [`next_overdue`](Self::next_overdue) is not later than for this subscription.
    pub(super) fn note_overdue(&mut self, key: SubscriptionKey) {
        let due = self.subscriptions.get_mut(key).and_then(|live| live.overdue_at());
        self.overdue_at = earlier(self.overdue_at, due);
    }

    /// From now on a subscription holds back what comes, since too much is unsettled.
    pub(super) fn pause(&mut self, key: SubscriptionKey) {
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.flow = Flow::Paused;
            self.paused.push_back(key);
            self.counters.pauses += 1;
        }
    }

    /// Drops all deliveries that wait or are held back.
    pub(super) fn drop_deliveries(&mut self) {
        self.waiting.drop_tickets();
        for subscription in self.subscriptions.iter_mut() {
            if let Some(backlog) = subscription.backlog.take() {
                Backlog::drop_all(*backlog, &mut self.waiting.deliveries);
            }
        }
    }
}

/// The earlier of two instants, where there are any.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
