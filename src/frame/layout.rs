//! Where the parts of a frame stand in its bytes.

use super::Command;
use super::escape::Escaping;
use super::header_table::HeaderTable;

/// Where the parts of a frame stand in its bytes.
///
/// ```text
/// SEND⏎destination:/topic/a⏎receipt:1⏎⏎hello␀
///      ╰────── headers ─────────────╯  ╰─body
/// ```
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) headers: HeaderTable,
    pub(super) body_start: u32,
    pub(super) body_end: u32,
    pub(super) command: Command,
    /// How the header lines are escaped; `None` too if no `\` stands in them.
    pub(super) escaping: Escaping,
    /// Whether the bytes are, to the last octet, what every version writes for this frame. Those of
    /// a frame that was built without a body end where its header lines end.
    pub(super) verbatim: bool,
    /// Whether spaces and tabs around names and values are no part of them.
    pub(super) padded: bool,
}

/// Nothing is known yet.
impl Default for Layout {
    fn default() -> Self {
        Self {
            headers: HeaderTable::default(),
            body_start: 0,
            body_end: 0,
            command: Command::Send,
            escaping: Escaping::None,
            verbatim: false,
            padded: false,
        }
    }
}

impl Layout {
    /// The layout of a command line, which is all that there is of the frame yet.
    pub(super) fn of_command(command: Command) -> Self {
        let mut layout = Self { command, verbatim: true, ..Self::default() };
        layout.headers.start_at(command.line().len());
        layout.body_start = layout.headers.end;
        layout.body_end = layout.headers.end;
        layout
    }

    /// The body in the bytes of the frame.
    pub(super) fn body<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        slice(bytes, self.body_start, self.body_end)
    }
}

/// The octets from `start` to `end`; offsets in a layout always fit their bytes.
pub(super) fn slice(bytes: &[u8], start: u32, end: u32) -> &[u8] {
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

/// An offset in a frame as 32 bits; [`Limits`](super::Limits) keep decoded frames below that.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
