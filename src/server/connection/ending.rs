use std::task::{Context, Poll};
use std::time::Instant;

use super::super::linger::Linger;
use super::Connection;

/// A connection whose last word was said, and how long it may take to be read.
pub(super) struct Ending {
    /// `None`: for as long as it takes.
    until: Option<Instant>,
    linger: Linger,
}

impl Ending {
    pub(super) fn new(until: Option<Instant>, linger: Linger) -> Self {
        Self { until, linger }
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
        let Some(ending) = &mut self.ending else { return Poll::Ready(()) };
        if ending.until.is_some_and(|until| now >= until) {
            return Poll::Ready(());
        }
        let written = flushed && !self.outlet.leaving(|leaving| leaving.is_waiting());
        ending.linger.poll(self.outlet.socket(), context, written)
    }
}
