use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::types::ShortString;
use lapin::{Connection, ConnectionProperties};

use super::super::engine::Backoff;
use super::exchanges::Exchanges;
use super::publishing::Publishing;
use super::queues::Queues;
use super::shared::Shared;
use super::topics::Topics;

/// How long RabbitMQ may take to answer a connection, or its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often RabbitMQ and this node say that they are there (AMQP 0-9-1, 4.2.7), unless the URL says
/// otherwise: one that hangs is given up after twice this time.
pub(super) const HEART_BEAT: Duration = Duration::from_secs(10);

/// A connection that lasted so long was a good one: the next attempt is made at once.
const LASTED: Duration = Duration::from_secs(10);

/// How long what is published waits, at the least, before it is looked for what has waited too long.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Connects once.
pub(super) async fn connect(shared: &Shared) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name("stompbox".into());
    let connecting = Connection::connect_uri(shared.uri.clone(), properties);
    let connected = tokio::time::timeout(PATIENCE, connecting).await;
    connected.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// Works with this connection, and then with one after the other, for as long as it is polled.
pub(super) async fn run(shared: Arc<Shared>, first: Connection) {
    tokio::join!(stay_connected(&shared, first), give_up_in_time(&shared));
}

async fn stay_connected(shared: &Shared, first: Connection) {
    let mut backoff = Backoff::new();
    let mut next = Some(first);
    loop {
        if let Some(connection) = next {
            let begun = Instant::now();
            work(shared, &connection).await;
            shared.lost();
            if begun.elapsed() > LASTED {
                backoff.reset();
            }
            let closing = connection.close(200, ShortString::default());
            // It is lost already, or closes; nobody waits for it.
            drop(tokio::time::timeout(Duration::from_secs(1), closing).await);
        }
        tokio::time::sleep(backoff.delay()).await;
        next = connect(shared).await.ok();
    }
}

/// Publishes and delivers until the connection is lost.
async fn work(shared: &Shared, connection: &Connection) {
    shared.forget_unwanted();
    let begun =
        tokio::try_join!(Publishing::begin(shared, connection), Topics::begin(shared, connection));
    let Ok((publishing, topics)) = begun else { return };
    tokio::select! {
        () = publishing.run() => {}
        () = topics.run() => {}
        () = Queues::new(shared, connection).run() => {}
        () = Exchanges::new(shared, connection).run() => {}
    }
}

/// Answers what has waited too long for RabbitMQ.
async fn give_up_in_time(shared: &Shared) {
    loop {
        let next = shared.expire(Instant::now());
        let wait = next
            .map_or(Duration::from_secs(1), |next| next.saturating_duration_since(Instant::now()));
        tokio::time::sleep(wait.clamp(SHORTEST_WAIT, Duration::from_secs(1))).await;
    }
}
