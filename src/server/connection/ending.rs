use std::task::{Context, Poll};
use std::time::Instant;

use super::Connection;

/// A connection whose last word was said.
///
/// The writing side is shut down once everything is written; what the client still sends is read and
/// discarded, within bounds, until it closes too. Closing with unread input would send a reset, which
/// destroys what the client has not read yet: its ERROR.
pub(super) struct Ending {
    until: Instant,
    shut_down: bool,
    discarded: usize,
}

impl Ending {
    pub(super) fn new(until: Instant) -> Self {
        Self { until, shut_down: false, discarded: 0 }
    }

    pub(super) fn until(&self) -> Instant {
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
        if now >= ending.until {
            return Poll::Ready(());
        }
        if flushed && !ending.shut_down && !self.outlet.leaving(|leaving| leaving.is_waiting()) {
            match self.outlet.socket().poll_shutdown(context) {
                Poll::Ready(Ok(())) => ending.shut_down = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        loop {
            match self.poll_discard(context) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(read)) => {
                    let Some(ending) = &mut self.ending else { return Poll::Ready(()) };
                    ending.discarded += read;
                    if ending.discarded > limit {
                        return Poll::Ready(());
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
