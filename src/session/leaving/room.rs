use std::time::Instant;

use super::super::backlog::{Backlog, Waits, is_live, latest_key};
use super::super::subscriptions::{Flow, Subscription};
use super::super::waiting::Waiting;
use super::super::{Delivery, SessionError, SlowConsumer, SlowConsumerAction};
use super::LeavingCounters;

/// The room that there is for deliveries to one subscription, and what is done where there is none.
pub(super) struct Room<'a> {
    pub(super) subscription: &'a mut Subscription,
    pub(super) waiting: &'a mut Waiting,
    pub(super) counters: &'a mut LeavingCounters,
    /// The most bytes that wait for the connection.
    pub(super) limit: usize,
    /// How many released deliveries were dropped without others in their stead.
    pub(super) fewer_released: usize,
}

impl Room<'_> {
    /// Finds room for a delivery, where need be by dropping others. `None` if it is dropped itself,
    /// or waits in the place of another.
    ///
    /// The error is that there is none: the client reads too slowly.
    pub(super) fn admit(
        &mut self,
        delivery: &Delivery,
        now: Instant,
    ) -> Result<Option<Waits>, SessionError> {
        let confirmed = self.subscription.flow != Flow::Unconfirmed;
        let slow = self.subscription.slow.clone().filter(|_| confirmed && is_live(delivery));
        let key = slow.as_ref().and_then(|slow| latest_key(&slow.action, delivery));
        let waits = Waits::new(delivery.clone(), key, now);
        let Some(slow) = slow else {
            self.check_connection(&waits)?;
            return Ok(Some(waits));
        };
        match slow.action {
            SlowConsumerAction::Close => {
                self.check_time(now)?;
                self.check_bytes(&slow, &waits)?;
                self.check_connection(&waits)?;
                Ok(Some(waits))
            }
            SlowConsumerAction::HoldPublisher => {
                self.check_time(now)?;
                self.check_connection(&waits)?;
                Ok(Some(waits))
            }
            SlowConsumerAction::DropNewest => {
                let oldest = self.backlog().and_then(Backlog::oldest_since);
                let waited = oldest.map(|since| now.saturating_duration_since(since));
                let overdue = waited.is_some_and(|waited| waited >= slow.time);
                if overdue || self.exceeds(&slow, &waits) || self.exceeds_connection(&waits) {
                    self.drop_newest();
                    return Ok(None);
                }
                Ok(Some(waits))
            }
            SlowConsumerAction::DropOldest => {
                self.drop_overdue(now);
                Ok(self.drop_oldest_for(&slow, waits))
            }
            SlowConsumerAction::KeepLatest { .. } => Ok(self.keep_latest(&slow, waits)),
        }
    }

    /// Drops what has waited too long, where that is what is done about it.
    ///
    /// The error is that the connection is to be ended for it.
    pub(super) fn check_time(&mut self, now: Instant) -> Result<(), SessionError> {
        let drops = |slow: &SlowConsumer| slow.action == SlowConsumerAction::DropOldest;
        if self.subscription.slow.as_deref().is_some_and(drops) {
            self.drop_overdue(now);
            return Ok(());
        }
        let overdue = self.subscription.overdue_at().is_some_and(|due| due <= now);
        match &self.subscription.slow {
            Some(slow) if overdue => {
                let (id, limit) = (self.subscription.id.to_string(), slow.time);
                Err(SessionError::OverdueSubscription { id, limit })
            }
            _ => Ok(()),
        }
    }

    fn check_bytes(&self, slow: &SlowConsumer, waits: &Waits) -> Result<(), SessionError> {
        if !self.exceeds(slow, waits) {
            return Ok(());
        }
        let waiting = self.live_bytes().saturating_add(waits.cost());
        let (id, limit) = (self.subscription.id.to_string(), slow.bytes);
        Err(SessionError::SlowSubscription { id, waiting, limit })
    }

    fn check_connection(&self, waits: &Waits) -> Result<(), SessionError> {
        let (waiting, limit) = (self.total_with(waits), self.limit);
        if waiting > limit { Err(SessionError::SlowConsumer { waiting, limit }) } else { Ok(()) }
    }

    /// Whether too much would wait for the subscription with this one. One alone is never too much.
    fn exceeds(&self, slow: &SlowConsumer, waits: &Waits) -> bool {
        self.live() > 0 && self.live_bytes().saturating_add(waits.cost()) > slow.bytes
    }

    fn exceeds_connection(&self, waits: &Waits) -> bool {
        self.total_with(waits) > self.limit
    }

    fn total_with(&self, waits: &Waits) -> usize {
        self.waiting.total().saturating_add(waits.cost() + Waiting::TICKET)
    }

    fn drop_overdue(&mut self, now: Instant) {
        while self.subscription.overdue_at().is_some_and(|due| due <= now) && self.drop_oldest() {}
    }

    fn drop_oldest_for(&mut self, slow: &SlowConsumer, waits: Waits) -> Option<Waits> {
        while self.exceeds(slow, &waits) || self.exceeds_connection(&waits) {
            if !self.drop_oldest() {
                // Others have all the room that the connection has.
                self.drop_newest();
                return None;
            }
        }
        Some(waits)
    }

    fn keep_latest(&mut self, slow: &SlowConsumer, waits: Waits) -> Option<Waits> {
        let deliveries = &mut self.waiting.deliveries;
        let superseded = match &mut self.subscription.backlog {
            Some(backlog) => backlog.supersede(waits, deliveries),
            None => Err(waits),
        };
        let waits = match superseded {
            Ok(()) => {
                self.counters.superseded += 1;
                // It may be larger than the one before it.
                while (self.live() > 1 && self.live_bytes() > slow.bytes)
                    || self.waiting.total() > self.limit
                {
                    if !self.drop_oldest() {
                        break;
                    }
                }
                return None;
            }
            Err(waits) => waits,
        };
        self.drop_oldest_for(slow, waits)
    }

    /// Drops the oldest delivery that may be; returns whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let deliveries = &mut self.waiting.deliveries;
        let backlog = self.subscription.backlog.as_mut();
        let Some(dropped) = backlog.and_then(|backlog| backlog.drop_oldest(deliveries)) else {
            return false;
        };
        self.counters.dropped_oldest += 1;
        self.fewer_released += usize::from(dropped.fewer_released);
        self.subscription.gap |= dropped.gap_behind;
        true
    }

    fn drop_newest(&mut self) {
        self.counters.dropped_newest += 1;
        self.subscription.gap = true;
    }

    fn backlog(&self) -> Option<&Backlog> {
        self.subscription.backlog.as_deref()
    }

    fn live(&self) -> usize {
        self.backlog().map_or(0, Backlog::live)
    }

    fn live_bytes(&self) -> usize {
        self.backlog().map_or(0, Backlog::live_bytes)
    }
}
