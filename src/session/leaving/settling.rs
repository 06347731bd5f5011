use super::super::event::{MessageName, SettleFrame};
use super::super::subscriptions::Flow;
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
    /// Finds what an ACK or NACK settles, and takes it out of the ledger. Deliveries that were held
    /// back since too much was unsettled go on.
    ///
    /// `None` for what was settled before, or whose subscription has ended: such a frame is ignored
    /// and counted, or refused in the [strict](super::super::SessionSettings::strict) profile. The
    /// error is a message that was never delivered under this name.
    ///
    /// What was delivered is remembered until it is settled and no longer, so the number of the
    /// message decides, which is its own in the whole connection. One that was not given out yet,
    /// or that another subscription holds unsettled, was never delivered as it is named. Any other
    /// was given out and is settled, whichever subscription it was for.
    pub fn settle(&mut self, settle: &SettleFrame) -> Result<Option<Settled>, SessionError> {
        let (number, key) = self.named(&settle.message)?;
        let subscription = key.and_then(|key| Some((key, self.subscriptions.get_mut(key)?)));
        let Some((key, subscription)) = subscription else { return self.nothing(number, settle) };
        let tags = match subscription.ack {
            AckMode::Client => subscription.ledger.settle_up_to(number),
            _ => subscription.ledger.settle(number).into_iter().collect(),
        };
        if tags.is_empty() {
            return self.nothing(number, settle);
        }
        subscription.unsettled -= tags.len();
        self.unsettled -= tags.len();
        let destination = subscription.destination.clone();
        self.resume();
        Ok(Some(Settled { key, destination, tags }))
    }

    /// An ACK or NACK that settles nothing.
    fn nothing(
        &mut self,
        number: u64,
        settle: &SettleFrame,
    ) -> Result<Option<Settled>, SessionError> {
        let id = settle.message.id();
        if self.subscriptions.iter().any(|(_, other)| other.ledger.contains(number)) {
            return Err(unknown(id));
        }
        self.counters.settled_before += 1;
        if self.settings.accepts_settled_before {
            Ok(None)
        } else {
            Err(SessionError::SettledBefore { id: id.to_owned() })
        }
    }

    /// Releases what a subscription held back, as far as the client may have more. Returns whether
    /// nothing of it is left.
    pub(super) fn release(&mut self, key: SubscriptionKey) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return true };
        let settles = subscription.ack.settles();
        if let Some(backlog) = &mut subscription.backlog {
            while backlog.holds_back() {
                if settles && self.unsettled >= self.settings.unsettled {
                    return false;
                }
                backlog.release(&mut self.waiting.deliveries);
                if backlog.takes_ticket() {
                    self.waiting.push_ticket(key);
                }
                if settles {
                    subscription.unsettled += 1;
                    self.unsettled += 1;
                }
            }
        }
        subscription.flow = Flow::Open;
        true
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

    /// The number that an ACK or NACK names, which was given out, and its subscription unless that
    /// has ended.
    fn named(
        &mut self,
        name: &MessageName,
    ) -> Result<(u64, Option<SubscriptionKey>), SessionError> {
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
                Ok((number, self.subscriptions.in_slot(slot).map(|(key, _)| key)))
            }
            MessageName::InSubscription { message, subscription } => {
                Ok((issued(message, message)?, self.subscriptions.key_of(subscription)))
            }
            MessageName::Message(message) => {
                let number = issued(message, message)?;
                let mut subscriptions = self.subscriptions.iter();
                let holder = subscriptions.find(|(_, live)| live.ledger.contains(number));
                Ok((number, holder.map(|(key, _)| key)))
            }
        }
    }
}

fn unknown(id: &str) -> SessionError {
    SessionError::UnknownMessage { id: id.to_owned() }
}

/// A number as this side writes it: digits only, without a sign and without leading zeros.
fn decimal(digits: &str) -> Option<u64> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let padded = digits.len() > 1 && digits.starts_with('0');
    digits.parse().ok().filter(|_| all_digits && !padded)
}
