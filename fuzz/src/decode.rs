//! `decode`: any bytes, cut anywhere. The decoder has to find what a naive one finds, whatever the
//! chunks, and what it found has to survive being written.
//!
//! The first line of the input says how to read, a letter each (see [`Reading::parse`]); all behind
//! it is the stream.

#[path = "../../tests/frame/reference.rs"]
mod reference;
#[path = "../../tests/frame/representable.rs"]
mod representable;

use bytes::{Bytes, BytesMut};
use stompbox::frame::{
    DecodeError, Decoder, Frame, FrameRef, HeaderName, Leniency, Limits, Version,
};

use reference::{Rules, fault_name};
use representable::is_representable;

/// Octets of a command line that are waited for, and the one that is too many.
const COMMAND_LINE: usize = 17;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let reading = Reading::parse(input);
    let (frames, error) = reading.whole();
    let found = (frames.iter().map(reference::Frame::of).collect(), error.as_ref().map(fault_name));
    assert_eq!(found, reference::decode(reading.wire, reading.rules), "by {:?}", reading.rules);
    assert_eq!(reading.in_chunks(&[1]), (frames.clone(), error.clone()), "octet by octet");
    assert_eq!(reading.in_chunks(&reading.sizes), (frames.clone(), error.clone()), "in chunks");
    reading.check_borrowed(&frames, error.as_ref());
    for frame in &frames {
        check_rewritten(frame, reading.rules.version);
    }
    if frames.is_empty() && error.is_none() {
        reading.check_end_of_message();
    }
}

/// A stream, and how to read it.
struct Reading<'a> {
    rules: Rules,
    /// The sizes of the chunks, again and again; never empty.
    sizes: Vec<usize>,
    wire: &'a [u8],
}

impl<'a> Reading<'a> {
    /// | letter | meaning |
    /// | --- | --- |
    /// | `0` `1` `2` | STOMP 1.0, 1.1 or 1.2 (the default) |
    /// | `f` | everything is forgiven; by default nothing is |
    /// | `p` `b` `n` `c` `o` | forgiven: padding, a raw `\`, a missing NUL, CR LF, any body |
    /// | `l` | small limits |
    /// | `A` to `Z` | a chunk of 1 to 26 octets |
    fn parse(input: &'a [u8]) -> Self {
        let (line, wire) = match input.iter().position(|octet| *octet == b'\n') {
            Some(end) => (&input[..end], &input[end + 1..]),
            None => (input, &[][..]),
        };
        let (mut version, mut leniency) = (Version::V1_2, Leniency::strict());
        let (mut limits, mut sizes) = (Limits::default(), Vec::new());
        for letter in line {
            match letter {
                b'0' => version = Version::V1_0,
                b'1' => version = Version::V1_1,
                b'2' => version = Version::V1_2,
                b'f' => leniency = Leniency::field(),
                b'p' => leniency = leniency.with_padding(true),
                b'b' => leniency = leniency.with_raw_backslash(true),
                b'n' => leniency = leniency.with_missing_nul(true),
                b'c' => leniency = leniency.with_cr_lf(true),
                b'o' => leniency = leniency.with_any_body(true),
                b'l' => limits = Limits::default().with_head(48).with_headers(3).with_body(8),
                b'A'..=b'Z' => sizes.push(usize::from(letter - b'A') + 1),
                _ => {}
            }
        }
        if sizes.is_empty() {
            sizes.push(wire.len().div_ceil(2).max(1));
        }
        Self { rules: Rules { version, limits, leniency }, sizes, wire }
    }

    fn decoder(&self) -> Decoder {
        let mut decoder = Decoder::new(self.rules.limits, self.rules.leniency);
        decoder.set_version(self.rules.version);
        decoder
    }

    fn whole(&self) -> (Vec<Frame>, Option<DecodeError>) {
        let mut decoder = self.decoder();
        decoder.feed(Bytes::copy_from_slice(self.wire));
        let mut frames = Vec::new();
        let error = self.drain(&mut decoder, &mut frames);
        (frames, error)
    }

    /// Feeds the stream in chunks of these sizes, in both ways that there are, and does not always
    /// ask for frames in between.
    fn in_chunks(&self, sizes: &[usize]) -> (Vec<Frame>, Option<DecodeError>) {
        let mut decoder = self.decoder();
        let mut frames = Vec::new();
        let mut rest = self.wire;
        for (turn, size) in sizes.iter().cycle().enumerate() {
            if rest.is_empty() {
                break;
            }
            let (chunk, behind) = rest.split_at(rest.len().min(*size));
            rest = behind;
            match turn % 3 {
                0 => decoder.feed(Bytes::copy_from_slice(chunk)),
                _ => decoder.feed_slice(chunk),
            }
            if (turn % 4 != 3 || rest.is_empty())
                && let Some(error) = self.drain(&mut decoder, &mut frames)
            {
                return (frames, Some(error));
            }
        }
        (frames, None)
    }

    /// Takes all frames that there are.
    fn drain(&self, decoder: &mut Decoder, frames: &mut Vec<Frame>) -> Option<DecodeError> {
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => {
                    let limits = self.rules.limits;
                    let most = COMMAND_LINE.max(limits.head() + limits.body() + 1);
                    assert!(decoder.buffered() <= most, "{} held", decoder.buffered());
                    assert_eq!(decoder.is_mid_frame(), decoder.buffered() > 0);
                    return None;
                }
                Err(error) => {
                    assert!(error.offset() <= self.wire.len() as u64, "{error}");
                    decoder.feed(Bytes::from_static(b"\0\nSEND\n\n\0"));
                    assert_eq!(decoder.next_frame().as_ref(), Err(&error), "an error stays");
                    assert_eq!(decoder.buffered(), 0);
                    return Some(error);
                }
            }
        }
    }

    /// The borrowed frames are the owned ones.
    fn check_borrowed(&self, frames: &[Frame], error: Option<&DecodeError>) {
        let Rules { version, limits, leniency } = self.rules;
        let (mut frames, mut at) = (frames.iter(), 0);
        loop {
            match FrameRef::parse(&self.wire[at..], version, &limits, leniency) {
                Ok(Some((frame, consumed))) => {
                    assert_eq!(Some(&frame.to_frame()), frames.next());
                    at += consumed;
                }
                Ok(None) => break assert_eq!(error, None),
                Err(found) => {
                    let error = error.expect("an error too");
                    assert_eq!((found.fault(), found.line()), (error.fault(), error.line()));
                    break assert_eq!(found.offset() + at as u64, error.offset());
                }
            }
        }
        assert_eq!(frames.next(), None);
    }

    /// A first message that lacks its NUL is the frame that it would be with it, where that is
    /// forgiven; the NUL may still come.
    fn check_end_of_message(&self) {
        let mut decoder = self.decoder();
        decoder.feed_slice(self.wire);
        assert_eq!(decoder.next_frame(), Ok(None));
        let ended = decoder.end_of_message();
        let with_nul = [self.wire, b"\0"].concat();
        let expected = match reference::decode(&with_nul, self.rules) {
            (mut frames, None) if self.rules.leniency.missing_nul() => frames.pop(),
            _ => None,
        };
        assert_eq!(ended.as_ref().map(reference::Frame::of), expected);
        if ended.is_some() {
            decoder.feed_slice(b"\0\nSEND\na:b\n\n\0");
            let next = decoder.next_frame().expect("the NUL is late").expect("a frame");
            assert_eq!(next.header("a").as_deref(), Some("b"));
        }
    }
}

/// What was decoded can be written in every version, and then read by the letter.
fn check_rewritten(frame: &Frame, read_in: Version) {
    let _ = format!("{frame:?}");
    for version in Version::ALL {
        let mut wire = BytesMut::new();
        let omitted = frame.encode_into(version, &mut wire);
        assert_eq!(wire.len(), frame.encoded_len(version), "the length is known beforehand");
        // Read in a version of its own, and with a body where it was forgiven.
        let leniency = Leniency::strict().with_any_body(true);
        let limits = Limits::default().with_head(1 << 20).with_headers(usize::MAX);
        let (read, consumed) = FrameRef::parse(&wire, version, &limits, leniency)
            .unwrap_or_else(|error| panic!("{frame:?} of {read_in} in {version}: {error}"))
            .expect("a whole frame");
        assert_eq!(consumed, wire.len());
        let content = |(name, _): &(String, String)| *name != HeaderName::ContentLength.as_str();
        let (kept, left_out): (Vec<_>, Vec<_>) = reference::Frame::of(frame)
            .headers
            .into_iter()
            .filter(content)
            .partition(|(name, value)| is_representable(version, frame.command(), name, value));
        let mut written = reference::Frame::of(&read.to_frame());
        written.headers.retain(content);
        assert_eq!(written, reference::Frame { headers: kept, ..as_written(frame) });
        assert_eq!(omitted, left_out.len());
    }
}

fn as_written(frame: &Frame) -> reference::Frame {
    reference::Frame { headers: Vec::new(), ..reference::Frame::of(frame) }
}
