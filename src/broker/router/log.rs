use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::session::{Delivery, Token};

use super::super::{HistoryRequest, Retention};
use super::retained::Retained;

/// What a destination keeps of what was published there, the oldest first.
///
/// It holds every message from its [`first`](Self::first) position to its end: whoever reads it by
/// position has no gap, unless it falls behind the first.
#[derive(Debug)]
pub(super) struct Log {
    retention: Retention,
    entries: VecDeque<Entry>,
    /// The position behind the last entry.
    end: u64,
    bytes: usize,
    /// How many came with a token of their own.
    named: usize,
    /// When the newest message was published that is not kept any more. Nobody knows what was
    /// published before the destination was last made, so it begins with that.
    lost: Instant,
}

#[derive(Debug)]
struct Entry {
    delivery: Delivery,
    at: Instant,
    /// What it is counted as. Asked again, the message may say something else: it grows when it is
    /// first encoded for an older version of STOMP.
    cost: usize,
}

/// Where a subscriber begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) position: u64,
    /// Whether something that it asked for is gone, or may be.
    pub(super) gap: bool,
}

/// What a log lacks of some history: what was published before its front.
#[cfg(feature = "kafka")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Lack {
    /// The position of the front.
    pub(super) first: u64,
    /// The token of the message there.
    pub(in super::super) before: Option<Token>,
}

#[cfg(feature = "kafka")]
impl Lack {
    #[cfg(test)]
    pub(in super::super) fn new(first: u64, before: Option<Token>) -> Self {
        Self { first, before }
    }
}

/// As long as a message may be kept: an instant so far away can still be computed.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Room for fewer entries than this is kept.
const KEPT_CAPACITY: usize = 64;

impl Log {
    /// An empty log whose first message will have this position.
    pub(super) fn new(retention: Retention, position: u64, lost: Instant) -> Self {
        let retention = Retention { age: retention.age.min(LONGEST), ..retention };
        Self { retention, entries: VecDeque::new(), end: position, bytes: 0, named: 0, lost }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The position of the oldest message, or of the next one if there is none.
    pub(super) fn first(&self) -> u64 {
        self.end - self.entries.len() as u64
    }

    pub(super) fn lost(&self) -> Instant {
        self.lost
    }

    /// When the oldest message expires.
    pub(super) fn due(&self) -> Option<Instant> {
        let oldest = self.entries.front()?;
        Some(oldest.at.checked_add(self.retention.age).unwrap_or(oldest.at))
    }

    /// Appends a message, and drops what exceeds the bounds, perhaps the message itself.
    pub(super) fn append(&mut self, delivery: Delivery, now: Instant, all: &Retained) {
        let cost = size_of::<Entry>() + delivery.message().size();
        // Publishers read the clock at the beginning of their turn; here time does not go back.
        let at = self.entries.back().map_or(now, |last| last.at.max(now));
        self.named += usize::from(own_token(&delivery).is_some());
        self.entries.push_back(Entry { delivery, at, cost });
        self.end += 1;
        self.bytes += cost;
        all.add(cost);
        while self.entries.len() > self.retention.messages || self.bytes > self.retention.bytes {
            self.drop_oldest(all);
        }
        self.expire(now, all);
    }

    /// Adds messages to the front, the newest first, for as long as the bounds allow.
    #[cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
    pub(super) fn prepend(
        &mut self,
        older: &[(Instant, Delivery)],
        lost: Instant,
        now: Instant,
        all: &Retained,
    ) {
        self.lost = lost;
        for (at, delivery) in older.iter().rev() {
            let cost = size_of::<Entry>() + delivery.message().size();
            let full = self.entries.len() >= self.retention.messages
                || self.bytes + cost > self.retention.bytes;
            if full || at.checked_add(self.retention.age).is_some_and(|due| due <= now) {
                self.lost = *at;
                return;
            }
            self.named += usize::from(own_token(delivery).is_some());
            let at = self.entries.front().map_or(*at, |next| next.at.min(*at));
            self.entries.push_front(Entry { delivery: delivery.clone(), at, cost });
            self.bytes += cost;
            all.add(cost);
        }
    }

    /// Drops what is too old.
    pub(super) fn expire(&mut self, now: Instant, all: &Retained) {
        while self.due().is_some_and(|due| due <= now) {
            self.drop_oldest(all);
        }
    }

    pub(super) fn drop_oldest(&mut self, all: &Retained) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.bytes -= entry.cost;
        self.named -= usize::from(own_token(&entry.delivery).is_some());
        self.lost = self.lost.max(entry.at);
        all.subtract(entry.cost);
        let capacity = self.entries.capacity();
        if capacity > KEPT_CAPACITY && self.entries.len() < capacity / 4 {
            self.entries.shrink_to(capacity / 2);
        }
    }

    /// Where somebody begins who asks for this. `epoch` is that of the positions here.
    pub(super) fn start(&self, request: &HistoryRequest, epoch: u64, now: Instant) -> Start {
        match request {
            HistoryRequest::Last(count) => {
                let position = self.end.saturating_sub(*count).max(self.first());
                Start { position, gap: false }
            }
            HistoryRequest::After(token) => {
                let behind = self.position_of(token, epoch).and_then(|it| it.checked_add(1));
                let kept = behind.filter(|behind| (self.first()..=self.end).contains(behind));
                Start { position: kept.unwrap_or(self.first()), gap: kept.is_none() }
            }
            HistoryRequest::Within(time) => {
                let Some(since) = now.checked_sub(*time) else {
                    return Start { position: self.first(), gap: true };
                };
                let before = self.entries.partition_point(|entry| entry.at < since);
                let position = self.first() + before as u64;
                Start { position, gap: self.lost >= since }
            }
        }
    }

    /// What is lacking of the history that somebody asks for, and was perhaps only not read yet.
    #[cfg(feature = "kafka")]
    pub(super) fn lacks(&self, request: &HistoryRequest, epoch: u64, now: Instant) -> Option<Lack> {
        // What is too old, or too much, would not be kept.
        let is_full = self.entries.len() >= self.retention.messages;
        if is_full || !self.start(request, epoch, now).gap {
            return None;
        }
        let token = |entry: &Entry| entry.delivery.token().cloned();
        Some(Lack { first: self.first(), before: self.entries.front().and_then(token) })
    }

    /// The position that a token names: one of this epoch, or that of a message here which came
    /// with a token of its own.
    fn position_of(&self, token: &str, epoch: u64) -> Option<u64> {
        if let Some((its, position)) = Token::parse_position(token)
            && its == epoch
        {
            return Some(position);
        }
        if self.named == 0 {
            // After a restart every client comes with a token of another epoch.
            return None;
        }
        let named = |entry: &Entry| own_token(&entry.delivery) == Some(token);
        let place = self.entries.iter().rposition(named)?;
        Some(self.first() + place as u64)
    }

    /// Copies messages from a position on, as many as one delivery may have, to `slice`.
    pub(super) fn read(&self, position: u64, most: usize, bytes: usize, slice: &mut Vec<Delivery>) {
        let skipped = position.saturating_sub(self.first());
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let mut taken = 0;
        for entry in self.entries.iter().skip(skipped).take(most) {
            slice.push(entry.delivery.clone().with_retained(true));
            taken += entry.cost;
            if taken >= bytes {
                break;
            }
        }
    }
}

/// The token of a message that an engine ordered.
fn own_token(delivery: &Delivery) -> Option<&str> {
    delivery.token().and_then(Token::as_text)
}

#[cfg(test)]
#[cfg(feature = "redis")]
mod tests {
    use super::*;
    use crate::frame::SharedMessage;

    fn named(token: &str) -> Delivery {
        let message = SharedMessage::new("/topic/a", [("n", token)], b"");
        Delivery::new(message).with_token(Token::new(token).unwrap())
    }

    #[test]
    fn what_is_put_in_front_is_found_by_its_own_token_until_it_is_dropped() {
        let (now, all) = (Instant::now(), Retained::new(usize::MAX));
        let mut log = Log::new(Retention::messages(10), 100, now);
        log.append(named("3-0"), now, &all);
        log.prepend(&[(now, named("1-0")), (now, named("2-0"))], now, now, &all);
        assert_eq!((log.first(), log.named), (98, 3));
        let after = |log: &Log, token: &str| {
            let Start { position, gap } = log.start(&HistoryRequest::After(token.into()), 7, now);
            (position, gap)
        };
        assert_eq!(after(&log, "1-0"), (99, false));
        assert_eq!(after(&log, "3-0"), (101, false));

        // The token of the last one would not even be looked for if it had not been counted.
        log.drop_oldest(&all);
        assert_eq!((log.named, after(&log, "2-0")), (2, (100, false)));
        assert_eq!(after(&log, "1-0"), (99, true));
        log.drop_oldest(&all);
        log.drop_oldest(&all);
        assert_eq!((log.named, all.bytes()), (0, 0));
    }
}
