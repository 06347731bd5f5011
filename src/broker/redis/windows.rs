use std::collections::HashMap;

use parking_lot::Mutex;

use super::super::{Destination, Router};
use super::StreamId;

/// Which parts of the streams this node has: of each destination with history that it follows, all
/// from some place to the last message that came.
///
/// What it has is in the router's history. Whoever subscribes joins there once Redis sends what comes
/// and the part reaches as far back as the stream; so history is what the node has, then what comes.
#[derive(Debug, Default)]
pub(super) struct Windows(Mutex<HashMap<Destination, Window>>);

/// The part of a stream that this node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// The first message that it has, or none.
    pub(super) first: Option<StreamId>,
    /// The last message that came, or before all.
    pub(super) last: StreamId,
    /// Whether all is there that was in the stream before the first.
    pub(super) complete: bool,
}

impl Windows {
    pub(super) fn get(&self, destination: &Destination) -> Option<Window> {
        self.0.lock().get(destination).copied()
    }

    /// Notes what the node has.
    pub(super) fn set(&self, destination: &Destination, window: Window) {
        self.0.lock().insert(destination.clone(), window);
    }

    /// The node does not follow these destinations any more.
    pub(super) fn drop_where(&self, gone: impl Fn(&Destination) -> bool, router: &Router) {
        self.0.lock().retain(|destination, _| {
            let gone = gone(destination);
            if gone {
                router.forget(destination);
            }
            !gone
        });
    }

    /// The destinations that it has a part of.
    pub(super) fn destinations(&self) -> Vec<Destination> {
        self.0.lock().keys().cloned().collect()
    }
}
