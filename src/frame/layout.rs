//! Where the parts of a frame stand in its bytes.

use super::escape::Escaping;
use super::{Command, HeaderName};

/// Headers whose offsets are kept in the frame itself; further ones spill to the heap. Frames seen
/// in the field have up to 13.
const INLINE_HEADERS: usize = 16;

/// Where the parts of a frame stand in its bytes.
///
/// ```text
/// SEND⏎destination:/topic/a⏎receipt:1⏎⏎hello␀
///      ╰────── lines ───────────────╯  ╰─body
///                            lines_end ╯
/// ```
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) command: Command,
    /// How the header lines are escaped; `None` too if no `\` stands in them.
    pub(super) escaping: Escaping,
    /// Whether spaces and tabs around names and values are no part of them.
    pub(super) padded: bool,
    /// Where the first header line begins, and the octet behind the LF of the last.
    pub(super) lines_start: u32,
    pub(super) lines_end: u32,
    pub(super) body_start: u32,
    pub(super) body_end: u32,
    pub(super) lines: HeaderLines,
}

impl Layout {
    pub(super) fn new(command: Command) -> Self {
        Self {
            command,
            escaping: Escaping::None,
            padded: false,
            lines_start: 0,
            lines_end: 0,
            body_start: 0,
            body_end: 0,
            lines: HeaderLines::default(),
        }
    }

    /// The body in the bytes of the frame.
    pub(super) fn body<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        slice(bytes, self.body_start, self.body_end)
    }

    /// The first header line of a well-known name.
    pub(super) fn find(&self, name: HeaderName) -> Option<&HeaderLine> {
        self.lines.iter().find(|line| line.known == Some(name))
    }
}

/// Where one header line stands: `start` name `colon` `:` value `end`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeaderLine {
    pub(super) start: u32,
    pub(super) colon: u32,
    pub(super) end: u32,
    pub(super) known: Option<HeaderName>,
}

impl HeaderLine {
    /// The name as it stands in the bytes of the frame.
    pub(super) fn name<'a>(&self, bytes: &'a [u8], padded: bool) -> &'a [u8] {
        trim(slice(bytes, self.start, self.colon), padded)
    }

    /// The value as it stands in the bytes of the frame.
    pub(super) fn value<'a>(&self, bytes: &'a [u8], padded: bool) -> &'a [u8] {
        trim(slice(bytes, self.colon + 1, self.end), padded)
    }
}

/// The table of header lines; its first entries are inline.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderLines {
    inline: [HeaderLine; INLINE_HEADERS],
    len: usize,
    spilled: Vec<HeaderLine>,
}

impl HeaderLines {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, line: HeaderLine) {
        match self.inline.get_mut(self.len) {
            Some(free) => *free = line,
            None => self.spilled.push(line),
        }
        self.len += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &HeaderLine> {
        self.inline.iter().take(self.len).chain(&self.spilled)
    }

    /// Calls `change` on each entry.
    pub(super) fn update(&mut self, change: impl FnMut(&mut HeaderLine)) {
        self.inline.iter_mut().take(self.len).chain(&mut self.spilled).for_each(change);
    }
}

/// The octets from `start` to `end`; offsets in a layout always fit their bytes.
fn slice(bytes: &[u8], start: u32, end: u32) -> &[u8] {
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

fn trim(text: &[u8], padded: bool) -> &[u8] {
    if !padded {
        return text;
    }
    let is_text = |octet: &u8| !matches!(octet, b' ' | b'\t');
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text.iter().rposition(is_text).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// An offset in a frame as 32 bits; [`Limits`](super::Limits) keep decoded frames below that.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
