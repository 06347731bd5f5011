use super::super::event::{MessageName, SettleFrame};
use super::super::{AckMode, Envelope, SessionError, SubscriptionKey};
use super::Leaving;

/// What an ACK or NACK settled, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The subscription.
    pub key: SubscriptionKey,
    /// Its destination.
    pub destination: Box<str>,
    /// The tags of the deliveries.
    pub tags: Vec<u64>,
}

impl<E: Envelope> Leaving<E> {
    /// Finds what an ACK or NACK settles, and takes it out of the ledger. `None` for what was
    /// settled before, or whose subscription has ended: such a frame is ignored and counted, or
    /// refused in the [strict](super::super::SessionSettings::strict) profile. Deliveries that were held back since too much was unsettled go on.
    pub fn settle(&mut self, settle: &SettleFrame) -> Result<Option<Settled>, SessionError> {
        let Some((key, number)) = self.named(&settle.message)? else {
            return self.settled_before(settle);
        };
        let Some(subscription) = self.subscriptions.get_mut(key) else { return Ok(None) };
        let tags = match subscription.ack {
            AckMode::Client => subscription.ledger.settle_up_to(number),
            _ => subscription.ledger.settle(number).into_iter().collect(),
        };
        if tags.is_empty() {
            return self.settled_before(settle);
        }
        subscription.unsettled -= tags.len();
        self.unsettled -= tags.len();
        let destination = subscription.destination.clone();
        self.resume();
        Ok(Some(Settled { key, destination, tags }))
    }

    fn settled_before(&mut self, settle: &SettleFrame) -> Result<Option<Settled>, SessionError> {
        self.counters.settled_before += 1;
        if self.settings.accepts_settled_before {
            Ok(None)
        } else {
            Err(SessionError::SettledBefore { id: settle.message.id().to_owned() })
        }
    }

    /// Sends what a subscription held back, as far as the client may have more. Returns whether
    /// nothing of it is left.
    pub(super) fn release(&mut self, key: SubscriptionKey) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return true };
        let Some(held) = &mut subscription.held else { return true };
        let settles = subscription.ack.settles();
        while !settles || self.unsettled < self.settings.unsettled {
            let Some(counted) = held.pop_front() else { break };
            self.waiting.release(key, counted);
            if settles {
                subscription.unsettled += 1;
                self.unsettled += 1;
            }
        }
        let empty = held.is_empty();
        if empty {
            subscription.held = None;
        }
        empty
    }

    /// Goes on with what was held back because too much was unsettled.
    pub(super) fn resume(&mut self) {
        while self.unsettled < self.settings.unsettled
            && !self.is_over()
            && let Some(key) = self.paused.front().copied()
            && self.release(key)
        {
            self.paused.pop_front();
        }
    }

    /// The subscription and number that an ACK or NACK names; `None` if its subscription has ended.
    fn named(
        &mut self,
        name: &MessageName,
    ) -> Result<Option<(SubscriptionKey, u64)>, SessionError> {
        let unknown = |id: &str| SessionError::UnknownMessage { id: id.to_owned() };
        let last = self.encoder.last_message;
        let issued = |id: &str, number: &str| {
            let number = decimal(number).filter(|number| (1..=last).contains(number));
            number.ok_or_else(|| unknown(id))
        };
        match name {
            MessageName::Ack(id) => {
                let (slot, number) = id.split_once('-').ok_or_else(|| unknown(id))?;
                let number = issued(id, number)?;
                let slot = decimal(slot).and_then(|slot| u32::try_from(slot).ok());
                let slot = slot.filter(|slot| self.subscriptions.was_in_use(*slot));
                let slot = slot.ok_or_else(|| unknown(id))?;
                Ok(self.subscriptions.in_slot(slot).map(|(key, _)| (key, number)))
            }
            MessageName::InSubscription { message, subscription } => {
                let number = issued(message, message)?;
                Ok(self.subscriptions.key_of(subscription).map(|key| (key, number)))
            }
            MessageName::Message(message) => {
                let number = issued(message, message)?;
                let mut subscriptions = self.subscriptions.iter_mut();
                let holder = subscriptions.find(|(_, live)| live.ledger.contains(number));
                Ok(holder.map(|(key, _)| (key, number)))
            }
        }
    }
}

/// A number as this side writes it: digits only, without a sign and without leading zeros.
fn decimal(digits: &str) -> Option<u64> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let padded = digits.len() > 1 && digits.starts_with('0');
    digits.parse().ok().filter(|_| all_digits && !padded)
}
