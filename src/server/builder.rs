use std::sync::Arc;

use crate::broker::{Broker, MemoryBroker};
use crate::handshake::OriginPolicy;

use super::authenticate::Anybody;
use super::handle::Nothing;
use super::shared::Shared;
use super::{Authenticate, Handle, Server, ServerSettings};

/// What a [`Server`] is made of: see [`Server::builder`].
#[must_use = "a builder makes no server until `build`"]
pub struct ServerBuilder {
    broker: Arc<dyn Broker>,
    authenticate: Arc<dyn Authenticate>,
    handle: Arc<dyn Handle>,
    origin: OriginPolicy,
    settings: ServerSettings,
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        Self {
            broker: Arc::new(MemoryBroker::new()),
            authenticate: Arc::new(Anybody),
            handle: Arc::new(Nothing),
            origin: OriginPolicy::same_origin(),
            settings: ServerSettings::default(),
        }
    }

    /// Sets the broker. Default: a [`MemoryBroker`]. One that others hold too, in an `Arc`, is set by
    /// [`shared_broker`](Self::shared_broker).
    pub fn broker(mut self, broker: impl Broker) -> Self {
        self.broker = Arc::new(broker);
        self
    }

    /// Sets a broker that others hold too.
    pub fn shared_broker(mut self, broker: Arc<dyn Broker>) -> Self {
        self.broker = broker;
        self
    }

    /// Sets who may connect. Default: anybody, as nobody in particular.
    pub fn authenticate(mut self, authenticate: impl Authenticate) -> Self {
        self.authenticate = Arc::new(authenticate);
        self
    }

    /// Sets what takes the messages to the application's own destinations. Default: there are none.
    pub fn handle(mut self, handle: impl Handle) -> Self {
        self.handle = Arc::new(handle);
        self
    }

    /// Sets which web pages may connect; all others are answered 403. Default: those of the same
    /// origin, that is the same host and port, and clients that are no web pages.
    ///
    /// A page that is served elsewhere, such as by a development server on another port, is listed:
    ///
    /// ```
    /// use stompbox::handshake::OriginPolicy;
    /// use stompbox::server::Server;
    ///
    /// let origins = OriginPolicy::same_origin_or(["http://localhost:5173"])?;
    /// let server = Server::builder().origin(origins).build();
    /// # let _ = server;
    /// # Ok::<(), stompbox::handshake::InvalidOrigin>(())
    /// ```
    pub fn origin(mut self, origin: OriginPolicy) -> Self {
        self.origin = origin;
        self
    }

    /// Sets limits and defaults.
    pub fn settings(mut self, settings: ServerSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Makes the server. It serves nothing until it is told what to listen to, or given connections.
    pub fn build(self) -> Server {
        Server::new(Shared::new(
            self.broker,
            self.authenticate,
            self.handle,
            self.origin,
            self.settings,
        ))
    }
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("origin", &self.origin)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
