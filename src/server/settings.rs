use std::time::Duration;

use crate::broker::TransactionGuarantee;
use crate::handshake::HeadLimits;
use crate::session::SessionSettings;

/// The limits and defaults of a server.
///
/// Fields are set one by one: since there may be more of them some day, the compiler refuses
/// `ServerSettings { connections: 10_000, ..ServerSettings::default() }` outside of this crate.
///
/// ```
/// use std::time::Duration;
/// use stompbox::frame::Leniency;
/// use stompbox::server::{Server, ServerSettings};
/// use stompbox::session::HeartBeat;
///
/// let mut settings = ServerSettings::default();
/// settings.connections = 10_000;
///
/// let session = &mut settings.session;
/// session.connect_timeout = Duration::from_secs(3);
/// // What this side can send, and what it wants; `HeartBeat::NONE` is off.
/// session.heart_beat = HeartBeat::new(Duration::from_secs(20), Duration::from_secs(20));
/// session.frame_limits = session.frame_limits.with_body(64 * 1024).with_headers(32);
/// // To the letter, but for CR LF in every version.
/// session.leniency = Leniency::strict().with_cr_lf(true);
///
/// let server = Server::builder().settings(settings).build();
/// # let _ = server;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerSettings {
    /// What sessions have in common: heart-beats, versions, limits of frames.
    pub session: SessionSettings,
    /// The limits of an Upgrade request.
    pub head: HeadLimits,
    /// The most connections. Default: 100,000.
    pub connections: usize,
    /// The most things that one connection has asked for and that are not done, such as messages for
    /// a handler that is busy. At that number no more is read from it. Default: 64.
    pub pending: usize,
    /// How many bytes the messages may take that one connection has sent and that are not done, such
    /// as those that a subscriber holds back
    /// ([`SlowConsumerAction::HoldPublisher`](crate::session::SlowConsumerAction::HoldPublisher)). At
    /// that number no more is read from it. Default: 256 KiB.
    pub pending_bytes: usize,
    /// Headers of SEND that are not passed on to subscribers, beside those that never are
    /// ([`is_withheld`](crate::broker::is_withheld)).
    pub withheld_headers: Vec<String>,
    /// The least that a COMMIT has to hold: of a broker that guarantees less it is refused. Default:
    /// [`TransactionGuarantee::AtLeastOnce`], which every broker of this crate does.
    pub transactions: TransactionGuarantee,
    /// How long a connection for which something waits may read nothing. Default: 20 s.
    pub write_timeout: Duration,
    /// How long a connection that is being closed may take to read its last words. Default: 3 s.
    pub linger: Duration,
    /// How much a connection that is being closed may go on sending, in bytes. It is read and
    /// discarded: closing with unread input would destroy the last words. Default: 16 MiB.
    pub linger_bytes: usize,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            session: SessionSettings::default(),
            head: HeadLimits::default(),
            connections: 100_000,
            pending: 64,
            pending_bytes: 256 << 10,
            withheld_headers: Vec::new(),
            transactions: TransactionGuarantee::AtLeastOnce,
            write_timeout: Duration::from_secs(20),
            linger: Duration::from_secs(3),
            linger_bytes: 16 << 20,
        }
    }
}
