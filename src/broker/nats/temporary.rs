//! Which of JetStream's errors pass: what met one is tried again.

use std::error::Error as _;
use std::fmt::Display;

use async_nats::StatusCode;
use async_nats::jetstream::consumer::pull::BatchError;
use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, RequestError,
};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{
    ConsumerError, ConsumerErrorKind, LastRawMessageError, LastRawMessageErrorKind,
};
use async_nats::jetstream::{Error, ErrorCode};

/// Why a request to JetStream has failed.
pub(super) trait Failure: Display {
    /// Whether the same request may succeed a moment later.
    fn is_temporary(&self) -> bool;
}

/// What JetStream says to what was published.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Confirmation {
    Kept,
    /// It has it not, or does not know yet, and may have it if it is sent again.
    NotNow,
    Refused(String),
}

/// What it says while a leader is elected, a server starts, or it has too much to do.
const TEMPORARY: [ErrorCode; 13] = [
    ErrorCode::CLUSTER_INCOMPLETE,
    ErrorCode::CLUSTER_NO_PEERS,
    ErrorCode::CLUSTER_NOT_ASSIGNED,
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::CLUSTER_NOT_LEADER,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::MEMORY_RESOURCES_EXCEEDED,
    ErrorCode::PEER_REMAP,
    ErrorCode::RAFT_GENERAL,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::STREAM_OFFLINE,
    // The same message is on its way, and was perhaps forgotten there.
    ErrorCode(10158),
    // Its queue is full.
    ErrorCode(10167),
];

/// What stands in [`ErrorCode::STREAM_STORE_FAILED`] where a bound of the stream is the reason.
const BOUNDS: [&str; 3] = ["maximum", "too large", "to large"];

impl Confirmation {
    pub(super) fn read(status: Option<StatusCode>, payload: &[u8]) -> Self {
        if status.is_some() {
            // Nobody takes it for the stream, which has no leader, or is gone.
            return Self::NotNow;
        }
        match serde_json::from_slice::<Response<PublishAck>>(payload) {
            // A message that was sent before, and is not in the stream yet: it may never be, if the
            // server was no leader any more.
            Ok(Response::Ok(ack)) if ack.duplicate && ack.sequence == 0 => Self::NotNow,
            Ok(Response::Ok(_)) => Self::Kept,
            Ok(Response::Err { error }) if error.is_temporary() => Self::NotNow,
            Ok(Response::Err { error }) => Self::Refused(error.to_string()),
            Err(_) => Self::Refused(String::from_utf8_lossy(payload).into_owned()),
        }
    }
}

impl Failure for Error {
    fn is_temporary(&self) -> bool {
        if self.error_code() == ErrorCode::STREAM_STORE_FAILED {
            let text = self.to_string();
            return !BOUNDS.iter().any(|bound| text.contains(bound));
        }
        TEMPORARY.contains(&self.error_code())
    }
}

// What has another reason than JetStream's own word is that it does not answer.

impl Failure for CreateStreamError {
    fn is_temporary(&self) -> bool {
        match self.kind() {
            CreateStreamErrorKind::JetStream(error) => error.is_temporary(),
            _ => true,
        }
    }
}

impl Failure for GetStreamError {
    fn is_temporary(&self) -> bool {
        match self.kind() {
            GetStreamErrorKind::JetStream(error) => error.is_temporary(),
            _ => true,
        }
    }
}

impl Failure for ConsumerError {
    fn is_temporary(&self) -> bool {
        match self.kind() {
            ConsumerErrorKind::JetStream(error) => error.is_temporary(),
            _ => true,
        }
    }
}

impl Failure for LastRawMessageError {
    fn is_temporary(&self) -> bool {
        match self.kind() {
            LastRawMessageErrorKind::JetStream(error) => error.is_temporary(),
            _ => true,
        }
    }
}

impl Failure for RequestError {
    fn is_temporary(&self) -> bool {
        let error = self.source().and_then(|source| source.downcast_ref::<Error>());
        error.is_none_or(Failure::is_temporary)
    }
}

impl Failure for BatchError {
    fn is_temporary(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: usize, number: u64, text: &str) -> Confirmation {
        let error = format!(r#"{{"code":{code},"err_code":{number},"description":"{text}"}}"#);
        let payload = format!(r#"{{"error":{error},"stream":"stompbox-queues","seq":0}}"#);
        Confirmation::read(None, payload.as_bytes())
    }

    #[test]
    fn what_passes_is_tried_again_and_the_rest_is_refused() {
        let read = |text: &str| Confirmation::read(None, text.as_bytes());
        assert_eq!(read(r#"{"stream":"s","seq":7}"#), Confirmation::Kept);
        assert_eq!(read(r#"{"stream":"s","seq":7,"duplicate":true}"#), Confirmation::Kept);
        for temporary in [
            Confirmation::read(Some(StatusCode::NO_RESPONDERS), b""),
            read(r#"{"stream":"s","seq":0,"duplicate":true}"#),
            error(503, 10008, "JetStream system temporarily unavailable"),
            error(503, 10023, "insufficient resources"),
            error(503, 10077, "store is closed"),
            error(409, 10158, "duplicate message id is in process"),
        ] {
            assert_eq!(temporary, Confirmation::NotNow);
        }
        for refused in [
            error(400, 10054, "message size exceeds maximum allowed"),
            error(503, 10077, "maximum bytes exceeded"),
            error(400, 10109, "invalid operation on sealed stream"),
            read("no JSON"),
        ] {
            assert!(matches!(refused, Confirmation::Refused(_)), "{refused:?}");
        }
    }

    #[test]
    fn who_does_not_answer_may_do_so_later() {
        assert!(CreateStreamError::new(CreateStreamErrorKind::TimedOut).is_temporary());
        assert!(ConsumerError::new(ConsumerErrorKind::Request).is_temporary());
        let said = |number| -> RequestError {
            let text = format!(r#"{{"code":503,"err_code":{number}}}"#);
            serde_json::from_str::<Error>(&text).unwrap().into()
        };
        assert!(said(10008).is_temporary());
        assert!(!said(10059).is_temporary());
    }
}
