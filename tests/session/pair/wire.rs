//! One direction of a simulated connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Carries bytes, in chunks and late, and perhaps not to their end.
#[derive(Debug)]
pub(crate) struct Wire {
    /// How long a byte is on its way.
    pub(crate) latency: Duration,
    /// The most bytes that arrive at once.
    pub(crate) chunk: usize,
    /// The most bytes that are on their way: what is more is not taken.
    pub(crate) window: usize,
    /// How many more bytes are carried before the connection is lost.
    pub(crate) carries: Option<usize>,
    packets: VecDeque<(Instant, Bytes)>,
    in_flight: usize,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            latency: Duration::from_millis(10),
            chunk: usize::MAX,
            window: usize::MAX,
            carries: None,
            packets: VecDeque::new(),
            in_flight: 0,
        }
    }

    /// Takes some of `bytes`; returns how many. What is beyond the loss is taken and never arrives.
    pub(crate) fn write(&mut self, bytes: &[u8], now: Instant) -> usize {
        let taken = bytes.len().min(self.window - self.in_flight);
        let carried = self.carries.map_or(taken, |left| left.min(taken));
        if let Some(left) = &mut self.carries {
            *left -= carried;
        }
        for chunk in bytes[..carried].chunks(self.chunk) {
            self.packets.push_back((now + self.latency, Bytes::copy_from_slice(chunk)));
        }
        self.in_flight += carried;
        taken
    }

    /// What has arrived.
    pub(crate) fn read(&mut self, now: Instant) -> Option<Bytes> {
        self.next_arrival().filter(|arrival| *arrival <= now)?;
        let (_, bytes) = self.packets.pop_front()?;
        self.in_flight -= bytes.len();
        Some(bytes)
    }

    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.packets.front().map(|(arrival, _)| *arrival)
    }

    /// Whether the connection was lost and all that was carried before has arrived.
    pub(crate) fn is_lost(&self) -> bool {
        self.carries == Some(0) && self.packets.is_empty()
    }
}
