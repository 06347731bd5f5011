//! A test for each row of the protocol table that concerns the codec, named after the row.

use stompbox::frame::{
    Command, DecodeErrorKind, Decoder, Fault, Frame, FrameRef, HeaderName, Leniency, Limits,
    Version,
};

use super::{assert_header, decode, encode, field, refused, strict};

#[test]
fn f1_escapes_are_those_of_the_version() {
    let wire = b"SEND\na\\cb:\\n\\c\\\\\n\n\0";
    for version in [Version::V1_1, Version::V1_2] {
        assert_header(&strict(version, wire), "a:b", "\n:\\");
    }
    assert_header(&strict(Version::V1_0, wire), "a\\cb", "\\n\\c\\\\");
    assert_header(&strict(Version::V1_2, b"SEND\na:\\r\n\n\0"), "a", "\r");
}

#[test]
fn f1_undefined_escapes_are_fatal() {
    for (version, wire) in [
        (Version::V1_1, &b"SEND\na:x\\r\n\n\0"[..]),
        (Version::V1_1, b"SEND\na:x\\t\n\n\0"),
        (Version::V1_2, b"SEND\na:x\\t\n\n\0"),
        (Version::V1_2, b"SEND\na:x\\\n\n\0"),
    ] {
        let error = refused(version, wire);
        assert!(matches!(error.fault(), Fault::UndefinedEscape { .. }), "{error}");
        assert_eq!((error.offset(), error.line()), (8, 2), "{error}");
    }
}

#[test]
fn f1_field_keeps_a_raw_backslash() {
    let wire = b"SEND\npath:C:\\temp\\\n\n\0";
    assert_header(&field(Version::V1_1, wire), "path", "C:\\temp\\");
    assert_header(&field(Version::V1_1, b"SEND\na:x\\r\n\n\0"), "a", "x\\r");
}

#[test]
fn f2_connect_and_connected_are_never_escaped() {
    for command in [Command::Connect, Command::Stomp, Command::Connected] {
        for version in Version::ALL {
            let wire = format!("{command}\npasscode:a\\nb\\t:c\nversion:1.2\n\n\0");
            let frame = strict(version, wire.as_bytes());
            assert_header(&frame, "passcode", "a\\nb\\t:c");
            assert_eq!(encode(version, &frame).0, wire.as_bytes());
        }
    }
}

#[test]
fn f3_a_header_splits_at_its_first_colon() {
    let wire = b"SEND\nhost:localhost:15674\npadded: a \nempty:\n\n\0";
    for version in Version::ALL {
        let frame = strict(version, wire);
        assert_header(&frame, "host", "localhost:15674");
        assert_header(&frame, "padded", " a ");
        assert_header(&frame, "empty", "");
    }
    for version in [Version::V1_1, Version::V1_2] {
        assert_header(&field(version, wire), "padded", " a ");
    }
}

#[test]
fn f3_field_trims_padding_of_1_0_only() {
    let wire = b"SEND\n destination : /queue/a \ncontent-length: 3\n\na\0b\0";
    let frame = field(Version::V1_0, wire);
    assert_eq!(frame.header(HeaderName::Destination).as_deref(), Some("/queue/a"));
    assert_eq!(frame.body(), b"a\0b");
    // The version is not set when CONNECT comes, but without accept-version it is of 1.0.
    let padded = b"CONNECT\nlogin: me\n\n\0";
    assert_header(&field(Version::V1_2, padded), "login", "me");
    let not_padded = b"CONNECT\nlogin: me\naccept-version:1.2\n\n\0";
    assert_header(&field(Version::V1_2, not_padded), "login", " me");
    assert_header(&strict(Version::V1_2, padded), "login", " me");
    let (encoded, _) = encode(Version::V1_0, &field(Version::V1_0, b"SEND\na: b\n\n\0"));
    assert_eq!(encoded, b"SEND\na:b\n\n\0", "it is not passed on");
    let error =
        decode(Version::V1_0, Leniency::field(), b"SEND\na:b\n : c\n\n\0").expect_err("no name");
    assert_eq!((error.fault(), error.line()), (&Fault::EmptyHeaderName, 3));
    // What the program adds is no padding.
    let frame = field(Version::V1_0, wire).with_header("b", " c ");
    assert_header(&frame, "b", " c ");
    assert_header(&frame, "destination", "/queue/a");
    assert_eq!(frame.body(), b"a\0b");
}

#[test]
fn f4_the_first_of_repeated_headers_counts() {
    let frame = strict(Version::V1_2, b"MESSAGE\nfoo:World\nid:1\nfoo:Hello\nid:2\n\n\0");
    assert_header(&frame, "foo", "World");
    assert_eq!(frame.headers().get_all("foo").collect::<Vec<_>>(), ["World", "Hello"]);
    assert_eq!(frame.headers().get_all(HeaderName::Id).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(frame.headers().len(), 4);
}

#[test]
fn f4_conflicting_content_length_is_refused() {
    let error =
        refused(Version::V1_2, b"SEND\ncontent-length:1\nfoo:bar\ncontent-length:3\n\nabc\0");
    assert_eq!(*error.fault(), Fault::ConflictingContentLength { first: 1, other: 3 });
    assert_eq!(error.line(), 4);
    let same = b"SEND\ncontent-length:3\ncontent-length:03\n\nabc\0";
    assert_eq!(strict(Version::V1_2, same).body(), b"abc");
}

#[test]
fn f5_cr_lf_ends_a_line() {
    let wire = b"\r\nSEND\r\na:b\r\n\r\nhello\0\r\n\r\n";
    let expected = Frame::new(Command::Send).with_header("a", "b").with_body("hello");
    assert_eq!(strict(Version::V1_2, wire), expected);
    for version in Version::ALL {
        assert_eq!(field(version, wire), expected);
    }
    for version in [Version::V1_0, Version::V1_1] {
        for cr_lf in [&wire[..], &wire[2..], b"SEND\na:b\n\r\nhello\0"] {
            assert_eq!(*refused(version, cr_lf).fault(), Fault::CrLf { version });
        }
        assert_header(&strict(version, b"SEND\na:b\r\n\n\0"), "a", "b\r");
    }
}

#[test]
fn f5_a_lone_cr_is_no_line_end() {
    for version in Version::ALL {
        assert_header(&field(version, b"SEND\na:b\rc:d\n\n\0"), "a", "b\rc:d");
        let error = refused(version, b"SEND\ra:b\n\n\0");
        assert!(matches!(error.fault(), Fault::UnknownCommand { .. }), "{error}");
        let error = refused(version, b"\rSEND\na:b\n\n\0");
        assert!(matches!(error.fault(), Fault::UnknownCommand { .. }), "{error}");
    }
    // Nor is it one in front of a CR LF, and that is not what is wrong there.
    for wire in [&b"\r\r\n"[..], b"SEND\r\r\n\n\0", b"SEND\n\r\r\n\0"] {
        let error = refused(Version::V1_2, wire);
        assert!(!matches!(error.fault(), Fault::CrLf { .. }), "{error}");
    }
    assert_header(&strict(Version::V1_2, b"SEND\na:b\r\r\n\n\0"), "a", "b\r");
}

#[test]
fn f5_cr_lf_is_never_emitted() {
    let frame = field(Version::V1_2, b"SEND\r\na:b\r\n\r\nhello\0");
    for version in Version::ALL {
        assert_eq!(encode(version, &frame).0, b"SEND\na:b\ncontent-length:5\n\nhello\0");
    }
}

#[test]
fn f6_any_number_of_ends_of_line_may_follow_nul() {
    let wire = b"\n\n\nSEND\n\na\0\n\n\r\n\nSEND\n\nb\0SEND\n\nc\0\n\n";
    let frames = decode(Version::V1_2, Leniency::strict(), wire).expect("frames");
    let bodies: Vec<_> = frames.iter().map(Frame::body).collect();
    assert_eq!(bodies, [b"a", b"b", b"c"]);
    assert_eq!(decode(Version::V1_2, Leniency::strict(), b"\n\n\r\n\n"), Ok(vec![]));
}

#[test]
fn f7_content_length_counts_octets_and_nul_follows() {
    let wire = "SEND\ncontent-length:6\n\né\0\0ü\0".as_bytes();
    assert_eq!(strict(Version::V1_2, wire).body(), "é\0\0ü".as_bytes());
    let error = refused(Version::V1_2, b"SEND\ncontent-length:3\n\nhello\0");
    assert_eq!(*error.fault(), Fault::MissingNul { content_length: 3, found: b'l' });
    assert_eq!(error.offset(), 26);
    assert_eq!(decode(Version::V1_2, Leniency::strict(), b"SEND\ncontent-length:9\n\nhello\0"), {
        Ok(vec![])
    });
    // It may stand on every frame.
    let receipt = b"RECEIPT\nreceipt-id:1\ncontent-length:0\n\n\0";
    assert_eq!(strict(Version::V1_2, receipt).body(), b"");
}

#[test]
fn f7_malformed_content_length_is_an_error() {
    for value in ["", "abc", "-1", "+5", " 5", "5 ", "5.0", "0x5", "5,5"] {
        let wire = format!("SEND\ncontent-length:{value}\n\nhello\0");
        let error = refused(Version::V1_2, wire.as_bytes());
        assert_eq!(*error.fault(), Fault::InvalidContentLength { found: value.to_owned() });
        assert_eq!(error.kind(), DecodeErrorKind::Malformed);
    }
}

#[test]
fn f7_the_encoder_writes_the_right_content_length() {
    // The right one that a program gave is not written where it stands, as no other is.
    let given = Frame::new(Command::Send).with_header("content-length", "2").with_header("a", "b");
    for frame in [given.clone().with_body("hi"), given.with_body("ho").with_body("hi")] {
        assert_eq!(encode(Version::V1_2, &frame).0, b"SEND\na:b\ncontent-length:2\n\nhi\0");
    }
    let frame = Frame::new(Command::Send).with_header("content-length", "999").with_body("a\0b");
    for version in Version::ALL {
        let (wire, omitted) = encode(version, &frame);
        assert_eq!((&wire[..], omitted), (&b"SEND\ncontent-length:3\n\na\0b\0"[..], 0));
    }
    let empty = Frame::new(Command::Send).with_header("content-length", "999");
    assert_eq!(encode(Version::V1_2, &empty).0, b"SEND\n\n\0");
    for wire in [
        &b"SEND\ncontent-length:3\ncontent-length:3\n\na\0b\0"[..],
        b"SEND\ncontent-length:03\n\na\0b\0",
    ] {
        let decoded = strict(Version::V1_2, wire);
        for frame in [decoded.clone(), decoded.with_header("content-length", "4")] {
            let (wire, _) = encode(Version::V1_2, &frame);
            assert_eq!(strict(Version::V1_2, &wire), frame);
        }
    }
    let decoded = strict(Version::V1_2, b"SEND\ncontent-length:3\n\na\0b\0");
    let frame = decoded.with_header("content-length", "4");
    assert_eq!(encode(Version::V1_2, &frame).0, b"SEND\ncontent-length:3\n\na\0b\0");
}

#[test]
fn f8_a_body_elsewhere_is_refused_by_strict() {
    for command in Command::ALL {
        for headers in ["", "content-length:2\n"] {
            let wire = format!("{command}\n{headers}\nhi\0");
            let frame = field(Version::V1_2, wire.as_bytes());
            assert_eq!(frame.body(), b"hi");
            if command.carries_body() {
                assert_eq!(strict(Version::V1_2, wire.as_bytes()), frame);
            } else {
                let error = refused(Version::V1_2, wire.as_bytes());
                assert_eq!(*error.fault(), Fault::UnexpectedBody { command });
            }
        }
    }
}

#[test]
fn f9_commands_are_case_sensitive() {
    for line in ["send", "Send", "SEND ", "HELLO", "GET / HTTP/1.1\r", "\u{fffd}"] {
        let error = refused(Version::V1_2, format!("{line}\n\n\0").as_bytes());
        assert!(matches!(error.fault(), Fault::UnknownCommand { .. }), "{error}");
        assert_eq!(error.kind(), DecodeErrorKind::Unsupported);
        assert_eq!((error.offset(), error.line()), (0, 1));
    }
}

#[test]
fn f11_a_frame_may_be_split_and_a_chunk_may_hold_several() {
    let wire = "SEND\na:é\ncontent-length:3\n\na\0b\0\nSEND\r\nb:c\r\n\r\nüber\0".as_bytes();
    let whole = decode(Version::V1_2, Leniency::strict(), wire).expect("frames");
    assert_eq!(whole.len(), 2);
    for cut in 0..=wire.len() {
        let mut decoder = Decoder::new(Limits::default(), Leniency::field());
        let mut frames = Vec::new();
        for chunk in [&wire[..cut], &wire[cut..]] {
            decoder.feed_slice(chunk);
            while let Some(frame) = decoder.next_frame().expect("no error") {
                frames.push(frame);
            }
            // A text message that ends in the midst of a frame does not end the frame, once a NUL
            // has come.
            if cut > 34 {
                assert_eq!(decoder.end_of_message(), None, "cut at {cut}");
            }
        }
        assert_eq!(frames, whole, "cut at {cut}");
    }
}

#[test]
fn f13_a_frame_ends_in_nul() {
    for leniency in [Leniency::strict(), Leniency::field()] {
        let mut decoder = Decoder::new(Limits::default(), leniency);
        decoder.feed_slice(b"CONNECT\naccept-version:1.2\n\n");
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.is_mid_frame());
        if !leniency.missing_nul() {
            assert_eq!(decoder.end_of_message(), None);
        }
    }
}

#[test]
fn f13_field_accepts_text_messages_cut_at_nul() {
    let mut decoder = Decoder::new(Limits::default(), Leniency::field());
    let mut next = |message: &str| {
        decoder.feed_slice(message.as_bytes());
        let frame = decoder.next_frame().expect("no error");
        frame.or_else(|| decoder.end_of_message())
    };
    let connect = next("CONNECT\naccept-version:1.2\n\n").expect("a frame");
    assert_eq!(connect.command(), Command::Connect);
    assert_eq!(next("\n"), None);
    assert_eq!(next("SEND\ndestination:/a\n\nhello").expect("a frame").body(), b"hello");
    assert_eq!(next("SEND\ncontent-length:3\n\nabc").expect("a frame").body(), b"abc");
    assert_eq!(next("SEND\ncontent-length:3\n\nab"), None, "the body is not complete");
    assert_eq!(next("c").expect("a frame").body(), b"abc");
    assert_eq!(next("SEND\ndestination:/a\n"), None, "the head is not complete");
    assert_eq!(next("\nhello").expect("a frame").body(), b"hello");
    // A NUL that was only late is no frame.
    assert_eq!(next("\0\nSEND\n\nhel"), None);
    assert_eq!(next("lo\0").expect("a frame").body(), b"hello");
}

#[test]
fn f14_what_cannot_be_represented_is_left_out() {
    let frame = |command| {
        Frame::new(command)
            .with_header("lf", "a\nadmin:true")
            .with_header("colon:name", "a")
            .with_header("cr", "a\r")
            .with_header("nul", "a\0b")
            .with_header("", "a")
            .with_header("kept", "a:b\\c")
    };
    for (version, command, expected, omitted) in [
        (Version::V1_0, Command::Message, "MESSAGE\nkept:a:b\\c\n\n\0", 5),
        (Version::V1_2, Command::Connected, "CONNECTED\nkept:a:b\\c\n\n\0", 5),
        (
            Version::V1_1,
            Command::Message,
            "MESSAGE\nlf:a\\nadmin\\ctrue\ncolon\\cname:a\nkept:a\\cb\\\\c\n\n\0",
            3,
        ),
        (
            Version::V1_2,
            Command::Message,
            "MESSAGE\nlf:a\\nadmin\\ctrue\ncolon\\cname:a\ncr:a\\r\nkept:a\\cb\\\\c\n\n\0",
            2,
        ),
    ] {
        let (wire, left_out) = encode(version, &frame(command));
        assert_eq!(String::from_utf8(wire).expect("UTF-8"), expected);
        assert_eq!(left_out, omitted);
    }
}

#[test]
fn frame_ref_sees_what_the_decoder_sees() {
    let wire = b"\n\nSEND\na\\cb:c\n\nhello\0\nrest";
    let parsed =
        FrameRef::parse(wire, Version::V1_2, &Limits::default(), Leniency::strict()).expect("ok");
    let (frame, consumed) = parsed.expect("complete");
    assert_eq!(&wire[consumed..], b"\nrest");
    assert_eq!(frame.to_frame(), strict(Version::V1_2, &wire[..consumed]));
    assert_eq!(frame.header("a:b").as_deref(), Some("c"));
}

#[test]
fn debug_shows_no_secrets() {
    let wire =
        b"CONNECT\nlogin:me\npasscode:s3cret\nAuthorization:s3cret\nauthorization:s3cret\n\n\0";
    let frame = strict(Version::V1_2, wire);
    let shown = format!("{frame:?}");
    assert!(shown.contains("CONNECT") && shown.contains("\"login\": \"me\""), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let mut decoder = Decoder::new(Limits::default(), Leniency::strict());
    decoder.feed_slice(wire);
    assert!(!format!("{decoder:?}").contains("s3cret"));
}
