use std::collections::VecDeque;

use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::*;

const LIMIT: usize = 1 << 20;

/// A client's side: what each read gives, and what was written.
#[derive(Default)]
struct Socket {
    reads: VecDeque<Vec<u8>>,
    asked: usize,
    written: Vec<u8>,
}

impl Socket {
    fn new(reads: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { reads: reads.into_iter().collect(), ..Self::default() }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.asked += 1;
        let Some(read) = self.reads.front_mut() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let taken = read.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&read[..taken]);
        read.drain(..taken);
        if read.is_empty() {
            self.reads.pop_front();
        }
        Ok(taken)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mask = Some([1, 2, 3, 4]);
    let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
    let mut bytes = Vec::new();
    Frame::from_payload(header, payload.to_vec().into()).format(&mut bytes).unwrap();
    bytes
}

fn text(payload: &[u8]) -> Vec<u8> {
    frame(OpCode::Data(Data::Text), true, payload)
}

fn ping(payload: &[u8]) -> Vec<u8> {
    frame(OpCode::Control(Control::Ping), true, payload)
}

/// A bit of everything, with lengths of each form, and what is to be read of it.
fn conversation() -> (Vec<u8>, Vec<Incoming>) {
    let long = vec![b'x'; 300];
    let longer = vec![b'y'; 70_000];
    let bytes = [
        text(b"one"),
        text(b""),
        frame(OpCode::Data(Data::Text), false, b"t"),
        ping(b"?"),
        frame(OpCode::Data(Data::Continue), false, b"w"),
        frame(OpCode::Data(Data::Continue), true, b"o"),
        frame(OpCode::Control(Control::Pong), true, b""),
        frame(OpCode::Data(Data::Binary), true, &long),
        text(&longer),
        ping(b"end"),
    ];
    let read = vec![
        Incoming::Text("one".into()),
        Incoming::Text("".into()),
        Incoming::Control,
        Incoming::Text("two".into()),
        Incoming::Control,
        Incoming::Binary(long.into()),
        Incoming::Text(longer.into()),
        Incoming::Control,
    ];
    (bytes.concat(), read)
}

/// Reads until there is no more at present.
fn read_all(reader: &mut Reader, socket: &mut Socket) -> Vec<Incoming> {
    let mut all = Vec::new();
    while let Some(incoming) = reader.read(socket).unwrap() {
        all.push(incoming);
    }
    all
}

#[track_caller]
fn assert_holds_nothing(reader: &Reader) {
    assert!(reader.context.is_none());
    assert!(reader.position.holds_nothing());
}

#[test]
fn messages_are_the_same_however_the_stream_is_cut() {
    let (bytes, expected) = conversation();
    for size in [1, 2, 3, 5, 7, 13, 14, 15, 100, 4_096, 20_000, bytes.len()] {
        let mut reader = Reader::new(LIMIT, Vec::new());
        let mut socket = Socket::new(bytes.chunks(size).map(<[u8]>::to_vec));
        assert_eq!(read_all(&mut reader, &mut socket), expected, "in pieces of {size}");
        assert_eq!(socket.written, b"\x8A\x01?\x8A\x03end");
        assert_holds_nothing(&reader);
    }
}

#[test]
fn a_stream_that_pauses_anywhere_is_gone_on_with() {
    let (bytes, expected) = conversation();
    let bytes = &bytes[..500];
    for cut in 1..bytes.len() {
        let mut reader = Reader::new(LIMIT, Vec::new());
        let (first, second) = bytes.split_at(cut);
        let mut socket = Socket::new([first.to_vec()]);
        let mut read = read_all(&mut reader, &mut socket);
        // Another reader of this thread has its turn meanwhile.
        let mut other = Reader::new(LIMIT, Vec::new());
        let others = read_all(&mut other, &mut Socket::new([text(b"other")]));
        assert_eq!(others, [Incoming::Text("other".into())]);
        socket.reads.push_back(second.to_vec());
        read.extend(read_all(&mut reader, &mut socket));
        assert_eq!(read, expected[..6], "paused behind {cut} bytes");
    }
}

#[test]
fn what_one_read_brought_is_read_to_its_end_before_the_stream_is_asked_again() {
    let mut reader = Reader::new(LIMIT, text(b"already"));
    let mut socket = Socket::new([[text(b"a"), text(b"b"), text(b"c")].concat()]);
    assert_eq!(reader.read(&mut socket).unwrap(), Some(Incoming::Text("already".into())));
    assert_eq!(socket.asked, 0);
    for expected in ["a", "b", "c"] {
        assert_eq!(reader.read(&mut socket).unwrap(), Some(Incoming::Text(expected.into())));
        assert_eq!(socket.asked, 1);
    }
    assert_holds_nothing(&reader);
    assert_eq!(reader.read(&mut socket).unwrap(), None);
    assert_holds_nothing(&reader);
}

#[test]
fn a_reader_that_pauses_keeps_no_more_room_than_it_needs() {
    let last = text(b"last");
    let mut reader = Reader::new(LIMIT, Vec::new());
    let mut socket = Socket::new([[text(&[b'x'; 9_000]), last.clone()].concat()]);
    assert!(reader.read(&mut socket).unwrap().is_some());
    assert_eq!(reader.position.unread.room(), Reader::BUFFER);
    reader.pause();
    assert_eq!(reader.position.unread.room(), last.len());
    // Another one reads to the buffer of the thread meanwhile.
    let others = read_all(
        &mut Reader::new(LIMIT, Vec::new()),
        &mut Socket::new([text(b"a"), text(&[b'b'; 9_000])]),
    );
    assert_eq!(others.len(), 2);
    assert_eq!(read_all(&mut reader, &mut socket), [Incoming::Text("last".into())]);
    assert_holds_nothing(&reader);
}

#[test]
fn the_beginning_of_a_head_takes_no_more_room_than_it_has() {
    let (first, second) = (text(b"first"), text(b"second"));
    let mut reader = Reader::new(LIMIT, Vec::new());
    let mut socket = Socket::new([[&first, &second[..3]].concat()]);
    assert_eq!(read_all(&mut reader, &mut socket), [Incoming::Text("first".into())]);
    assert!(reader.position.unread.room() <= 3);
    socket.reads.push_back(second[3..].to_vec());
    assert_eq!(read_all(&mut reader, &mut socket), [Incoming::Text("second".into())]);
    assert_holds_nothing(&reader);
}

#[test]
fn a_limit_holds_though_the_last_reader_had_another() {
    let mut generous = Reader::new(LIMIT, Vec::new());
    read_all(&mut generous, &mut Socket::new([text(&[b'x'; 100])]));
    let mut strict = Reader::new(99, Vec::new());
    let error = strict.read(&mut Socket::new([text(&[b'x'; 100])])).unwrap_err();
    assert!(matches!(error, ReadError::TooBig { size: 100, limit: 99 }), "{error}");
    let mut raised = Reader::new(99, Vec::new());
    raised.set_limit(100);
    assert_eq!(read_all(&mut raised, &mut Socket::new([text(&[b'x'; 100])])).len(), 1);
}

#[test]
fn nothing_is_read_after_a_close_and_nobody_else_is_closed_by_it() {
    let close = frame(OpCode::Control(Control::Close), true, b"\x03\xE8");
    let mut reader = Reader::new(LIMIT, Vec::new());
    let mut socket = Socket::new([[close, text(b"late")].concat()]);
    assert_eq!(reader.read(&mut socket).unwrap(), Some(Incoming::Close));
    assert_eq!(socket.written, b"\x88\x02\x03\xE8");
    for _ in 0..2 {
        assert!(matches!(reader.read(&mut socket), Err(ReadError::Closed)));
    }
    assert_eq!(socket.asked, 1);
    let mut other = Reader::new(LIMIT, Vec::new());
    assert_eq!(read_all(&mut other, &mut Socket::new([text(b"x")])).len(), 1);
}

#[test]
fn the_end_of_the_stream_is_the_end_wherever_it_comes() {
    let message = text(b"hello");
    for cut in 0..message.len() {
        let mut reader = Reader::new(LIMIT, Vec::new());
        let mut socket = Socket::new([message[..cut].to_vec(), Vec::new()]);
        assert!(matches!(reader.read(&mut socket), Err(ReadError::Closed)), "behind {cut}");
    }
}

#[test]
fn what_breaks_the_protocol_is_told_apart() {
    let unmasked = b"\x81\x01x".to_vec();
    let reserved = frame(OpCode::Data(Data::Text), true, b"x");
    let reserved = [&[reserved[0] | 0x70][..], &reserved[1..]].concat();
    let unknown = [&[0x83][..], &text(b"x")[1..]].concat();
    for bytes in [unmasked, reserved, unknown] {
        let error = Reader::new(LIMIT, Vec::new()).read(&mut Socket::new([bytes])).unwrap_err();
        assert_eq!(error.close_code(), Some(CloseCode::Protocol), "{error}");
    }
    let error = Reader::new(LIMIT, Vec::new()).read(&mut Socket::new([text(b"\xFF")]));
    assert!(matches!(error, Err(ReadError::Utf8)));
}
