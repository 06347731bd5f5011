use std::task::{Context, Poll};
use std::time::Instant;

use super::Connection;

/// A connection whose last word was said.
///
/// The writing side is shut down once everything is written; what the client still sends is read and
/// discarded, within bounds, until it closes too. Closing with unread input would send a reset, which
/// destroys what the client has not read yet: its ERROR.
pub(super) struct Ending {
    /// `None`: for as long as it takes.
    until: Option<Instant>,
    shut_down: bool,
    /// The client has closed its side.
    end_of_input: bool,
    discarded: usize,
}

impl Ending {
    pub(super) fn new(until: Option<Instant>) -> Self {
        Self { until, shut_down: false, end_of_input: false, discarded: 0 }
    }

    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}

impl Connection {
    /// Ready when the connection may be dropped.
    pub(super) fn poll_ending(
        &mut self,
        context: &mut Context<'_>,
        flushed: bool,
        now: Instant,
    ) -> Poll<()> {
        let limit = self.shared.settings.linger_bytes;
        let Some(ending) = &mut self.ending else { return Poll::Ready(()) };
        if ending.until.is_some_and(|until| now >= until) {
            return Poll::Ready(());
        }
        if flushed && !ending.shut_down && !self.outlet.leaving(|leaving| leaving.is_waiting()) {
            match self.outlet.socket().poll_shutdown(context) {
                Poll::Ready(Ok(())) => ending.shut_down = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        while !self.ending.as_ref().is_some_and(|ending| ending.end_of_input) {
            let read = match self.poll_discard(context) {
                Poll::Ready(Ok(read)) => read,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            };
            let Some(ending) = &mut self.ending else { break };
            ending.end_of_input = read == 0;
            ending.discarded += read;
            if ending.discarded > limit {
                return Poll::Ready(());
            }
        }
        // A client that only listens any more may still be reading its last words.
        let shut_down = self.ending.as_ref().is_none_or(|ending| ending.shut_down);
        if shut_down { Poll::Ready(()) } else { Poll::Pending }
    }
}
