use std::pin::Pin;

use thiserror::Error;

use crate::frame::{Frame, Headers};

use super::{Principal, Publisher};

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
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{summary}: {detail}")]
pub struct HandleError {
    summary: String,
    detail: String,
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
        Self { summary: summary.into(), detail: detail.into() }
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
