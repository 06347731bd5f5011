//! Reading a head from bytes: where it ends, what is no head, and how much of it is read.

use stompbox::handshake::{Head, HeadLimits, HeadPart, Rejection};

use super::requests::{to_bytes, valid};

fn parse(bytes: &[u8]) -> Result<Option<Head>, Rejection> {
    Head::parse(bytes, HeadLimits::default())
}

fn malformed(bytes: &str) -> HeadPart {
    match parse(bytes.as_bytes()) {
        Err(Rejection::Malformed(part)) => part,
        other => panic!("{bytes:?} gave {other:?}"),
    }
}

#[test]
fn a_head_is_incomplete_until_its_last_byte() {
    let bytes = to_bytes(&valid());
    for end in 0..bytes.len() {
        assert!(parse(&bytes[..end]).unwrap().is_none(), "complete after {end} bytes");
    }
    assert_eq!(parse(&bytes).unwrap().unwrap().length, bytes.len());
}

#[test]
fn the_request_is_what_was_sent() {
    let bytes = b"POST http://a:80/b?c=d HTTP/1.0\r\nX-One: 1\r\nx-one:  2\t\r\nEmpty:\r\n\r\n";
    let head = parse(bytes).unwrap().unwrap();
    let request = head.request;
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "http://a:80/b?c=d");
    assert_eq!(request.version(), http::Version::HTTP_10);
    assert_eq!(request.headers().get_all("x-one").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(request.headers()["empty"], "");
}

#[test]
fn what_is_no_http_is_400_and_says_which_part() {
    assert_eq!(malformed("\u{16}\u{3}\u{1}\u{2}\0"), HeadPart::Method); // a TLS ClientHello
    assert_eq!(malformed("CONNECT\naccept-version:1.2\n\n\0"), HeadPart::Method); // STOMP itself
    assert_eq!(malformed("GET  / HTTP/1.1\r\n\r\n"), HeadPart::Target);
    assert_eq!(malformed("GET /\r\n\r\n"), HeadPart::Target);
    assert_eq!(malformed("GET http:///x HTTP/1.1\r\n\r\n"), HeadPart::Target);
    assert_eq!(malformed("GET / ICAP/1.0\r\n\r\n"), HeadPart::Version);
    assert_eq!(malformed("GET / HTTP/1.1 \r\n\r\n"), HeadPart::LineEnd);
    assert_eq!(malformed("GET / HTTP/1.1\r\nno colon\r\n\r\n"), HeadPart::HeaderName);
    assert_eq!(malformed("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), HeadPart::HeaderName);
    assert_eq!(malformed("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n"), HeadPart::HeaderValue);
    assert_eq!(malformed("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"), HeadPart::HeaderValue);
}

#[test]
fn a_folded_line_is_refused() {
    for value in ["a\r\n b", "\r\n b", "a\r\n\tb", "a\n b"] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
        assert_eq!(malformed(&bytes), HeadPart::HeaderName, "{value:?}");
    }
}

#[test]
fn a_lone_line_feed_ends_a_line_and_empty_lines_may_come_first() {
    let bytes = b"\r\n\nGET /ws HTTP/1.1\nHost: a\r\nX: y\n\n";
    let head = parse(bytes).unwrap().unwrap();
    assert_eq!(head.length, bytes.len());
    assert_eq!(head.request.headers()["x"], "y");
}

#[test]
fn a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_431() {
    let bytes = to_bytes(&valid());
    let limits = |bytes| HeadLimits { bytes, ..HeadLimits::default() };
    assert!(Head::parse(&bytes, limits(bytes.len())).unwrap().is_some());
    let limit = bytes.len() - 1;
    let rejection = Head::parse(&bytes, limits(limit)).unwrap_err();
    assert_eq!(rejection, Rejection::HeadTooLarge { limit });
}

#[test]
fn a_head_is_refused_as_soon_as_it_is_too_large_without_an_end_in_sight() {
    let limits = HeadLimits { bytes: 64, ..HeadLimits::default() };
    let endless = [b"GET /", &[b'a'; 1000][..]].concat();
    assert!(Head::parse(&endless[..63], limits).unwrap().is_none());
    for length in [64, 65, 1000] {
        let rejection = Head::parse(&endless[..length], limits).unwrap_err();
        assert_eq!(rejection, Rejection::HeadTooLarge { limit: 64 });
    }
}

#[test]
fn too_many_headers_are_refused_before_the_head_ends() {
    let limits = HeadLimits { headers: 3, ..HeadLimits::default() };
    let head = |headers| format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(headers));
    assert!(Head::parse((head(3) + "\r\n").as_bytes(), limits).unwrap().is_some());
    let rejection = Head::parse(head(4).as_bytes(), limits).unwrap_err();
    assert_eq!(rejection, Rejection::TooManyHeaders { limit: 3 });
}

#[test]
fn limits_without_bounds_take_no_memory_for_what_did_not_come() {
    let limits = HeadLimits { bytes: usize::MAX, headers: usize::MAX };
    assert!(Head::parse(b"GET / HTTP/1.1\r\n", limits).unwrap().is_none());
    assert!(Head::parse(&to_bytes(&valid()), limits).unwrap().is_some());
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100_000));
    let rejection = Head::parse(head.as_bytes(), limits).unwrap_err();
    assert_eq!(rejection, Rejection::TooManyHeaders { limit: usize::MAX });
}
