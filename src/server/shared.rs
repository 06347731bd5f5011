use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::handshake::OriginPolicy;
use crate::session::SessionSettings;

use super::connections::Connections;
use super::host::ServerHost;
use super::{Authenticate, Handle, ServerSettings};

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) authenticate: Arc<dyn Authenticate>,
    pub(super) handle: Arc<dyn Handle>,
    pub(super) origin: OriginPolicy,
    pub(super) settings: ServerSettings,
    pub(super) session: Arc<SessionSettings>,
    pub(super) connections: Arc<Connections>,
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
            broker,
            authenticate,
            handle,
            origin,
            session: Arc::new(settings.session.clone()),
            connections: Arc::new(Connections::new(settings.connections)),
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

    /// The largest WebSocket message: one STOMP frame, whose parts have limits of their own.
    pub(super) fn message_limit(&self) -> usize {
        let limits = &self.session.frame_limits;
        limits.head().saturating_add(limits.body()).saturating_add(2)
    }
}
