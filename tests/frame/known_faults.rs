//! Faults known from other codecs, each as a test that they would fail.

use bytes::Bytes;
use stompbox::frame::{Decoder, Fault, Frame, Leniency, Limits, Version};

use super::{assert_header, decode, refused, strict};

#[test]
fn cr_lf_is_not_refused() {
    let wire = b"MESSAGE\r\ndestination:/a\r\n\r\nhi\0\r\n";
    assert_eq!(strict(Version::V1_2, wire).body(), b"hi");
}

#[test]
fn the_second_frame_in_a_chunk_is_not_lost() {
    let wire = b"SEND\n\none\0SEND\n\ntwo\0";
    let frames = decode(Version::V1_2, Leniency::strict(), wire).expect("frames");
    assert_eq!(frames.iter().map(Frame::body).collect::<Vec<_>>(), [b"one", b"two"]);
}

#[test]
fn two_heart_beats_in_a_row_are_not_refused() {
    for heart_beats in 1..40 {
        let wire = [&b"\n".repeat(heart_beats)[..], b"SEND\n\nhi\0"].concat();
        assert_eq!(strict(Version::V1_2, &wire).body(), b"hi");
        assert_eq!(decode(Version::V1_2, Leniency::strict(), &wire[..heart_beats]), Ok(vec![]));
    }
}

#[test]
fn a_host_with_a_port_is_not_refused() {
    let wire = b"CONNECT\naccept-version:1.2\nhost:localhost:15674\n\n\0";
    assert_header(&strict(Version::V1_2, wire), "host", "localhost:15674");
}

#[test]
fn a_bad_content_length_does_not_fall_back_to_nul() {
    for value in ["", "two", "+2", "2 ", "0x2", "-1"] {
        let wire = format!("SEND\ncontent-length:{value}\n\nhi\0");
        let error = refused(Version::V1_2, wire.as_bytes());
        assert!(matches!(error.fault(), Fault::InvalidContentLength { .. }), "{error}");
    }
    let error = refused(Version::V1_2, b"SEND\ncontent-length:1\n\nhi\0");
    assert!(matches!(error.fault(), Fault::MissingNul { .. }), "{error}");
}

#[test]
fn header_names_are_unescaped_too() {
    assert_header(&strict(Version::V1_2, b"SEND\na\\cb\\\\:c\n\n\0"), "a:b\\", "c");
}

/// That a header cannot outlive its frame is for the compiler to refuse: see the documentation of
/// `Headers`. What can outlive it shares the bytes or owns them.
#[test]
fn what_was_moved_out_of_a_frame_outlives_it() {
    let mut decoder = Decoder::new(Limits::default(), Leniency::strict());
    decoder.feed(Bytes::from(b"SEND\nname:value\n\nhello\0".to_vec()));
    let frame = decoder.next_frame().expect("no error").expect("a frame");
    let value = frame.header("name").expect("the header").into_owned();
    let body = frame.body_bytes();
    drop(frame);
    drop(decoder);
    assert_eq!((value.as_str(), &body[..]), ("value", &b"hello"[..]));
}
