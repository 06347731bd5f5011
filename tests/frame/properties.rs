//! What holds for all frames and all bytes.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use stompbox::frame::{Command, DecodeError, Decoder, Frame, FrameRef, Leniency, Limits, Version};

use super::reference::{self, Rules, fault_name};
use super::representable::is_representable;
use super::{encode, one};

/// The frames and the error of `wire`, fed in chunks of these sizes, again and again.
fn decode_in_chunks(
    wire: &[u8],
    rules: Rules,
    sizes: &[usize],
) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(rules.limits, rules.leniency);
    decoder.set_version(rules.version);
    let mut frames = Vec::new();
    let mut rest = wire;
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
        // Not always asked for frames: the decoder has to keep what it is given.
        while turn % 4 != 3 || rest.is_empty() {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn rules() -> impl Strategy<Value = Rules> {
    let limits = prop_oneof![
        3 => Just(Limits::default()),
        1 => (0_usize..60, 0_usize..4, 0_usize..6).prop_map(|(head, headers, body)| {
            Limits::default().with_head(head).with_headers(headers).with_body(body)
        }),
    ];
    let leniency = select(vec![Leniency::strict(), Leniency::field()]);
    (select(&Version::ALL[..]), limits, leniency).prop_map(|(version, limits, leniency)| Rules {
        version,
        limits,
        leniency,
    })
}

/// Bytes that often are frames, and often just miss.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let commands = select(&Command::ALL[..]).prop_map(|c| format!("{c}\n").into_bytes());
    let pieces = select(vec![
        "SEND\n",
        "SEND\r\n",
        "CONNECT\n",
        "send\n",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        ":",
        "a:b\n",
        "a:b\r\n",
        " a : b \n",
        "a:b",
        "\\",
        "\\n",
        "\\r",
        "\\c",
        "\\\\",
        "a:\\t\n",
        "a:\\r\n",
        "é",
        "accept-version:1.2\n",
        "content-length:3\n",
        "content-length:4\n",
        "content-length:0\n",
        "content-length: 3\n",
        "content-length:99999999999999999999\n",
        "content-length:x\n",
        "abc",
        "\0",
        "\0",
        "\0\n",
        "\n\0",
        "\nabc\0",
        "\nabc",
        ":b\n",
        "\t",
    ]);
    let piece = prop_oneof![
        2 => commands,
        8 => pieces.prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// A stream of well-formed frames with a fault at most in the last one.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let frame = select(vec![
        "SEND\ndestination:/a\n\nhello\0",
        "SEND\ncontent-length:3\n\na\0b\0\n",
        "\n\n",
        "MESSAGE\na\\cb:c\\\\\\n\n\n\0",
        "SUBSCRIBE\r\nid:1\r\n\r\n\0\r\n",
        "SEND\na:1\na:2\n\n\0",
        "CONNECT\nlogin: me\n\n\0",
    ]);
    (vec(frame, 0..6), wire())
        .prop_map(|(frames, last)| [frames.concat().into_bytes(), last].concat())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c:\\\\\n\r]{0,8}", "\\PC{0,12}", "[a-z-]{1,12}", any::<String>()]
}

fn frame() -> impl Strategy<Value = Frame> {
    let headers = vec((text(), text()), 0..20);
    (select(&Command::ALL[..]), headers, vec(any::<u8>(), 0..40)).prop_map(
        |(command, headers, body)| {
            let mut frame = Frame::new(command);
            if command.carries_body() {
                frame = frame.with_body(body);
            }
            headers.iter().fold(frame, |frame, (name, value)| frame.with_header(name, value))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_frame_survives_the_wire(frame in frame()) {
        for version in Version::ALL {
            let mut expected = Frame::new(frame.command()).with_body(frame.body());
            let mut omitted = 0;
            for (name, value) in frame.headers().iter() {
                if is_representable(version, frame.command(), &name, &value) {
                    expected = expected.with_header(name, value);
                } else {
                    omitted += 1;
                }
            }
            let (wire, left_out) = encode(version, &frame);
            prop_assert_eq!(left_out, omitted);
            let decoded = one(super::decode(version, Leniency::strict(), &wire));
            prop_assert_eq!(&decoded, &expected);
            prop_assert_eq!(&decoded.clone().compact(), &expected);
            for version in Version::ALL {
                prop_assert_eq!(encode(version, &decoded), encode(version, &expected));
            }
        }
    }

    #[test]
    fn headers_can_be_added_to_a_decoded_frame(frame in frame(), name in text(), value in text()) {
        let (wire, _) = encode(Version::V1_2, &frame);
        let decoded = one(super::decode(Version::V1_2, Leniency::strict(), &wire));
        let before = decoded.headers().len();
        let expected = decoded.clone().headers().iter().fold(
            Frame::new(decoded.command()),
            |frame, (name, value)| frame.with_header(name, value),
        );
        let expected = expected.with_header(&name, &value).with_body(decoded.body());
        let with_header = decoded.with_header(&name, &value);
        prop_assert_eq!(with_header.headers().len(), before + 1);
        prop_assert_eq!(&with_header, &expected);
        prop_assert_eq!(with_header.with_body("other"), expected.with_body("other"));
    }

    #[test]
    fn the_chunks_do_not_matter(
        wire in stream(),
        rules in rules(),
        sizes in vec(1_usize..12, 1..6),
    ) {
        let whole = decode_in_chunks(&wire, rules, &[usize::MAX]);
        prop_assert_eq!(&decode_in_chunks(&wire, rules, &[1]), &whole);
        prop_assert_eq!(&decode_in_chunks(&wire, rules, &sizes), &whole);
    }

    #[test]
    fn the_decoder_equals_the_reference(wire in stream(), rules in rules()) {
        let (frames, error) = decode_in_chunks(&wire, rules, &[usize::MAX]);
        let frames: Vec<_> = frames.iter().map(reference::Frame::of).collect();
        prop_assert_eq!(
            (frames, error.as_ref().map(fault_name)),
            reference::decode(&wire, rules),
            "{:?} by {:?}", wire.escape_ascii().to_string(), rules
        );
    }

    #[test]
    fn the_borrowed_frame_equals_the_owned(wire in stream(), rules in rules()) {
        let (mut frames, error) = decode_in_chunks(&wire, rules, &[usize::MAX]);
        frames.reverse();
        let mut at = 0;
        loop {
            let Rules { version, limits, leniency } = rules;
            match FrameRef::parse(&wire[at..], version, &limits, leniency) {
                Ok(Some((frame, consumed))) => {
                    prop_assert_eq!(Some(frame.to_frame()), frames.pop());
                    at += consumed;
                }
                Ok(None) => break prop_assert_eq!(&error, &None),
                Err(found) => {
                    let expected = error.as_ref().expect("an error too");
                    prop_assert_eq!(found.fault(), expected.fault());
                    prop_assert_eq!(found.line(), expected.line());
                    break prop_assert_eq!(found.offset() + at as u64, expected.offset());
                }
            }
        }
        prop_assert_eq!(frames, vec![]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        wire in vec(any::<u8>(), 0..200),
        rules in rules(),
        sizes in vec(1_usize..50, 1..6),
    ) {
        let (frames, error) = decode_in_chunks(&wire, rules, &sizes);
        for frame in frames {
            let mut out = BytesMut::new();
            frame.encode_into(rules.version, &mut out);
            let _ = format!("{frame:?}");
        }
        prop_assert!(error.is_none_or(|error| error.offset() <= wire.len() as u64));
    }
}
