use std::fmt;
use std::time::Duration;

use crate::frame::{HeaderName, Leniency, Limits, Version};

use super::super::HeartBeat;

/// What a client connects with.
///
/// ```
/// use std::time::Duration;
/// use stompbox::session::{ConnectOptions, HeartBeat};
///
/// let mut options = ConnectOptions::new("chat.example");
/// options.login = Some("ada".to_owned());
/// options.passcode = Some("secret".to_owned());
/// options.heart_beat = HeartBeat::new(Duration::from_secs(5), Duration::from_secs(5));
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The `host` header: the virtual host to connect to (STOMP 1.2, "CONNECT or STOMP Frame").
    pub host: String,
    /// The `login` header. Default: none.
    pub login: Option<String>,
    /// The `passcode` header. Default: none.
    pub passcode: Option<String>,
    /// Further headers of CONNECT, such as a bearer token. Default: none.
    pub headers: Vec<(String, String)>,
    /// The versions offered, in any order. Default: all three.
    pub versions: Vec<Version>,
    /// What this side guarantees and wants. Default: 10 s both ways.
    pub heart_beat: HeartBeat,
    /// How many periods may pass without a byte from the server before it counts as silent.
    /// Default: 2. 0 is taken as 1.
    pub heart_beat_margin: u32,
    /// The limits of the server's frames.
    pub frame_limits: Limits,
    /// What is accepted beyond the letter of the specification. Default: [`Leniency::field`].
    pub leniency: Leniency,
    /// How long the server may take to answer CONNECT. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long the server may take to answer DISCONNECT. Default: 5 s.
    pub disconnect_timeout: Duration,
    /// The most bytes that may wait to be written when another request is made. Default: 16 MiB.
    pub waiting_bytes: usize,
    /// The most requests that wait for their RECEIPT. Default: 10,000.
    pub unconfirmed: usize,
}

impl ConnectOptions {
    /// The defaults, for a server that knows itself by the name `host`.
    pub fn new(host: impl Into<String>) -> Self {
        let period = Duration::from_secs(10);
        Self {
            host: host.into(),
            login: None,
            passcode: None,
            headers: Vec::new(),
            versions: Version::ALL.to_vec(),
            heart_beat: HeartBeat::new(period, period),
            heart_beat_margin: 2,
            frame_limits: Limits::default(),
            leniency: Leniency::field(),
            connect_timeout: Duration::from_secs(10),
            disconnect_timeout: Duration::from_secs(5),
            waiting_bytes: 16 << 20,
            unconfirmed: 10_000,
        }
    }

    /// The `accept-version` header: the versions offered, from the oldest on.
    pub(super) fn accept_version(&self) -> String {
        let mut versions = self.versions.clone();
        versions.sort_unstable();
        versions.dedup();
        let versions: Vec<_> = versions.into_iter().map(Version::as_str).collect();
        versions.join(",")
    }
}

/// Without secrets: the values of further headers, which may be tokens, are not shown either.
impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ConnectOptions")
            .field("host", &self.host)
            .field("login", &self.login)
            .field("headers", &names)
            .field("versions", &self.versions)
            .field("heart_beat", &self.heart_beat)
            .finish_non_exhaustive()
    }
}

/// Headers of CONNECT that the session writes itself.
pub(super) const RESERVED: [HeaderName; 7] = [
    HeaderName::AcceptVersion,
    HeaderName::Host,
    HeaderName::HeartBeat,
    HeaderName::Login,
    HeaderName::Passcode,
    HeaderName::Receipt,
    HeaderName::ContentLength,
];
