//! The incremental decoder.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::layout::Layout;
use super::parse::{self, visits};
use super::rules::Rules;
use super::scan::{Progress, Scan};
use super::{DecodeError, Frame, Leniency, Limits, Version};

/// By how much a frame's buffer grows that is spread over several chunks.
const GROWTH: usize = 4;

/// Turns a stream of bytes, cut anywhere, into frames.
///
/// Bytes go in with [`feed`](Self::feed), and [`next_frame`](Self::next_frame) is called until it
/// returns `None`:
///
/// ```
/// use stompbox::frame::{Command, Decoder, Leniency, Limits};
///
/// let mut decoder = Decoder::new(Limits::default(), Leniency::strict());
/// let mut commands = Vec::new();
/// for chunk in ["SEND\ndesti", "nation:/topic/a\n\nhello\0\n\nDISCONNECT\n", "\n\0\n"] {
///     decoder.feed_slice(chunk.as_bytes());
///     while let Some(frame) = decoder.next_frame()? {
///         commands.push(frame.command());
///     }
/// }
/// assert_eq!(commands, [Command::Send, Command::Disconnect]);
/// # Ok::<(), stompbox::frame::DecodeError>(())
/// ```
///
/// It remembers where it stopped: each byte is visited a constant number of times, whatever the
/// chunks. A frame that lies in one chunk shares the chunk's bytes; only a frame that is spread
/// over several is copied together. Between frames the decoder holds no memory.
///
/// Ends of line between frames (heart-beats) are skipped.
pub struct Decoder {
    /// What was fed and not yet looked at, nor is part of `partial`.
    input: Bytes,
    /// What was fed while `input` was not used up.
    backlog: BytesMut,
    partial: Option<Box<Partial>>,
    failure: Option<DecodeError>,
    /// Where the frame in `partial`, or else `input`, begins in the stream.
    offset: u64,
    rules: Rules,
    nul: Nul,
}

/// What is known about the NULs of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nul {
    /// No frame has ended yet.
    Unknown,
    /// A frame ended with its NUL: they do arrive.
    Arrives,
    /// A frame was just ended without its NUL. Should it only be late, it comes next.
    Late,
}

/// A frame whose end has not come.
struct Partial {
    scan: Scan,
    layout: Layout,
    /// The frame so far.
    bytes: BytesMut,
}

impl Decoder {
    /// A decoder at the start of a stream. Until [`set_version`](Self::set_version) it goes by the
    /// rules of STOMP 1.2; the frames that settle the version are never escaped anyway.
    pub fn new(limits: Limits, leniency: Leniency) -> Self {
        Self {
            input: Bytes::new(),
            backlog: BytesMut::new(),
            partial: None,
            failure: None,
            offset: 0,
            rules: Rules { version: Version::V1_2, limits, leniency },
            nul: Nul::Unknown,
        }
    }

    /// Sets the version by whose rules the frames that [`next_frame`](Self::next_frame) has not yet
    /// returned are read. Call it between two frames.
    pub fn set_version(&mut self, version: Version) {
        self.rules.version = version;
    }

    /// Sets the limits of the frames that [`next_frame`](Self::next_frame) has not yet returned. Call
    /// it between two frames.
    pub fn set_limits(&mut self, limits: Limits) {
        self.rules.limits = limits;
    }

    /// Adds bytes of the stream, without a copy if all that was fed before is decoded.
    ///
    /// The bytes are held as they are, whatever the limits, until
    /// [`next_frame`](Self::next_frame) has looked at them. After an error they are ignored.
    pub fn feed(&mut self, chunk: Bytes) {
        // An empty chunk would keep its buffer, too.
        if self.failure.is_some() || chunk.is_empty() {
            return;
        }
        if self.input.is_empty() {
            self.input = chunk;
        } else {
            visits::count(chunk.len());
            self.backlog.extend_from_slice(&chunk);
        }
    }

    /// Adds bytes of the stream by copying them; otherwise as [`feed`](Self::feed).
    pub fn feed_slice(&mut self, mut chunk: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        // Straight to where they belong, so that they are copied once.
        if self.input.is_empty()
            && let Some(partial) = &mut self.partial
            && partial.scan.has_seen(partial.bytes.len())
        {
            let claimed = partial.take(chunk, &self.rules);
            chunk = chunk.get(claimed..).unwrap_or_default();
        }
        if !chunk.is_empty() {
            visits::count(chunk.len());
            self.feed(Bytes::copy_from_slice(chunk));
        }
    }

    /// The next complete frame; `None` if more bytes are needed.
    ///
    /// Reads exactly one frame, so that a version set after it applies to the next. After an error
    /// the rest of the stream means nothing: the same error is returned again.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.waits() {
            return Ok(None);
        }
        // Filled in where it lies, and moved once: that costs as much as reading a line.
        let mut layout = Layout::default();
        match self.decode(&mut layout) {
            Ok(Some(bytes)) => Ok(Some(Frame::from_parts(bytes, layout))),
            Ok(None) => Ok(None),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Says that a text WebSocket message ends here, after [`next_frame`](Self::next_frame) has
    /// returned `None`. With [`Leniency::missing_nul`], returns the frame that lacks only its NUL.
    ///
    /// STOMP frames may also be split over WebSocket messages, which looks the same. So a frame is
    /// ended only as long as no NUL has come from this peer: whoever cuts its messages at NUL has
    /// cut its CONNECT too.
    ///
    /// ```
    /// use stompbox::frame::{Command, Decoder, Leniency, Limits};
    ///
    /// let leniency = Leniency::strict().with_missing_nul(true);
    /// let mut decoder = Decoder::new(Limits::default(), leniency);
    /// decoder.feed_slice(b"CONNECT\naccept-version:1.2\n\n");
    /// assert_eq!(decoder.next_frame()?, None);
    /// let connect = decoder.end_of_message().expect("only the NUL is missing");
    /// assert_eq!(connect.command(), Command::Connect);
    /// # Ok::<(), stompbox::frame::DecodeError>(())
    /// ```
    pub fn end_of_message(&mut self) -> Option<Frame> {
        if !self.rules.leniency.missing_nul() || self.nul == Nul::Arrives || !self.input.is_empty()
        {
            return None;
        }
        let partial = self.partial.as_mut()?;
        let held = partial.bytes.len();
        if !partial.scan.has_seen(held) || !partial.scan.end_without_nul(&mut partial.layout, held)
        {
            return None;
        }
        let Partial { layout, bytes, .. } = *self.partial.take()?;
        self.nul = Nul::Late;
        self.offset += held as u64;
        Some(Frame::from_parts(bytes.freeze(), layout))
    }

    /// How many bytes are held: of an incomplete frame, and those not yet looked at.
    pub fn buffered(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, |partial| partial.bytes.len());
        partial + self.input.len() + self.backlog.len()
    }

    /// Whether a frame has begun whose end has not come, once [`next_frame`](Self::next_frame) has
    /// returned `None`.
    pub fn is_mid_frame(&self) -> bool {
        self.partial.is_some()
    }

    /// Whether all that was fed has been looked at: no frame has begun, or one that goes on.
    fn waits(&self) -> bool {
        let waits = |partial: &Partial| {
            partial.scan.waits(&partial.layout, partial.bytes.len(), &self.rules)
        };
        self.input.is_empty() && self.partial.as_deref().is_none_or(waits)
    }

    /// Reads the next frame: notes in `layout` what is in it, and returns its bytes. `None` if more
    /// bytes are needed.
    fn decode(&mut self, layout: &mut Layout) -> Result<Option<Bytes>, DecodeError> {
        loop {
            let frame =
                if self.partial.is_some() { self.resume(layout)? } else { self.begin(layout)? };
            if self.input.is_empty() && !self.backlog.is_empty() {
                self.input = std::mem::take(&mut self.backlog).freeze();
            }
            if frame.is_some() || self.input.is_empty() {
                return Ok(frame);
            }
        }
    }

    /// Reads a frame that begins in `input`. With `None`, some of it was consumed.
    fn begin(&mut self, layout: &mut Layout) -> Result<Option<Bytes>, DecodeError> {
        self.skip_to_frame();
        if self.input.is_empty() {
            return Ok(None);
        }
        let mut scan = Scan::new();
        let progress = scan.advance(layout, &self.input, &self.rules);
        match progress.map_err(|error| error.in_stream(self.offset))? {
            Progress::Complete(len) => {
                self.nul = Nul::Arrives;
                self.offset += len as u64;
                return Ok(Some(self.input.split_to(len)));
            }
            Progress::EndOfLine(len) => self.skip(len),
            Progress::Incomplete => {
                visits::count(self.input.len());
                let bytes = BytesMut::from(&self.input[..]);
                let layout = std::mem::take(layout);
                self.partial = Some(Box::new(Partial { scan, layout, bytes }));
                self.input = Bytes::new();
            }
        }
        Ok(None)
    }

    /// Goes on with the frame in `partial`. With `None`, it is gone or `input` is used up.
    fn resume(&mut self, layout: &mut Layout) -> Result<Option<Bytes>, DecodeError> {
        let Some(partial) = &mut self.partial else {
            return Ok(None);
        };
        loop {
            let progress = partial.scan.advance(&mut partial.layout, &partial.bytes, &self.rules);
            match progress.map_err(|error| error.in_stream(self.offset))? {
                Progress::Complete(len) => {
                    self.nul = Nul::Arrives;
                    self.offset += len as u64;
                    let bytes = std::mem::take(&mut partial.bytes).freeze();
                    *layout = std::mem::take(&mut partial.layout);
                    self.partial = None;
                    return Ok(Some(bytes));
                }
                Progress::EndOfLine(len) => {
                    self.offset += len as u64;
                    self.partial = None;
                    return Ok(None);
                }
                Progress::Incomplete if self.input.is_empty() => return Ok(None),
                Progress::Incomplete => {
                    let claimed = partial.take(&self.input, &self.rules);
                    consume(&mut self.input, claimed);
                }
            }
        }
    }

    /// Skips what may stand between two frames.
    fn skip_to_frame(&mut self) {
        if self.nul == Nul::Late && !self.input.is_empty() {
            let late = self.input.first() == Some(&0);
            self.nul = if late { Nul::Arrives } else { Nul::Unknown };
            self.skip(usize::from(late));
        }
        let ends_of_line = parse::ends_of_line(&self.input, self.rules.cr_lf());
        self.skip(ends_of_line);
    }

    fn skip(&mut self, len: usize) {
        self.offset += len as u64;
        consume(&mut self.input, len);
    }

    #[cold]
    fn fail(&mut self, error: DecodeError) -> DecodeError {
        self.failure = Some(error.clone());
        self.partial = None;
        self.input = Bytes::new();
        self.backlog = BytesMut::new();
        error
    }
}

/// Without the bytes, which may hold secrets.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("rules", &self.rules)
            .field("buffered", &self.buffered())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl Partial {
    /// Takes from the front of `chunk` what the scan has a use for; returns how many octets.
    fn take(&mut self, chunk: &[u8], rules: &Rules) -> usize {
        let claimed = self.scan.claim(&self.layout, self.bytes.len(), chunk, &rules.limits);
        visits::count(claimed);
        self.make_room(claimed, rules);
        self.bytes.extend_from_slice(chunk.get(..claimed).unwrap_or_default());
        claimed
    }

    /// Makes room for `more` octets and, where the bytes have to move for it, for as many as may
    /// still come at this rate. Room that is not used is no memory yet, but each move is a copy.
    fn make_room(&mut self, more: usize, rules: &Rules) {
        let held = self.bytes.len();
        if self.bytes.capacity() - held < more {
            let reach = self.scan.reach(&self.layout, &rules.limits);
            let room = reach.min(GROWTH * held).max(held + more);
            self.bytes.reserve(room - held);
        }
    }
}

/// Removes `len` octets from the front of `input`, and lets go of its buffer at the end.
fn consume(input: &mut Bytes, len: usize) {
    if len == input.len() {
        *input = Bytes::new();
    } else {
        input.advance(len);
    }
}

#[cfg(test)]
mod tests;
