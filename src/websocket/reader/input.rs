use std::io::{self, Cursor, Read, Write};

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;

use super::unread::Unread;
use super::whole::WholeMessage;
use super::{Incoming, ReadError};

/// How far a reader has come in what it reads.
#[derive(Debug, Default)]
pub(super) struct Position {
    pub(super) unread: Unread,
    /// How many bytes of the frame that has begun were not looked at, those of its head included.
    left: u64,
    /// Whether a message has begun whose last frame has not.
    fragmented: bool,
    /// The longest frame since [`take_longest`](Self::take_longest), in bytes.
    longest: u64,
}

/// A stream that is cut at the ends of frames, so that what is behind one is not taken along with
/// it.
pub(super) struct Input<'a, S> {
    position: &'a mut Position,
    stream: &'a mut S,
}

impl Position {
    /// At the beginning of these bytes, which were read already.
    pub(super) fn before(already_read: Vec<u8>) -> Self {
        Self { unread: Unread::new(already_read), ..Self::default() }
    }

    /// Whether no message has begun whose end has not come.
    pub(super) fn is_between_messages(&self) -> bool {
        self.left == 0 && !self.fragmented
    }

    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.is_between_messages() && self.unread.room() == 0
    }

    /// The length of the longest frame that began since this was last asked, in bytes.
    pub(super) fn take_longest(&mut self) -> u64 {
        std::mem::take(&mut self.longest)
    }
}

impl<'a, S: Read> Input<'a, S> {
    pub(super) fn new(position: &'a mut Position, stream: &'a mut S) -> Self {
        Self { position, stream }
    }

    /// Reads the stream, unless something is left of what it gave before. False at the end of the
    /// stream.
    pub(super) fn fill_if_empty(&mut self) -> io::Result<bool> {
        Ok(!self.position.unread.is_empty() || self.fill()?)
    }

    /// Takes the message that comes next, if it has one frame and all of it was read. `None` leaves
    /// it to tungstenite, as well as what is longer than `limit`.
    pub(super) fn take_whole_message(
        &mut self,
        limit: usize,
    ) -> Option<Result<Incoming, ReadError>> {
        if !self.position.is_between_messages() {
            return None;
        }
        let message = WholeMessage::at_start_of(self.position.unread.bytes())?;
        if message.payload_len() > limit {
            return None;
        }
        let (payload, is_text, length) = (message.payload(), message.is_text, message.len);
        self.position.unread.skip(length);
        Some(match is_text {
            true if !payload.is_ascii() && std::str::from_utf8(&payload).is_err() => {
                Err(ReadError::Utf8)
            }
            true => Ok(Incoming::Text(payload.into())),
            false => Ok(Incoming::Binary(payload.into())),
        })
    }

    /// Learns how long the frame is that begins. False at the end of the stream.
    fn begin_frame(&mut self) -> io::Result<bool> {
        loop {
            let mut head = Cursor::new(self.position.unread.bytes());
            let parsed = FrameHeader::parse(&mut head);
            let head = head.position();
            self.position.left = match parsed {
                Ok(Some((header, payload))) => {
                    if let OpCode::Data(_) = header.opcode {
                        self.position.fragmented = !header.is_final;
                    }
                    head.saturating_add(payload)
                }
                Ok(None) if self.fill()? => continue,
                Ok(None) => return Ok(false),
                // tungstenite parses it again, and says what is wrong.
                Err(_) => self.position.unread.bytes().len() as u64,
            };
            self.position.longest = self.position.longest.max(self.position.left);
            return Ok(true);
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.position.unread.fill(self.stream)
    }
}

impl<S: Read> Read for Input<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position.left == 0 && !self.begin_frame()? {
            return Ok(0);
        }
        if !self.fill_if_empty()? {
            return Ok(0);
        }
        let most = usize::try_from(self.position.left).unwrap_or(usize::MAX);
        let available = self.position.unread.bytes();
        let taken = available.len().min(most).min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..taken), available.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.position.left -= taken as u64;
        self.position.unread.skip(taken);
        Ok(taken)
    }
}

impl<S: Write> Write for Input<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
