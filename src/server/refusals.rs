//! What a client is told when its session ends.

use crate::frame::DecodeErrorKind;
use crate::session::{Refusal, SessionError};
use crate::websocket::CloseCode;

use super::HandleError;

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
