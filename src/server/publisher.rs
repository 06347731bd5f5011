use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use thiserror::Error;

use crate::broker::{Broker, BrokerError, Destination, DestinationError, Message, Outcome, Turn};

use super::clock;

/// Publishes to a server's broker from anywhere in the program: a handler, a task, an HTTP handler.
///
/// Cloning is cheap. A message takes its place in its destination when `publish` is called; the
/// future tells when the broker has taken responsibility, and need not be awaited for it to do so.
///
/// ```
/// # async fn example(server: stompbox::server::Server) -> Result<(), Box<dyn std::error::Error>> {
/// let publisher = server.publisher();
/// publisher.publish("/topic/news", "hello").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Publisher {
    broker: Arc<dyn Broker>,
}

/// Why a message was not published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The name is no destination.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The broker refused it.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The value cannot be written as JSON.
    #[cfg(feature = "serde")]
    #[error("the value cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Completes when the broker has taken responsibility for a message. The message was published
/// when this was returned, whether it is awaited or not.
#[must_use = "the message is published, but only awaiting it says whether the broker took it"]
#[derive(Debug)]
pub struct Publishing(Result<Outcome, Option<PublishError>>);

impl Publisher {
    pub(super) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker }
    }

    /// Publishes a body without headers of its own.
    pub fn publish(&self, destination: &str, body: impl AsRef<[u8]>) -> Publishing {
        match Destination::new(destination) {
            Ok(destination) => self.publish_message(Message::builder(destination).body(body)),
            Err(error) => Publishing(Err(Some(error.into()))),
        }
    }

    /// Publishes a value as JSON, with `content-type:application/json`.
    #[cfg(feature = "serde")]
    pub fn publish_json(&self, destination: &str, value: &impl serde::Serialize) -> Publishing {
        let message = Destination::new(destination).map_err(PublishError::from).and_then(|to| {
            let body = serde_json::to_vec(value)?;
            Ok(Message::builder(to).header("content-type", "application/json").body(body))
        });
        match message {
            Ok(message) => self.publish_message(message),
            Err(error) => Publishing(Err(Some(error))),
        }
    }

    /// Publishes a message with headers of its own.
    pub fn publish_message(&self, message: Message) -> Publishing {
        Publishing(Ok(self.in_turn(message)))
    }

    /// Publishes in the turn that is [lent](lend) on this thread, or in one of its own.
    fn in_turn(&self, message: Message) -> Outcome {
        LENT.with(|lent| match lent.try_borrow_mut().as_deref_mut() {
            Ok(Some(turn)) => self.broker.publish(message, turn),
            _ => self.broker.publish(message, &mut Turn::new(clock::now())),
        })
    }
}

thread_local! {
    /// The turn of the connection whose handlers run on this thread at present.
    static LENT: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// Lends a connection's turn to whatever publishes while `work` runs: what its handlers publish of
/// one read is delivered together.
pub(super) fn lend<T>(turn: &mut Turn, work: impl FnOnce() -> T) -> T {
    let now = turn.now();
    let own = std::mem::replace(turn, Turn::new(now));
    let outer = LENT.replace(Some(own));
    let result = work();
    if let Some(own) = LENT.replace(outer) {
        *turn = own;
    }
    result
}

impl Future for Publishing {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(outcome) => Pin::new(outcome).poll(context).map_err(PublishError::from),
            // A finished future may not be polled again; pending is the answer that harms nobody.
            Err(error) => error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
