use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{AuthError, Client, ConnectOptions, Event};
use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::address::Address;

/// One connection to NATS. When it is lost it is given up, and another one is made.
///
/// The client could connect again by itself. But it keeps a part of what was on its way, and sends
/// that first: before the messages that stood in front of it, which the [outbox] knows to send again.
///
/// [outbox]: super::super::engine::Outbox
pub(super) struct Link {
    pub(super) client: Client,
    /// Brings back what [`ask`](Self::ask) sent: by then the server has taken all that was sent
    /// before.
    pub(super) answers: async_nats::Subscriber,
    inbox: String,
    signals: Arc<Signals>,
    lost: watch::Receiver<bool>,
}

/// What the client says about the connection.
struct Signals {
    lost: watch::Sender<bool>,
    dropped: Notify,
}

/// How long one attempt to connect may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

impl Link {
    pub(super) async fn connect(address: &Address) -> Result<Self, async_nats::Error> {
        let (sender, lost) = watch::channel(false);
        let signals = Arc::new(Signals { lost: sender, dropped: Notify::new() });
        let connected = Arc::new(AtomicBool::new(false));
        let options = once(address, &connected, &signals);
        let client = options.connect(address.servers.clone()).await?;
        connected.store(true, Ordering::Relaxed);
        let inbox = client.new_inbox();
        let answers = client.subscribe(inbox.clone()).await?;
        Ok(Self { client, answers, inbox, signals, lost })
    }

    /// Waits until the connection is lost.
    pub(super) fn lost(&self) -> impl Future<Output = ()> + use<> {
        let mut lost = self.lost.clone();
        async move {
            // The sender is gone only with the client.
            drop(lost.wait_for(|lost| *lost).await);
        }
    }

    /// Waits until messages were dropped, since a listener is too slow.
    pub(super) fn dropped(&self) -> impl Future<Output = ()> + use<> {
        let signals = Arc::clone(&self.signals);
        async move { signals.dropped.notified().await }
    }

    /// Asks the server to send this number back.
    ///
    /// The client's own flush says only that it has written to its socket.
    pub(super) async fn ask(&self, number: u64) -> Result<(), async_nats::PublishError> {
        let number = Bytes::copy_from_slice(&number.to_be_bytes());
        self.client.publish(self.inbox.clone(), number).await
    }
}

/// Settings of a client that ends when its connection does: from then on nobody can log in with it,
/// and after as many attempts as there are servers it gives up.
fn once(address: &Address, connected: &Arc<AtomicBool>, signals: &Arc<Signals>) -> ConnectOptions {
    let (login, connected) = (address.login.clone(), Arc::clone(connected));
    let log_in = move |_nonce| {
        let auth = if connected.load(Ordering::Relaxed) {
            Err(AuthError::new("the connection was given up"))
        } else {
            Ok(login.auth())
        };
        std::future::ready(auth)
    };
    let signals = Arc::clone(signals);
    let heard = move |event| {
        match event {
            Event::Disconnected | Event::Closed => drop(signals.lost.send_replace(true)),
            Event::SlowConsumer(_) => signals.dropped.notify_one(),
            _ => {}
        }
        std::future::ready(())
    };
    ConnectOptions::with_auth_callback(log_in)
        .name("stompbox")
        .max_reconnects(address.servers.len())
        .ignore_discovered_servers()
        .connection_timeout(CONNECT_TIME)
        .event_callback(heard)
}
