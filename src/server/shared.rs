use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::frame::Limits;
use crate::handshake::OriginPolicy;
use crate::session::SessionSettings;

use super::connections::Connections;
use super::counters::Counters;
use super::host::ServerHost;
use super::{Authenticate, Handle, ServerSettings};

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) authenticate: Arc<dyn Authenticate>,
    pub(super) handle: Arc<dyn Handle>,
    pub(super) origin: OriginPolicy,
    /// The prefix of the queues for replies.
    pub(super) temporary_queues: Option<Box<str>>,
    pub(super) settings: ServerSettings,
    pub(super) session: Arc<SessionSettings>,
    pub(super) connections: Arc<Connections>,
    pub(super) counters: Counters,
    /// The tasks that accept connections.
    pub(super) listeners: Mutex<JoinSet<()>>,
    host: Arc<ServerHost>,
}

impl Shared {
    pub(super) fn new(
        broker: Arc<dyn Broker>,
        authenticate: Arc<dyn Authenticate>,
        handle: Arc<dyn Handle>,
        origin: OriginPolicy,
        settings: ServerSettings,
    ) -> Self {
        let host = Arc::new(ServerHost::default());
        broker.attach(host.clone());
        Self {
            temporary_queues: broker.temporary_queues().map(Into::into),
            broker,
            authenticate,
            handle,
            origin,
            session: Arc::new(settings.session.clone()),
            connections: Arc::new(Connections::new(settings.connections)),
            counters: Counters::default(),
            settings,
            host,
            listeners: Mutex::default(),
        }
    }

    /// Begins to call the broker back in time, on the runtime of the caller. Called before anything
    /// is served; only the first call counts.
    pub(super) fn start(&self) {
        self.host.start(&self.broker);
    }

    /// Ends calling the broker back.
    pub(super) async fn stop(&self) {
        self.host.stop().await;
    }

    /// The largest WebSocket message.
    pub(super) fn message_limit(&self) -> usize {
        one_frame(self.session.frame_limits)
    }

    /// The largest WebSocket message before CONNECT is accepted.
    pub(super) fn first_message_limit(&self) -> usize {
        one_frame(self.session.first_frame_limits())
    }
}

/// A message holds one STOMP frame, whose parts have limits of their own.
fn one_frame(limits: Limits) -> usize {
    limits.head().saturating_add(limits.body()).saturating_add(2)
}
