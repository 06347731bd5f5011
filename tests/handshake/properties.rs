//! What holds for all requests.

use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use stompbox::handshake::{Head, HeadLimits, Rejection, Upgrade};

use super::requests::{KEY, check, is_accepted, to_bytes, valid};

const LIMITS: HeadLimits = HeadLimits { bytes: 512, headers: 8 };

/// What a parse came to, to compare: the request as text and its length.
fn parse(bytes: &[u8]) -> Option<Result<(String, usize), Rejection>> {
    let head = Head::parse(bytes, LIMITS).transpose()?;
    Some(head.map(|head| (format!("{:?}", head.request), head.length)))
}

/// Once there is an answer, it stays the same whatever comes after.
fn assert_same_answer_for_every_prefix(bytes: &[u8]) {
    let whole = parse(bytes);
    for end in 0..bytes.len() {
        let answer = parse(&bytes[..end]);
        assert!(
            answer.is_none() || answer == whole,
            "{answer:?} after {end} bytes, then {whole:?}"
        );
    }
}

/// Pieces of heads, good and bad, which make more of the parser's ways than random bytes do.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => select(&[
            "GET ", "POST ", "GET /ws HTTP/1.1\r\n", "/ws ", "*", "http://a:1/b ", "HTTP/1.1", "HTTP/1.0",
            "HTTP/2.0", "HTT", "ICAP/1.0", "\r\n", "\n", "\r", " ", "\t", ":", "Host: a\r\n", "A:\r\n", "a: b\n",
            "Upgrade: websocket\r\n", "\r\n\r\n", "\r\n folded", "\0", "\u{e4}", "@", "[", "%",
        ][..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A header of the handshake with one of the values that matter for it.
fn header() -> impl Strategy<Value = (&'static str, &'static str)> {
    select(&[
        ("host", "example.com"),
        ("host", "example.com:443"),
        ("host", "a b"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("connection", "Upgrade"),
        ("connection", "keep-alive"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-version", " 13"),
        ("sec-websocket-version", "8"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-key", "x"),
        ("sec-websocket-protocol", "v10.stomp,\tv12.stomp "),
        ("sec-websocket-protocol", "\u{e4}, v11.stomp"),
        ("origin", "https://example.com"),
        ("origin", "null"),
        ("origin", "\u{e4}"),
        ("content-length", "0"),
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
        ("x-other", ""),
    ])
}

/// The valid request with up to three headers added, of which one replaces what was there, and now
/// and then another method, target or version.
fn request() -> impl Strategy<Value = Request<()>> {
    let method = prop_oneof![9 => Just(Method::GET), 1 => Just(Method::POST)];
    let target = prop_oneof![
        6 => Just("/ws"),
        1 => select(&["/", "/ws?a=b", "*", "http://example.com/ws", "example.com:80"][..]),
    ];
    let version = prop_oneof![9 => Just(Version::HTTP_11), 1 => Just(Version::HTTP_10)];
    let headers = (vec(header(), 0..3), proptest::option::of(header()));
    (method, target, version, headers).prop_map(|(method, target, version, (added, replaced))| {
        let mut request = valid();
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_static(target);
        *request.version_mut() = version;
        let to_value = |value: &str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        for (name, value) in added {
            request.headers_mut().append(HeaderName::from_static(name), to_value(value));
        }
        if let Some((name, value)) = replaced {
            request.headers_mut().insert(HeaderName::from_static(name), to_value(value));
        }
        request
    })
}

proptest! {
    #[test]
    fn any_bytes_are_answered_the_same_however_they_are_cut(bytes in vec(any::<u8>(), 0..200)) {
        assert_same_answer_for_every_prefix(&bytes);
    }

    #[test]
    fn any_pieces_of_heads_are_answered_the_same_however_they_are_cut(bytes in pieces()) {
        assert_same_answer_for_every_prefix(&bytes);
    }

    #[test]
    fn whatever_is_read_can_be_checked_and_answered(bytes in pieces()) {
        if let Ok(Some(head)) = Head::parse(&bytes, LIMITS) {
            let mut out = bytes::BytesMut::new();
            match Upgrade::new().check(head.request) {
                Ok(accepted) => accepted.write_response(&mut out),
                Err(rejection) => rejection.write_response(&mut out),
            }
            prop_assert!(out.starts_with(b"HTTP/1.1 "));
        }
    }

    /// `check` asserts that the request and its bytes come to the same.
    #[test]
    fn a_request_and_its_bytes_come_to_the_same(request in request()) {
        let _ = check(&Upgrade::new().path("/ws"), &request);
    }

    #[test]
    fn one_changed_byte_never_panics(index in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = to_bytes(&valid());
        let index = index.index(bytes.len());
        bytes[index] = byte;
        assert_same_answer_for_every_prefix(&bytes);
        if let Ok(Some(head)) = Head::parse(&bytes, HeadLimits::default()) {
            let _ = Upgrade::new().check(head.request);
        }
    }

    #[test]
    fn only_sixteen_bytes_are_a_key(nonce in vec(any::<u8>(), 0..40)) {
        use base64::Engine as _;
        let key = base64::engine::general_purpose::STANDARD.encode(&nonce);
        let request = super::requests::with("sec-websocket-key", &[&key]);
        prop_assert_eq!(is_accepted(&request), nonce.len() == 16);
    }

    #[test]
    fn no_origin_and_no_host_make_a_policy_panic(origin in ".{0,40}", host in ".{0,40}") {
        let policy = stompbox::handshake::OriginPolicy::same_origin_or([&origin])
            .unwrap_or_default();
        policy.allows(&origin, &host);
    }
}
