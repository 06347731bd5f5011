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

/// How long RabbitMQ may take to answer a connection, or what is asked over it first.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often RabbitMQ and this node say that they are there (AMQP 0-9-1, 4.2.7), unless the URL says
/// otherwise: one that hangs is given up after twice this time.
pub(super) const HEART_BEAT: Duration = Duration::from_secs(10);

/// A connection that lasted so long was a good one: the next attempt is made at once.
pub(super) const LASTED: Duration = Duration::from_secs(10);

/// How long what is published waits, at the least, before it is looked for what has waited too long.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// The connections of a node to RabbitMQ.
///
/// Where RabbitMQ is short of memory or of disk it reads nothing more from a connection that publishes:
/// no ACK either, without which its queues would never become shorter. So what is published has a
/// connection of its own.
pub(super) struct Connections {
    publishing: Connection,
    /// For everything else.
    listening: Connection,
}

/// Connects once.
pub(super) async fn connect(shared: &Shared) -> lapin::Result<Connections> {
    let listening = connect_as(shared, "stompbox, listening");
    let (publishing, listening) = tokio::try_join!(connect_to_publish(shared), listening)?;
    Ok(Connections { publishing, listening })
}

pub(super) async fn connect_to_publish(shared: &Shared) -> lapin::Result<Connection> {
    connect_as(shared, "stompbox, publishing").await
}

async fn connect_as(shared: &Shared, name: &str) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = Connection::connect_uri(shared.uri.clone(), properties);
    in_time(connecting).await
}

/// Waits for an answer of RabbitMQ, but not for ever: lapin may not notice that it is asked over a
/// connection that is lost in that moment.
pub(super) async fn in_time<T>(answer: impl Future<Output = lapin::Result<T>>) -> lapin::Result<T> {
    let answered = tokio::time::timeout(PATIENCE, answer).await;
    answered.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// Works with these connections, and then with others, for as long as it is polled.
pub(super) async fn run(shared: Arc<Shared>, first: Connections) {
    tokio::join!(stay_connected(&shared, first), give_up_in_time(&shared));
}

async fn stay_connected(shared: &Shared, first: Connections) {
    let mut backoff = Backoff::new();
    let mut next = Some(first);
    loop {
        if let Some(mut connections) = next {
            let begun = Instant::now();
            work(shared, &mut connections).await;
            shared.lost();
            if begun.elapsed() > LASTED {
                backoff.reset();
            }
            let Connections { publishing, listening } = connections;
            let closing = [publishing, listening].map(|it| async move {
                let closing = it.close(200, ShortString::default());
                // It is lost already, or closes; nobody waits for it.
                drop(tokio::time::timeout(Duration::from_secs(1), closing).await);
            });
            futures_util::future::join_all(closing).await;
        }
        tokio::time::sleep(backoff.delay()).await;
        next = connect(shared).await.ok();
    }
}

/// Publishes and delivers until the connection of those who listen is lost.
async fn work(shared: &Shared, Connections { publishing, listening }: &mut Connections) {
    shared.forget_unwanted();
    let listening = &*listening;
    let begun = async {
        let publishing = Publishing::begin(shared, publishing, listening).await?;
        let topics = Topics::begin(shared, listening, publishing.marking()).await?;
        Ok((publishing, topics))
    };
    let Ok((publishing, topics)) = in_time(begun).await else { return };
    tokio::select! {
        () = publishing.run() => {}
        () = topics.run() => {}
        () = Queues::new(shared, listening).run() => {}
        () = Exchanges::new(shared, listening).run() => {}
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
