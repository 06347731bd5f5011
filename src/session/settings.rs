use std::time::Duration;

use crate::frame::{Leniency, Limits, Version};

use super::HeartBeat;

/// What a server's sessions have in common.
///
/// ```
/// use std::time::Duration;
/// use stompbox::session::{HeartBeat, SessionSettings};
///
/// let mut settings = SessionSettings::default();
/// settings.heart_beat = HeartBeat::new(Duration::from_secs(5), Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionSettings {
    /// The `server` header of CONNECTED: name and version, separated by `/`.
    pub server: String,
    /// What this side guarantees and wants. Default: 10 s both ways, as the clients in use do.
    pub heart_beat: HeartBeat,
    /// How many periods may pass without a byte from the client before it counts as silent.
    /// Default: 2, since browsers throttle the timers of background tabs.
    pub heart_beat_margin: u32,
    /// The limits of frames.
    pub frame_limits: Limits,
    /// What is accepted beyond the letter of the specification. Default:
    /// [`Leniency::field`], what the clients in use send.
    pub leniency: Leniency,
    /// The versions spoken, in any order. Default: all three.
    pub versions: Vec<Version>,
    /// How long a connection may take until its CONNECT is accepted, authentication included.
    /// Default: 10 s.
    pub connect_timeout: Duration,
    /// The most subscriptions of one connection. Default: 1,000.
    pub subscriptions: usize,
    /// The most bytes in the ids and destinations of one connection's subscriptions: each is kept
    /// several times. Default: 128 KiB.
    pub subscription_bytes: usize,
    /// The most deliveries of one connection that are neither acknowledged nor rejected. Default:
    /// 10,000.
    pub unsettled: usize,
    /// The most open transactions of one connection. Default: 100.
    pub transactions: usize,
    /// The most frames in all open transactions of one connection. Default: 10,000.
    pub transaction_frames: usize,
    /// The most bytes in all open transactions of one connection. Default: 16 MiB.
    pub transaction_bytes: usize,
    /// The most bytes that wait for a connection that does not read. Default: 1 MiB, beyond what the
    /// operating system's socket buffer holds.
    pub waiting_bytes: usize,
}

impl Default for SessionSettings {
    fn default() -> Self {
        let period = Duration::from_secs(10);
        Self {
            server: concat!("stompbox/", env!("CARGO_PKG_VERSION")).to_owned(),
            heart_beat: HeartBeat::new(period, period),
            heart_beat_margin: 2,
            frame_limits: Limits::default(),
            leniency: Leniency::field(),
            versions: Version::ALL.to_vec(),
            connect_timeout: Duration::from_secs(10),
            subscriptions: 1_000,
            subscription_bytes: 128 << 10,
            unsettled: 10_000,
            transactions: 100,
            transaction_frames: 10_000,
            transaction_bytes: 16 << 20,
            waiting_bytes: 1 << 20,
        }
    }
}
