//! What a client is told of errors that are not its session's.

use crate::broker::BrokerError;
use crate::frame::DecodeErrorKind;
use crate::session::{Refusal, SessionError};
use crate::websocket::CloseCode;

use super::HandleError;

pub(super) fn of_broker(error: &BrokerError) -> Refusal {
    let summary = match error {
        BrokerError::Destination(_) => "invalid destination",
        BrokerError::UnknownDestination { .. } => "unknown destination",
        BrokerError::Unsupported { .. } => "not supported",
        BrokerError::Full { .. } => "destination full",
        BrokerError::AllFull { .. } => "queues full",
        BrokerError::Unavailable { .. } | BrokerError::Closed => "broker unavailable",
    };
    Refusal::new(summary, error.to_string())
}

pub(super) fn of_handler(error: &HandleError) -> Refusal {
    Refusal::new(error.summary(), error.detail())
}

/// The code of the Close that follows an ERROR (RFC 6455 §7.4.1).
pub(super) fn close_code(refusal: &Refusal) -> CloseCode {
    match refusal.error() {
        Some(SessionError::Frame(error)) if error.kind() == DecodeErrorKind::OverLimit => {
            CloseCode::TooBig
        }
        None
        | Some(
            SessionError::Limit { .. }
            | SessionError::SlowConsumer { .. }
            | SessionError::NotReading { .. }
            | SessionError::HeartBeatMissed { .. }
            | SessionError::ConnectTimeout { .. },
        ) => CloseCode::Policy,
        Some(_) => CloseCode::Protocol,
    }
}
