use std::time::Duration;

#[cfg(doc)]
use crate::frame::Fault;
use crate::frame::{Leniency, Limits, Version};

use super::HeartBeat;
#[cfg(doc)]
use super::SessionError;

/// What a server's sessions have in common.
///
/// There are two profiles. The default accepts what the clients in use send;
/// [`strict`](Self::strict) refuses each deviation from the specifications, by name:
///
/// | deviation | who | default | strict |
/// | --- | --- | --- | --- |
/// | no `host` in CONNECT since 1.1 | stompjs, Spring | accepted | [`MissingHeader`](SessionError::MissingHeader) |
/// | ACK or NACK of what is settled, or whose subscription has ended | handlers that acknowledge after UNSUBSCRIBE | ignored and counted | [`SettledBefore`](SessionError::SettledBefore) |
/// | `ack:client-individual` in 1.0 | clients with one code for all versions | accepted | [`InvalidHeader`](SessionError::InvalidHeader) |
/// | a body on a frame that carries none | | accepted | [`UnexpectedBody`](Fault::UnexpectedBody) |
/// | `\` that begins no escape of the version | stompjs in 1.1 | stands for itself | [`UndefinedEscape`](Fault::UndefinedEscape) |
/// | CR LF at the end of lines before 1.2 | terminals | accepted | [`CrLf`](Fault::CrLf) |
/// | no NUL at the end of a text message | React Native | accepted | the frame goes on: [`UnexpectedBody`](Fault::UnexpectedBody) |
/// | padding of names and values in 1.0 | clients of its time | no part of them | a part of them: [`MissingHeader`](SessionError::MissingHeader) |
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
    /// What this side guarantees and wants. Default: 10 s both ways, as the clients in use do. STOMP 1.0
    /// knows no heart-beats: nothing is beaten or expected there.
    pub heart_beat: HeartBeat,
    /// How many periods may pass without a byte from the client before it counts as silent.
    /// Default: 2, since browsers throttle the timers of background tabs. 0 is taken as 1.
    pub heart_beat_margin: u32,
    /// The limits of frames.
    pub frame_limits: Limits,
    /// The limits of frames before CONNECT is accepted, as far as they are tighter than
    /// [`frame_limits`](Self::frame_limits): whoever is not known yet costs little. Default:
    /// [`Limits::before_connect`].
    pub frame_limits_before_connect: Limits,
    /// What is accepted beyond the letter of the specification. Default:
    /// [`Leniency::field`], what the clients in use send.
    pub leniency: Leniency,
    /// Whether CONNECT may lack the `host` that it needs since STOMP 1.1. Default: yes.
    pub accepts_missing_host: bool,
    /// Whether an ACK or NACK is ignored, and
    /// [counted](super::LeavingCounters::settled_before), if its message was settled before or is
    /// not to be settled, or its subscription has ended. Default: yes.
    pub accepts_settled_before: bool,
    /// Whether a subscription of STOMP 1.0 may be `client-individual`, which is part of it since 1.1
    /// only. Default: yes.
    pub accepts_individual_in_1_0: bool,
    /// The versions spoken, in any order. Default: all three.
    pub versions: Vec<Version>,
    /// The virtual hosts: a CONNECT whose `host` is none of these, in any case, is refused; one
    /// without a `host` is not. Default: none, and then any `host` will do.
    pub hosts: Vec<String>,
    /// How long a connection may take until its CONNECT is accepted, authentication included.
    /// Default: 10 s.
    pub connect_timeout: Duration,
    /// The most subscriptions of one connection. Default: 1,000.
    pub subscriptions: usize,
    /// The most bytes in the ids and destinations of one connection's subscriptions: each is kept
    /// several times. Default: 128 KiB.
    pub subscription_bytes: usize,
    /// The most deliveries of one connection that are neither acknowledged nor rejected, and the most
    /// that a `prefetch-count` counts for. Default: 10,000.
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

impl SessionSettings {
    /// The strict profile: what the specification of the version in use says, to the letter.
    /// Everything else is as by default.
    ///
    /// ```
    /// use stompbox::frame::Leniency;
    /// use stompbox::session::SessionSettings;
    ///
    /// assert_eq!(SessionSettings::strict().leniency, Leniency::strict());
    /// assert!(!SessionSettings::strict().accepts_missing_host);
    /// assert!(SessionSettings::default().accepts_missing_host);
    /// ```
    pub fn strict() -> Self {
        Self {
            leniency: Leniency::strict(),
            accepts_missing_host: false,
            accepts_settled_before: false,
            accepts_individual_in_1_0: false,
            ..Self::default()
        }
    }

    /// The limits of frames before CONNECT is accepted.
    pub(crate) fn first_frame_limits(&self) -> Limits {
        self.frame_limits_before_connect.at_most(self.frame_limits)
    }

    /// Whether this virtual host is served.
    pub(super) fn serves(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|served| served.eq_ignore_ascii_case(host))
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        let period = Duration::from_secs(10);
        Self {
            server: concat!("stompbox/", env!("CARGO_PKG_VERSION")).to_owned(),
            heart_beat: HeartBeat::new(period, period),
            heart_beat_margin: 2,
            frame_limits: Limits::default(),
            frame_limits_before_connect: Limits::before_connect(),
            leniency: Leniency::field(),
            accepts_missing_host: true,
            accepts_settled_before: true,
            accepts_individual_in_1_0: true,
            versions: Version::ALL.to_vec(),
            hosts: Vec::new(),
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
