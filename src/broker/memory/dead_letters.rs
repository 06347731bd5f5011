use std::sync::Arc;
use std::time::Instant;

use crate::frame::SharedMessage;
use crate::session::Delivery;

use super::super::prefixes::Kind;
use super::super::{Destination, Turn};
use super::queue::{Arrival, Cause, Stored};
use super::queues::Queues;

/// Headers of a dead letter that are not passed on: those that are written anew, and the time that
/// it had in the queue where it died.
const REPLACED: [&str; 5] =
    ["destination", "content-length", "expiration", "dead-letter-reason", "dead-letter-from"];

impl Queues {
    /// Sends messages that died in a queue where its dead letters go. What finds no room there, or
    /// was there before, is dropped and counted.
    pub(super) fn bury(
        &self,
        from: &Destination,
        dead: impl Iterator<Item = (Stored, Cause)>,
        now: Instant,
    ) {
        let Some(to) = &self.rules().policy(from).queue.dead_letter else { return };
        let mut turn = Turn::new(now);
        for (stored, cause) in dead {
            if self.dead_letter(from, to, &stored, cause, &mut turn) {
                self.counters.dead_lettered.increment();
            } else {
                self.counters.undeliverable.increment();
            }
        }
    }

    fn dead_letter(
        &self,
        from: &Destination,
        to: &Destination,
        stored: &Stored,
        cause: Cause,
        turn: &mut Turn,
    ) -> bool {
        let before = stored.trail.as_deref().unwrap_or_default();
        if from == to || before.contains(to) {
            return false;
        }
        let message = letter(&stored.message, from, to, cause);
        match self.prefixes.kind(to) {
            Some(Kind::Topic) => {
                // It has its place; a topic that is behind delivers it in its order.
                drop(self.router.route(to, Delivery::new(message), turn));
                true
            }
            Some(Kind::Queue) => {
                let trail: Arc<[_]> = before.iter().chain([from]).cloned().collect();
                let (bytes, trail) = (message.size(), Some(trail));
                let arrival = Arrival { message, bytes, expiration: None, trail };
                self.accept_letter(to, arrival, turn)
            }
            Some(Kind::Temporary) | None => false,
        }
    }
}

/// A message as it stands in its dead-letter destination: its own headers and body, and why and
/// where it died.
fn letter(
    message: &SharedMessage,
    from: &Destination,
    to: &Destination,
    cause: Cause,
) -> SharedMessage {
    let frame = message.frame();
    let own = frame.iter().flat_map(|frame| frame.headers().iter());
    let own = own.filter(|(name, _)| !REPLACED.contains(&&**name));
    let why = [("dead-letter-reason", cause.as_str()), ("dead-letter-from", from.as_str())];
    let why = why.map(|(name, value)| (name.into(), value.into()));
    SharedMessage::new(to.as_str(), own.chain(why), message.body())
}
