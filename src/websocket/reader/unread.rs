use std::cell::Cell;
use std::io::{self, Read};

use super::Reader;

thread_local! {
    /// Where the readers of this thread read to, while none of them does.
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// What was read of a socket and not yet looked at.
///
/// It lies in the buffer of the thread, which is given back when all of it was looked at. A reader
/// that is not about to look at the rest moves it to where it takes no more room than it has
/// ([`shrink`](Self::shrink)).
#[derive(Debug, Default)]
pub(super) struct Unread {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Unread {
    /// Nothing but these bytes, which were read already.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { start: 0, end: bytes.len(), buffer: bytes.into() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes there is room for, those that were looked at included.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.buffer.len()
    }

    /// Reads more behind what there is, which is nothing or the beginning of a head. False at the
    /// end of the stream.
    pub(super) fn fill(&mut self, stream: &mut impl Read) -> io::Result<bool> {
        if self.buffer.len() == Reader::BUFFER {
            self.buffer.copy_within(self.start..self.end, 0);
        } else {
            let mut lent = BUFFER.take().unwrap_or_else(|| vec![0; Reader::BUFFER].into());
            let bytes = self.bytes();
            if let Some(front) = lent.get_mut(..bytes.len()) {
                front.copy_from_slice(bytes);
            }
            self.buffer = lent;
        }
        (self.start, self.end) = (0, self.end - self.start);
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = stream.read(room);
        self.end += read.as_ref().copied().unwrap_or_default();
        if self.is_empty() {
            self.give_back();
        }
        read.map(|read| read > 0)
    }

    /// The first so many bytes were looked at.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        if self.is_empty() {
            self.give_back();
        }
    }

    /// Moves what is left to a buffer of its own size.
    pub(super) fn shrink(&mut self) {
        if self.buffer.len() > self.end - self.start {
            let own = Self::new(self.bytes().to_vec());
            self.give_back();
            *self = own;
        }
    }

    fn give_back(&mut self) {
        (self.start, self.end) = (0, 0);
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.len() == Reader::BUFFER {
            BUFFER.set(Some(buffer));
        }
    }
}
