//! What a client is told when its session ends.

use crate::frame::DecodeErrorKind;
use crate::session::{Refusal, SessionError};
use crate::websocket::CloseCode;

use super::HandleError;
use super::authenticate::AuthenticationError;

pub(super) fn of_handler(error: &HandleError) -> Refusal {
    let refusal = Refusal::new(error.summary(), error.detail());
    if error.is_our_fault() { refusal.by_our_fault() } else { refusal }
}

pub(super) fn of_authentication(error: &AuthenticationError) -> Refusal {
    let refusal = Refusal::new("access refused", error.to_string());
    if error.is_our_fault() { refusal.by_our_fault() } else { refusal }
}

/// The refusal of a client that did nothing wrong.
pub(super) fn internal(detail: &str) -> Refusal {
    Refusal::new("internal error", detail).by_our_fault()
}

/// The code of the Close that follows an ERROR (RFC 6455 §7.4.1).
pub(super) fn close_code(refusal: &Refusal) -> CloseCode {
    match refusal.error() {
        _ if refusal.is_our_fault() => CloseCode::Internal,
        Some(SessionError::Frame(error)) if error.kind() == DecodeErrorKind::OverLimit => {
            CloseCode::TooBig
        }
        None
        | Some(
            SessionError::Limit { .. }
            | SessionError::SlowConsumer { .. }
            | SessionError::SlowSubscription { .. }
            | SessionError::OverdueSubscription { .. }
            | SessionError::NotReading { .. }
            | SessionError::HeartBeatMissed { .. }
            | SessionError::ConnectTimeout { .. },
        ) => CloseCode::Policy,
        Some(_) => CloseCode::Protocol,
    }
}
