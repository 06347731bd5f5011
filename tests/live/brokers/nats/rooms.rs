//! Topics that no other test has.

use crate::listener::unique;

/// One of which only the live messages are sent.
pub(crate) fn room() -> String {
    unique("/topic/test")
}

/// One that is kept.
pub(crate) fn kept_room() -> String {
    unique("/topic/kept/test")
}
