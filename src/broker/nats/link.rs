use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{AuthError, Client, ConnectOptions, Event, ServerError};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::super::{BrokerError, Destination};
use super::address::Address;
use super::stream::refused;

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
    /// Brings what JetStream says to what was published with [`confirmation`](Self::confirmation).
    pub(super) confirmations: async_nats::Subscriber,
    confirmed: String,
    signals: Arc<Signals>,
    lost: watch::Receiver<bool>,
}

/// What the client says about the connection.
struct Signals {
    lost: watch::Sender<bool>,
    dropped: Notify,
    /// What the server has said that it does not permit.
    denied: Mutex<VecDeque<String>>,
}

/// How many denials are remembered, the latest. There are as many as a program tries things that it may
/// not do.
const DENIED: usize = 1_000;

/// How long one attempt to connect may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

impl Link {
    pub(super) async fn connect(address: &Address) -> Result<Self, async_nats::Error> {
        let (sender, lost) = watch::channel(false);
        let signals = Arc::new(Signals::new(sender));
        let connected = Arc::new(AtomicBool::new(false));
        let options = once(address, &connected, &signals);
        let client = options.connect(address.servers.clone()).await?;
        connected.store(true, Ordering::Relaxed);
        let inbox = client.new_inbox();
        let answers = client.subscribe(inbox.clone()).await?;
        let confirmed = client.new_inbox();
        let confirmations = client.subscribe(format!("{confirmed}.*")).await?;
        Ok(Self { client, answers, inbox, confirmations, confirmed, signals, lost })
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

    /// What the server has denied, in its own words. They have the subject in quotation marks.
    ///
    /// The client tells them by a task of its own, so they may come a moment after the
    /// [answer](Self::answers) behind them.
    pub(super) fn denied(&self) -> Vec<String> {
        self.signals.denied.lock().iter().cloned().collect()
    }

    /// Where JetStream confirms what has this number.
    pub(super) fn confirmation(&self, number: u64) -> String {
        format!("{}.{number}", self.confirmed)
    }

    /// Asks the server to send this number back.
    ///
    /// The client's own flush says only that it has written to its socket.
    pub(super) async fn ask(&self, number: u64) -> Result<(), async_nats::PublishError> {
        let number = Bytes::copy_from_slice(&number.to_be_bytes());
        self.client.publish(self.inbox.clone(), number).await
    }
}

impl Signals {
    fn new(lost: watch::Sender<bool>) -> Self {
        Self { lost, dropped: Notify::new(), denied: Mutex::default() }
    }

    fn hear(&self, event: Event) {
        match event {
            Event::Disconnected | Event::Closed => drop(self.lost.send_replace(true)),
            Event::SlowConsumer(_) => self.dropped.notify_one(),
            Event::ServerError(ServerError::Other(text)) if text.contains("Permissions") => {
                let mut denied = self.denied.lock();
                if denied.contains(&text) {
                    return;
                }
                if denied.len() >= DENIED {
                    denied.pop_front();
                }
                denied.push_back(text);
            }
            _ => {}
        }
    }
}

/// Settings of a client that ends when its connection does: from then on nobody can log in with it,
/// and after as many attempts as there are servers it gives up.
fn once(address: &Address, connected: &Arc<AtomicBool>, signals: &Arc<Signals>) -> ConnectOptions {
    let (login, ended) = (address.login.clone(), Arc::clone(connected));
    let authenticate = move |_nonce| {
        let auth = if ended.load(Ordering::Relaxed) {
            Err(AuthError::new("the connection was given up"))
        } else {
            Ok(login.auth())
        };
        std::future::ready(auth)
    };
    let told = Arc::clone(signals);
    let hear = move |event| {
        told.hear(event);
        std::future::ready(())
    };
    ConnectOptions::with_auth_callback(authenticate)
        .name("stompbox")
        .max_reconnects(address.servers.len())
        .ignore_discovered_servers()
        .connection_timeout(CONNECT_TIME)
        .event_callback(hear)
}

/// Whether something was permitted: [`denied`](Link::denied) is what was not.
pub(super) fn judge(
    denied: &[String],
    what: &str,
    destination: &Destination,
    subjects: impl FnOnce() -> Vec<String>,
) -> Result<(), BrokerError> {
    if denied.is_empty() {
        return Ok(());
    }
    let quoted: Vec<_> = subjects().iter().map(|subject| format!("\"{subject}\"")).collect();
    let about =
        |text: &&String| text.contains(what) && quoted.iter().any(|subject| text.contains(subject));
    match denied.iter().find(about) {
        None => Ok(()),
        Some(reason) => Err(refused(destination, reason.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_denials_are_remembered() {
        let signals = Signals::new(watch::channel(false).0);
        let text = |number| format!("Permissions Violation for Publish to \"topic.{number}\"");
        for number in (0..=DENIED).chain([DENIED]) {
            signals.hear(Event::ServerError(ServerError::Other(text(number))));
        }
        let denied = signals.denied.lock();
        assert_eq!(
            (denied.len(), denied.front(), denied.back()),
            (DENIED, Some(&text(1)), Some(&text(DENIED)))
        );
    }
}
