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
    /// Whether the bytes are, to the last octet, what every version writes for this frame. Those of
    /// a frame that was built without a body end where its header lines end.
    pub(super) verbatim: bool,
    /// Whether spaces and tabs around names and values are no part of them.
    pub(super) padded: bool,
    /// Where the first header line begins, and the octet behind the LF of the last.
    pub(super) lines_start: u32,
    pub(super) lines_end: u32,
    pub(super) body_start: u32,
    pub(super) body_end: u32,
    pub(super) headers: HeaderTable,
}

/// Nothing is known yet.
impl Default for Layout {
    fn default() -> Self {
        Self {
            command: Command::Send,
            escaping: Escaping::None,
            verbatim: false,
            padded: false,
            lines_start: 0,
            lines_end: 0,
            body_start: 0,
            body_end: 0,
            headers: HeaderTable::default(),
        }
    }
}

impl Layout {
    /// The layout of a command line, which is all that there is of the frame yet.
    pub(super) fn of_command(command: Command) -> Self {
        let end = offset(command.line().len());
        Self {
            command,
            verbatim: true,
            lines_start: end,
            lines_end: end,
            body_start: end,
            body_end: end,
            ..Self::default()
        }
    }

    /// The body in the bytes of the frame.
    pub(super) fn body<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        slice(bytes, self.body_start, self.body_end)
    }

    /// The header lines in `bytes`, the bytes of the frame.
    pub(super) fn lines<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = HeaderLine> + 'a {
        (0..self.headers.len()).filter_map(move |index| self.line(index, bytes))
    }

    /// The first header line of a well-known name.
    pub(super) fn find(&self, name: HeaderName, bytes: &[u8]) -> Option<HeaderLine> {
        self.line(self.headers.find(name, 0)?, bytes)
    }

    /// The value of one header line as it stands in the bytes of the frame.
    #[inline]
    pub(super) fn value<'a>(&self, index: usize, bytes: &'a [u8]) -> &'a [u8] {
        let value = self.headers.entry(index).map(|entry| slice(bytes, entry.colon + 1, entry.end));
        trim(value.unwrap_or_default(), self.padded)
    }

    /// One header line.
    #[inline]
    pub(super) fn line(&self, index: usize, bytes: &[u8]) -> Option<HeaderLine> {
        let Entry { colon, end, known } = self.headers.entry(index)?;
        let start = match index.checked_sub(1) {
            None => self.lines_start,
            Some(before) => {
                // Where a line ends in CR LF, the value ends before the CR.
                let end = self.headers.entry(before)?.end;
                let cr = bytes.get(end as usize) == Some(&b'\r');
                end + 1 + u32::from(cr)
            }
        };
        Some(HeaderLine { start, colon, end, known })
    }
}

/// Where one header line stands: `start` name `colon` `:` value `end`.
#[derive(Clone, Copy, Debug)]
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

/// What is kept of a header line: it begins where the one before it ended.
#[derive(Clone, Copy, Debug)]
struct Entry {
    colon: u32,
    end: u32,
    known: Option<HeaderName>,
}

/// The table of header lines; its first entries are inline.
///
/// Columns rather than rows, and inline offsets of 16 bits: a frame is as large as this table, and
/// is moved by whoever takes it. The rare line that begins later is on the heap.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderTable {
    /// Colon and end of each line.
    offsets: [[u16; 2]; INLINE_HEADERS],
    known: [Option<HeaderName>; INLINE_HEADERS],
    inline: u32,
    spilled: Vec<Entry>,
}

impl HeaderTable {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.inline as usize + self.spilled.len()
    }

    /// Adds a line whose colon and end are at these offsets.
    #[inline]
    pub(super) fn push(&mut self, colon: usize, end: usize, known: Option<HeaderName>) {
        let next = self.len();
        if let (Ok(colon), Ok(end)) = (u16::try_from(colon), u16::try_from(end))
            && let Some(offsets) = self.offsets.get_mut(next)
            && let Some(name) = self.known.get_mut(next)
        {
            *offsets = [colon, end];
            *name = known;
            self.inline += 1;
        } else {
            self.spill(Entry { colon: offset(colon), end: offset(end), known });
        }
    }

    #[cold]
    fn spill(&mut self, entry: Entry) {
        self.spilled.push(entry);
    }

    #[inline]
    fn entry(&self, index: usize) -> Option<Entry> {
        if let Some(behind) = index.checked_sub(self.inline as usize) {
            return self.spilled.get(behind).copied();
        }
        let [colon, end] = self.offsets.get(index)?.map(u32::from);
        Some(Entry { colon, end, known: *self.known.get(index)? })
    }

    /// The first entry of a well-known name from `index` on.
    #[inline]
    pub(super) fn find(&self, name: HeaderName, index: usize) -> Option<usize> {
        let inline = self.known.get(..self.inline as usize).unwrap_or_default();
        if let Some(known) = inline.get(index..)
            && let Some(at) = known.iter().position(|known| *known == Some(name))
        {
            return Some(index + at);
        }
        if self.spilled.is_empty() { None } else { self.find_spilled(name, index) }
    }

    #[cold]
    fn find_spilled(&self, name: HeaderName, index: usize) -> Option<usize> {
        let inline = self.inline as usize;
        let from = index.saturating_sub(inline);
        let mut entries = self.spilled.get(from..)?.iter();
        entries.position(|entry| entry.known == Some(name)).map(|at| inline + from + at)
    }

    /// Notes another well-known name for an entry.
    pub(super) fn rename(&mut self, index: usize, name: Option<HeaderName>) {
        let known = match index.checked_sub(self.inline as usize) {
            None => self.known.get_mut(index),
            Some(behind) => self.spilled.get_mut(behind).map(|entry| &mut entry.known),
        };
        if let Some(known) = known {
            *known = name;
        }
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
