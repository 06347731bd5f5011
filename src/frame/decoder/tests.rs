use super::*;
use crate::frame::{Command, DecodeErrorKind, Fault};

/// No octet is looked at more often: searched for the end of its line, for a colon, and again where
/// a delimiter was claimed; checked with its head; copied when fed, and into its frame, and when the
/// chunk before it was not used up.
const VISITS: usize = 8;

fn decoder() -> Decoder {
    Decoder::new(Limits::default(), Leniency::strict())
}

/// Feeds `wire` in chunks, and counts the visits to its octets.
fn visits_in_chunks(wire: &[u8], chunk: usize, feed: fn(&mut Decoder, &[u8])) -> usize {
    let mut decoder = decoder();
    let mut frames = 0;
    visits::take();
    for chunk in wire.chunks(chunk) {
        feed(&mut decoder, chunk);
        while let Some(frame) = decoder.next_frame().expect("no error") {
            assert_eq!(frame.command(), Command::Send);
            frames += 1;
        }
    }
    assert_eq!(frames, 1);
    assert_eq!(decoder.buffered(), 0);
    visits::take()
}

#[test]
fn each_octet_is_visited_a_constant_number_of_times() {
    let long_line = format!("SEND\na:{}\n\n\0", "x".repeat(16_000));
    let many_lines = format!("SEND\n{}\n\0", "name:value\n".repeat(128));
    let open_body = format!("SEND\n\n{}\0", "x".repeat(1 << 16));
    let sized_body = format!("SEND\ncontent-length:65536\n\n{}\0", "\0".repeat(1 << 16));
    let ends_of_line = format!("{}SEND\n\n\0", "\n".repeat(16_000));
    for wire in [long_line, many_lines, open_body, sized_body, ends_of_line] {
        for chunk in [1, 2, 1024, 1500, usize::MAX] {
            for feed in [Decoder::feed_slice as fn(&mut Decoder, &[u8]), |decoder, chunk| {
                decoder.feed(Bytes::copy_from_slice(chunk));
            }] {
                let visits = visits_in_chunks(wire.as_bytes(), chunk, feed);
                let most = VISITS * wire.len();
                assert!(visits <= most, "{visits} of {most}, {chunk}: {:?}", &wire[..20]);
            }
        }
    }
}

#[test]
fn a_large_body_in_small_chunks_is_visited_a_constant_number_of_times() {
    let wire = format!("SEND\n\n{}\0", "x".repeat(1 << 20));
    let visits = visits_in_chunks(wire.as_bytes(), 1024, Decoder::feed_slice);
    assert!(visits <= 3 * wire.len(), "searched, copied, and little else: {visits}");
}

#[test]
fn octets_fed_without_reading_are_visited_a_constant_number_of_times() {
    let wire = format!("SEND\na:{}\n\n\0", "x".repeat(16_000));
    let mut decoder = decoder();
    visits::take();
    for octet in wire.as_bytes() {
        decoder.feed_slice(&[*octet]);
    }
    assert!(decoder.next_frame().expect("no error").is_some());
    assert!(visits::take() <= VISITS * wire.len());
}

#[test]
fn an_idle_decoder_is_small_and_holds_nothing() {
    assert!(size_of::<Decoder>() <= 160, "{}", size_of::<Decoder>());
    let chunk = Bytes::from(b"SEND\n\nhello\0\n\n".to_vec());
    let mut decoder = decoder();
    decoder.feed(chunk.clone());
    assert!(decoder.next_frame().expect("no error").is_some());
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!(decoder.buffered(), 0);
    assert!(!decoder.is_mid_frame());
    assert!(chunk.is_unique(), "the decoder still holds the chunk");
    assert_eq!(decoder.backlog.capacity(), 0);
}

#[test]
fn an_empty_chunk_is_not_kept() {
    let chunk = BytesMut::with_capacity(64).freeze();
    let mut decoder = decoder();
    decoder.feed(chunk.clone());
    assert!(chunk.is_unique(), "the decoder holds its buffer");
}

#[test]
fn a_frame_in_one_chunk_shares_it() {
    let chunk = Bytes::from(b"SEND\n\nhello\0SEND\n\nworld\0".to_vec());
    let mut decoder = decoder();
    decoder.feed(chunk.clone());
    let first = decoder.next_frame().expect("no error").expect("a frame");
    assert!(chunk.as_ptr_range().contains(&first.body().as_ptr()));
    assert!(chunk.as_ptr_range().contains(&first.body_bytes().as_ptr()));
    drop(decoder);
    let compact = first.compact();
    assert!(chunk.is_unique());
    assert_eq!(compact.body(), b"hello");
}

#[test]
fn nothing_is_kept_of_what_exceeds_a_limit() {
    let limits = Limits::default().with_head(100).with_headers(3).with_body(10);
    let head_too_long = format!("SEND\na:{}", "x".repeat(1 << 20));
    let endless_body = format!("SEND\n\n{}", "x".repeat(1 << 20));
    for (wire, fault) in [
        (&head_too_long[..], Fault::HeadTooLong { limit: 100 }),
        ("SEND\na:\nb:\nc:\nd:\n\n\0", Fault::TooManyHeaders { limit: 3 }),
        ("SEND\ncontent-length:11\n\n", Fault::BodyTooLong { limit: 10 }),
        ("SEND\ncontent-length:18446744073709551615\n\n", Fault::BodyTooLong { limit: 10 }),
        ("SEND\ncontent-length:99999999999999999999\n\n", Fault::BodyTooLong { limit: 10 }),
        (&endless_body[..], Fault::BodyTooLong { limit: 10 }),
    ] {
        for cut in 0..14 {
            let mut decoder = Decoder::new(limits, Leniency::strict());
            decoder.feed_slice(&wire.as_bytes()[..cut]);
            assert_eq!(decoder.next_frame(), Ok(None));
            decoder.feed_slice(&wire.as_bytes()[cut..]);
            assert!(decoder.partial.as_ref().is_none_or(|partial| partial.bytes.capacity() <= 200));
            let error = decoder.next_frame().expect_err("over the limit");
            assert_eq!((error.kind(), error.fault()), (DecodeErrorKind::OverLimit, &fault));
            assert_eq!(decoder.next_frame(), Err(error), "it is fused");
            assert_eq!(decoder.buffered(), 0);
        }
    }
}

#[test]
fn a_body_where_there_must_be_none_is_refused_at_its_first_octet() {
    let wire = b"COMMIT\ntransaction:1\n\nx";
    for chunk in 1..=wire.len() {
        let mut decoder = decoder();
        let (head, body) = wire.split_at(wire.len() - 1);
        for chunk in head.chunks(chunk) {
            decoder.feed_slice(chunk);
            assert_eq!(decoder.next_frame(), Ok(None));
        }
        decoder.feed_slice(body);
        let error = decoder.next_frame().expect_err("a body");
        assert_eq!(*error.fault(), Fault::UnexpectedBody { command: Command::Commit });
    }
}

#[test]
fn what_just_fits_the_limits_is_accepted() {
    let limits = Limits::default().with_head(15).with_headers(2).with_body(3);
    for wire in [&b"SEND\nab:1\nc:2\n\n123\0"[..], b"SEND\n\n123\0", b"SEND\nabc:456\n\r\n\0"] {
        for chunk in 1..=wire.len() {
            let mut decoder = Decoder::new(limits, Leniency::strict());
            let mut frames = 0;
            for chunk in wire.chunks(chunk) {
                decoder.feed_slice(chunk);
                frames += usize::from(decoder.next_frame().expect("no error").is_some());
            }
            assert_eq!(frames, 1, "{:?} in {chunk}", wire.escape_ascii().to_string());
        }
    }
}

#[test]
fn one_octet_over_a_limit_is_refused() {
    let limits = Limits::default().with_head(15).with_headers(2).with_body(3);
    for (wire, offset) in [
        (&b"SEND\nab:1\nc:23\n\n\0"[..], 15),
        (b"SEND\n\n1234\0", 9),
        (b"SEND\ncontent:456\n", 15),
        (b"SEND\na:\nb:\nc:\n", 11),
    ] {
        for chunk in 1..=wire.len() {
            let mut decoder = Decoder::new(limits, Leniency::strict());
            let error = wire.chunks(chunk).find_map(|chunk| {
                decoder.feed_slice(chunk);
                decoder.next_frame().err()
            });
            let error = error.expect("over the limit");
            assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::OverLimit, offset));
        }
    }
}

#[test]
fn a_version_applies_from_the_next_frame() {
    let mut decoder = decoder();
    decoder.feed_slice(b"SEND\na:\\n\n\n\0SEND\na:\\n\n\n\0");
    let first = decoder.next_frame().expect("no error").expect("a frame");
    decoder.set_version(Version::V1_0);
    let second = decoder.next_frame().expect("no error").expect("a frame");
    assert_eq!(first.header("a").as_deref(), Some("\n"));
    assert_eq!(second.header("a").as_deref(), Some("\\n"));
}

#[test]
fn errors_say_where() {
    let mut decoder = decoder();
    decoder.feed_slice(b"\n\nSEND\n\nhello\0\nSEND\na:b\nfoo\n\n\0");
    assert!(decoder.next_frame().expect("no error").is_some());
    let error = decoder.next_frame().expect_err("no colon");
    assert_eq!((error.offset(), error.line()), (24, 3), "{error}");
}
