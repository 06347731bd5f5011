use std::task::{Context, Poll};
use std::time::Instant;

use crate::websocket::CloseCode;

use super::super::linger::Linger;
use super::Connection;
use super::work::Work;

/// A connection whose last word was said, and how long it may take to be read.
pub(super) struct Ending {
    /// `None`: for as long as it takes.
    until: Option<Instant>,
    linger: Linger,
}

impl Ending {
    fn new(until: Option<Instant>, linger: Linger) -> Self {
        Self { until, linger }
    }

    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}

impl Connection {
    /// Says the transport's last word; nothing is done any more.
    pub(super) fn end(&mut self, code: CloseCode, reason: &str, now: Instant) {
        if self.ending.is_none() {
            let last = self.wire.close(code, reason);
            self.outlet.leaving(|leaving| leaving.end(&last));
            self.begin_ending(now);
        }
    }

    /// The last word was said: what remains is to have it read.
    pub(super) fn begin_ending(&mut self, now: Instant) {
        self.session.end();
        self.work = Work::default();
        self.connecting = None;
        self.unsubscribe_all(now);
        self.outlet.flush(now);
        let settings = &self.shared.settings;
        let until = now.checked_add(settings.linger);
        self.ending = Some(Ending::new(until, Linger::new(settings.linger_bytes)));
    }

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
