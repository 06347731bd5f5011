use crate::server::{HandleError, SendRequest};

use super::FromMessage;

/// What all handlers of an application share, as an argument: a clone of what
/// [`App::with_state`](super::App::with_state) was given, so mostly an `Arc`, a pool or a sender.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use stompbox::app::{App, State};
///
/// async fn count(State(counter): State<Arc<AtomicU64>>) {
///     counter.fetch_add(1, Ordering::Relaxed);
/// }
///
/// let app = App::with_state(Arc::new(AtomicU64::new(0))).message("/pub/count", count);
/// # let _ = app;
/// ```
///
/// A handler that asks for another type does not compile:
///
/// ```compile_fail,E0277
/// use stompbox::app::{App, State};
///
/// async fn count(State(counter): State<u64>) {}
///
/// let app = App::with_state("no number").message("/pub/count", count);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State<S>(pub S);

impl<S: Clone> FromMessage<S> for State<S> {
    fn from_message(_request: &SendRequest, state: &S) -> Result<Self, HandleError> {
        Ok(Self(state.clone()))
    }
}
