//! What a client's session should be, kept in the plainest way there is. What it is asked for stands
//! in [`requests`](super::requests), what a server says in [`answers`](super::answers).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use stompbox::frame::{Command, Decoder, Version};
use stompbox::session::{AckMode, ConnectOptions, ServerFault};

/// What a session should know, and should have written.
pub(super) struct Model {
    pub(super) options: ConnectOptions,
    pub(super) stage: Stage,
    pub(super) version: Version,
    /// Reads what the server sends, as the session should.
    pub(super) decoder: Decoder,
    /// What is to be written and was not seen yet.
    pub(super) to_write: VecDeque<Written>,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    pub(super) transactions: BTreeSet<String>,
    /// What waits for its RECEIPT.
    pub(super) unconfirmed: BTreeMap<u64, Command>,
    pub(super) last_request: u64,
    /// How often this side and how often the server has promised a beat.
    pub(super) beat: Option<Duration>,
    pub(super) promised: Option<Duration>,
    pub(super) last_sent: Instant,
    pub(super) last_heard: Instant,
    pub(super) silent_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting { until: Instant },
    Connected,
    Disconnecting { request: u64, until: Instant },
    Over,
}

/// What the client should write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    Frame(FrameText),
    Beat,
    Ping,
    End,
}

/// A frame without a `content-length`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FrameText {
    pub(super) command: Command,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

pub(super) struct Subscription {
    pub(super) destination: String,
    pub(super) ack: AckMode,
}

impl Model {
    /// A session whose CONNECT is to be written.
    pub(super) fn new(options: &ConnectOptions, now: Instant) -> Self {
        Self {
            options: options.clone(),
            stage: Stage::Connecting { until: now + options.connect_timeout },
            version: Version::V1_2,
            decoder: Decoder::new(options.frame_limits, options.leniency),
            to_write: VecDeque::from([Written::Frame(connect(options))]),
            subscriptions: BTreeMap::new(),
            transactions: BTreeSet::new(),
            unconfirmed: BTreeMap::new(),
            last_request: 0,
            beat: None,
            promised: None,
            last_sent: now,
            last_heard: now,
            silent_at: None,
        }
    }

    /// A sign of life of the server.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.silent_at = self.promised.map(|period| now + period * self.options.heart_beat_margin);
    }

    /// The server has one more period.
    pub(super) fn grant_period(&mut self, now: Instant) {
        self.silent_at = self.promised.map(|period| now + period);
    }

    /// When something is due next.
    pub(super) fn next_deadline(&self, waits: bool) -> Option<Instant> {
        match self.stage {
            Stage::Connecting { until } | Stage::Disconnecting { until, .. } => Some(until),
            Stage::Connected => self.next_beat(waits).into_iter().chain(self.silent_at).min(),
            Stage::Over => None,
        }
    }

    fn next_beat(&self, waits: bool) -> Option<Instant> {
        self.beat.filter(|_| !waits).map(|period| self.last_sent + period)
    }

    /// What is overdue.
    pub(super) fn handle_deadline(&mut self, waits: bool, now: Instant) -> Result<(), ServerFault> {
        match self.stage {
            Stage::Connecting { until } if now >= until => {
                self.stage = Stage::Over;
                Err(ServerFault::ConnectTimeout { limit: self.options.connect_timeout })
            }
            Stage::Disconnecting { until, .. } if now >= until => {
                self.stage = Stage::Over;
                Err(ServerFault::DisconnectTimeout { limit: self.options.disconnect_timeout })
            }
            Stage::Connected => {
                if self.next_beat(waits).is_some_and(|due| now >= due) {
                    self.to_write.push_back(Written::Beat);
                }
                match self.silent_at {
                    Some(silent_at) if now >= silent_at => {
                        let silence = now.saturating_duration_since(self.last_heard);
                        Err(ServerFault::HeartBeatMissed { silence })
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The transport has failed: nothing more is written.
    pub(super) fn end(&mut self) {
        self.stage = Stage::Over;
        self.to_write.clear();
    }
}

/// The CONNECT frame (STOMP 1.2, "CONNECT or STOMP Frame").
pub(super) fn connect(options: &ConnectOptions) -> FrameText {
    let versions = Version::ALL.into_iter().filter(|version| options.versions.contains(version));
    let versions: Vec<_> = versions.map(Version::as_str).collect();
    let mut headers = vec![
        ("accept-version".to_owned(), versions.join(",")),
        ("host".to_owned(), options.host.clone()),
        ("heart-beat".to_owned(), options.heart_beat.to_string()),
    ];
    let login = options.login.iter().map(|login| ("login".to_owned(), login.clone()));
    let passcode = options.passcode.iter().map(|code| ("passcode".to_owned(), code.clone()));
    headers.extend(login.chain(passcode));
    headers.extend(options.headers.iter().cloned());
    FrameText { command: Command::Connect, headers, body: Vec::new() }
}
