//! What a frame has to obey.

use super::{Command, Leniency, Limits, Version};

/// What a frame has to obey.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) version: Version,
    pub(super) limits: Limits,
    pub(super) leniency: Leniency,
}

impl Rules {
    /// Whether CR LF ends a line (STOMP 1.2, "STOMP Frames").
    pub(super) fn cr_lf(&self) -> bool {
        self.version == Version::V1_2 || self.leniency.cr_lf()
    }

    /// Whether a frame with `command` may have a body (STOMP 1.2, "Body").
    pub(super) fn may_have_body(&self, command: Command) -> bool {
        command.carries_body() || self.leniency.any_body()
    }
}
