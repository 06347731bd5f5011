use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;

use crate::broker::{BrokerError, DestinationError};
use crate::frame::{Frame, Headers};

use super::{Principal, PublishError, Publisher};

/// What becomes of a message that a handler was given.
pub type Handling = Pin<Box<dyn Future<Output = Result<(), HandleError>> + Send>>;

/// Takes the SENDs to an application's own destinations, such as `/pub/chat`.
///
/// The messages of one connection are handled one after the other, in the order in which they came;
/// those of different connections at the same time.
pub trait Handle: Send + Sync + 'static {
    /// Whether messages to this destination are for the application. All others are published by
    /// the broker.
    fn handles(&self, destination: &str) -> bool;

    /// Handles one message. A receipt that its sender asked for is answered when the future is done.
    fn handle(&self, request: SendRequest) -> Handling;
}

/// A SEND for a handler.
#[derive(Debug)]
pub struct SendRequest {
    /// Where it was sent.
    pub destination: Box<str>,
    /// The frame.
    pub frame: Frame,
    /// Who sent it.
    pub principal: Principal,
    /// Publishes what is to be said about it.
    pub publisher: Publisher,
}

/// Why a message was not handled. Its sender gets an ERROR and the connection is closed, as STOMP
/// demands (STOMP 1.2, "ERROR").
///
/// The client is told [`summary`](Self::summary) and [`detail`](Self::detail) and nothing else. An
/// error of the program's own, which is none of the client's business, is the
/// [`source`](StdError::source): [`internal`](Self::internal) makes such an error, as in
/// `std::fs::read(path).map_err(HandleError::internal)?`, and so does `?` on what [`Publisher`]
/// returns.
///
/// ```
/// use std::error::Error;
/// use stompbox::server::HandleError;
///
/// let refused = HandleError::new("text too long", "a message may have 4,000 characters");
/// assert_eq!(refused.to_string(), "text too long: a message may have 4,000 characters");
///
/// let failed = HandleError::internal("the table `messages` does not exist");
/// assert!(!failed.to_string().contains("messages"));
/// assert!(failed.source().is_some_and(|source| source.to_string().contains("messages")));
/// ```
#[derive(Debug, Clone, Error)]
#[error("{summary}: {detail}")]
pub struct HandleError {
    summary: String,
    detail: String,
    our_fault: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl SendRequest {
    /// The headers of the frame.
    pub fn headers(&self) -> Headers<'_> {
        self.frame.headers()
    }

    /// The body of the frame.
    pub fn body(&self) -> &[u8] {
        self.frame.body()
    }
}

impl HandleError {
    /// An error with a short text for the ERROR's `message` header and a sentence for its body.
    pub fn new(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { summary: summary.into(), detail: detail.into(), our_fault: false, source: None }
    }

    /// An error of the program's own. The client is told that there was one and not which.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::failed("the message could not be handled").with_source(source)
    }

    /// As [`internal`](Self::internal), where there is no source.
    pub(super) fn failed(detail: &str) -> Self {
        Self { our_fault: true, ..Self::new("internal error", detail) }
    }

    /// Whether the message was right and its handling failed.
    pub(super) fn is_our_fault(&self) -> bool {
        self.our_fault
    }

    /// Adds what the error comes from, which the client is not told.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The short text.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// What cannot be published at present may be sent again, and the client is told so; everything else
/// is a mistake of the handler's.
impl From<PublishError> for HandleError {
    fn from(error: PublishError) -> Self {
        let detail = "the message cannot be passed on at present; try again later";
        let not_available = Self::new("not available", detail);
        match error {
            PublishError::Broker(BrokerError::Full { .. }) => not_available.with_source(error),
            PublishError::Broker(BrokerError::Unavailable { .. } | BrokerError::Closed) => {
                Self { our_fault: true, ..not_available }.with_source(error)
            }
            _ => Self::internal(error),
        }
    }
}

/// A handler that makes up a name which is no destination has made a mistake: see
/// [`internal`](HandleError::internal).
impl From<DestinationError> for HandleError {
    fn from(error: DestinationError) -> Self {
        Self::internal(error)
    }
}

/// No destination is the application's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Nothing;

impl Handle for Nothing {
    fn handles(&self, _destination: &str) -> bool {
        false
    }

    fn handle(&self, _request: SendRequest) -> Handling {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_programs_own_is_not_told() {
        let unknown = BrokerError::UnknownDestination {
            destination: "/secret/plan".to_owned(),
            known: "/topic".to_owned(),
        };
        let error = HandleError::from(PublishError::from(unknown));
        assert_eq!(error.to_string(), "internal error: the message could not be handled");
        assert!(error.source().unwrap().to_string().contains("/secret/plan"));
    }

    #[test]
    fn what_may_be_tried_again_is_told_without_the_engine() {
        let error = PublishError::from(BrokerError::Unavailable { engine: "redis" });
        let error = HandleError::from(error);
        assert_eq!(error.summary(), "not available");
        assert!(!error.detail().contains("redis"), "{error}");
        assert_eq!(error.source().unwrap().to_string(), "redis cannot be reached at present");
    }
}
