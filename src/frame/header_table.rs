//! Where the header lines of a frame stand in its bytes.

use super::HeaderName;
use super::layout::{offset, slice};

/// Headers that are kept in the frame itself; further ones spill to the heap. Frames seen in the
/// field have up to 13.
const INLINE_HEADERS: usize = 16;

/// The table of header lines; its first entries are inline.
///
/// A frame is as large as this table, and is moved by whoever takes it. So a line takes four octets:
/// it begins where the one before it ended. Longer names and lines that end later than in an inline
/// entry can be said are on the heap, and all behind them.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderTable {
    inline: [Inline; INLINE_HEADERS],
    spilled: Option<Box<Spilled>>,
    /// The octet behind the LF of the last line.
    pub(super) end: u32,
    /// Where the first line begins.
    pub(super) start: u8,
    inline_len: u8,
}

impl HeaderTable {
    /// Says where the first line begins: behind the command line, which is short.
    #[inline]
    pub(super) fn start_at(&mut self, start: usize) {
        self.start = u8::try_from(start).unwrap_or(u8::MAX);
        self.end = u32::from(self.start);
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.inline_len) + self.spilled.as_ref().map_or(0, |spilled| spilled.0.len())
    }

    /// Adds a line whose name takes `name` octets and which ends at the offset `end`, where its end
    /// of line begins.
    #[inline]
    pub(super) fn push(&mut self, name: usize, end: usize, known: Option<HeaderName>) {
        if let (Ok(name), Ok(end)) = (u8::try_from(name), u16::try_from(end))
            && self.spilled.is_none()
            && let Some(free) = self.inline.get_mut(usize::from(self.inline_len))
        {
            *free = Inline { end, name, known };
            self.inline_len += 1;
        } else {
            self.spill(Entry { end: offset(end), name: offset(name), known });
        }
    }

    /// One header line of the frame in `bytes`.
    #[inline]
    pub(super) fn line(&self, index: usize, bytes: &[u8]) -> Option<HeaderLine> {
        let Entry { end, name, known } = self.entry(index)?;
        let start = match index.checked_sub(1) {
            None => u32::from(self.start),
            Some(before) => {
                // Where a line ends in CR LF, the value ends before the CR.
                let end = self.entry(before)?.end;
                let cr = bytes.get(end as usize) == Some(&b'\r');
                end + 1 + u32::from(cr)
            }
        };
        Some(HeaderLine { start, colon: start + name, end, known })
    }

    /// The header lines of the frame in `bytes`.
    pub(super) fn lines<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = HeaderLine> + 'a {
        (0..self.len()).filter_map(move |index| self.line(index, bytes))
    }

    /// The first entry of a well-known name from `index` on.
    #[inline]
    pub(super) fn find(&self, name: HeaderName, index: usize) -> Option<usize> {
        let inline = self.inline.get(..usize::from(self.inline_len)).unwrap_or_default();
        if let Some(lines) = inline.get(index..)
            && let Some(at) = lines.iter().position(|line| line.known == Some(name))
        {
            return Some(index + at);
        }
        self.find_spilled(self.spilled.as_deref()?, name, index)
    }

    /// Notes another well-known name for an entry.
    pub(super) fn rename(&mut self, index: usize, name: Option<HeaderName>) {
        match index.checked_sub(usize::from(self.inline_len)) {
            None => {
                if let Some(line) = self.inline.get_mut(index) {
                    line.known = name;
                }
            }
            Some(behind) => {
                let spilled = self.spilled.as_deref_mut();
                if let Some(entry) = spilled.and_then(|spilled| spilled.0.get_mut(behind)) {
                    entry.known = name;
                }
            }
        }
    }

    #[inline]
    fn entry(&self, index: usize) -> Option<Entry> {
        if let Some(behind) = index.checked_sub(usize::from(self.inline_len)) {
            return self.spilled.as_deref()?.0.get(behind).copied();
        }
        let Inline { end, name, known } = *self.inline.get(index)?;
        Some(Entry { end: u32::from(end), name: u32::from(name), known })
    }

    #[cold]
    fn spill(&mut self, entry: Entry) {
        self.spilled.get_or_insert_default().0.push(entry);
    }

    #[cold]
    fn find_spilled(&self, spilled: &Spilled, name: HeaderName, index: usize) -> Option<usize> {
        let inline = usize::from(self.inline_len);
        let from = index.saturating_sub(inline);
        let mut entries = spilled.0.get(from..)?.iter();
        entries.position(|entry| entry.known == Some(name)).map(|at| inline + from + at)
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

/// A line in the frame itself: where it ends, how many octets its name takes, and which it is.
#[derive(Clone, Copy, Debug, Default)]
struct Inline {
    end: u16,
    name: u8,
    known: Option<HeaderName>,
}

/// Any line.
#[derive(Clone, Copy, Debug)]
struct Entry {
    end: u32,
    name: u32,
    known: Option<HeaderName>,
}

/// The lines behind the inline ones, behind one pointer as most frames have none.
#[derive(Clone, Debug, Default)]
struct Spilled(Vec<Entry>);

fn trim(text: &[u8], padded: bool) -> &[u8] {
    if !padded {
        return text;
    }
    let is_text = |octet: &u8| !matches!(octet, b' ' | b'\t');
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text.iter().rposition(is_text).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head of lines of all lengths, with the lines as they are.
    fn table(lens: impl Iterator<Item = (usize, usize)>) -> (String, HeaderTable, Vec<String>) {
        let (mut head, mut lines) = ("SEND\n".to_owned(), Vec::new());
        let mut table = HeaderTable::default();
        table.start_at(head.len());
        for (name, value) in lens {
            let line = format!("{}:{}", "n".repeat(name), "v".repeat(value));
            table.push(name, head.len() + line.len(), HeaderName::parse("id"));
            head += &line;
            head += if value % 2 == 0 { "\n" } else { "\r\n" };
            lines.push(line);
        }
        (head, table, lines)
    }

    #[test]
    fn lines_of_any_number_and_length_are_found_again() {
        let few = table((0..10).map(|len| (len + 1, 3 * len)));
        let many = table((0..40).map(|len| (len + 1, len)));
        let long_name = table([(3, 3), (255, 3), (256, 3), (1, 1)].into_iter());
        let long_value = table([(3, 3), (3, 65_515), (1, 1), (3, 70_000), (2, 2)].into_iter());
        for (head, table, lines) in [few, many, long_name, long_value] {
            assert_eq!(table.len(), lines.len());
            let found: Vec<_> = table
                .lines(head.as_bytes())
                .map(|line| [line.name(head.as_bytes(), false), line.value(head.as_bytes(), false)])
                .map(|[name, value]| String::from_utf8([name, b":", value].concat()).unwrap())
                .collect();
            assert_eq!(found, lines);
            for index in 0..lines.len() {
                assert_eq!(table.find(HeaderName::Id, index), Some(index));
                assert_eq!(table.find(HeaderName::Ack, index), None);
            }
            assert_eq!(table.find(HeaderName::Id, lines.len()), None);
        }
    }

    #[test]
    fn an_entry_can_be_renamed() {
        let (_, mut table, _) = table((0..20).map(|_| (1, 1)));
        for index in [3, 18] {
            table.rename(index, Some(HeaderName::Ack));
            assert_eq!(table.find(HeaderName::Ack, 0), Some(index));
            table.rename(index, None);
            assert_eq!(table.find(HeaderName::Ack, 0), None);
        }
    }
}
