//! `handshake`: any bytes as the head of a request. However they are cut, the answer is the same;
//! whatever is accepted was a valid request, and whatever is answered is a valid response.
//!
//! An input is the bytes that a client sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::{Method, StatusCode, Version};
use sha1::{Digest, Sha1};
use stompbox::handshake::{
    Accepted, Head, HeadLimits, OriginPolicy, Rejection, Subprotocol, Upgrade,
};

/// What every key is hashed with (RFC 6455 §1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Checks one input.
pub(crate) fn check(bytes: &[u8]) {
    for limits in [HeadLimits::default(), HeadLimits { bytes: 160, headers: 5 }] {
        check_every_split(bytes, limits);
    }
    if let Ok(Some(head)) = Head::parse(bytes, HeadLimits::default()) {
        check_upgrades(&head);
    }
}

/// Once there is an answer, it stays the same whatever comes after.
fn check_every_split(bytes: &[u8], limits: HeadLimits) {
    let whole = parse(bytes, limits);
    for end in 0..bytes.len() {
        let answer = parse(&bytes[..end], limits);
        assert!(
            answer.is_none() || answer == whole,
            "{answer:?} after {end} octets, then {whole:?}"
        );
    }
    match whole {
        Some(Ok((_, length))) => assert!(length <= bytes.len().min(limits.bytes)),
        Some(Err(rejection)) => check_rejection(&rejection),
        None => assert!(bytes.len() < limits.bytes),
    }
}

/// What a parse came to, to compare: the request as text and its length.
fn parse(bytes: &[u8], limits: HeadLimits) -> Option<Result<(String, usize), Rejection>> {
    let head = Head::parse(bytes, limits).transpose()?;
    Some(head.map(|head| {
        assert!(head.request.headers().len() <= limits.headers);
        (format!("{:?}", head.request), head.length)
    }))
}

/// Checks the request against validators that are configured in several ways.
fn check_upgrades(head: &Head) {
    let origins = ["https://*.example.com", "http://localhost:*"];
    let origins = OriginPolicy::same_origin_or(origins).expect("valid origins");
    let upgrades = [
        Upgrade::new(),
        Upgrade::new().path("/ws").origin(origins),
        Upgrade::new().origin(OriginPolicy::any()).subprotocols([Subprotocol::V11Stomp]),
    ];
    for upgrade in upgrades {
        match upgrade.check(head.request.clone()) {
            Ok(accepted) => check_accepted(head, &accepted),
            Err(rejection) => check_rejection(&rejection),
        }
    }
}

/// An accepted request has everything that RFC 6455 §4.2.1 asks for, and its response everything
/// of §4.2.2.
fn check_accepted(head: &Head, accepted: &Accepted) {
    let request = &head.request;
    assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
    assert!(request.headers().contains_key("host"));
    assert!(tokens(head, "upgrade").iter().any(|token| token.eq_ignore_ascii_case("websocket")));
    assert!(tokens(head, "connection").iter().any(|token| token.eq_ignore_ascii_case("upgrade")));
    assert_eq!(tokens(head, "sec-websocket-version"), ["13"]);
    let keys = tokens(head, "sec-websocket-key");
    let [key] = &keys[..] else { panic!("not one key: {keys:?}") };
    assert_eq!(STANDARD.decode(key).expect("base64").len(), 16);

    let mut out = BytesMut::new();
    accepted.write_response(&mut out);
    let mut headers = [httparse::EMPTY_HEADER; 8];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(&out).expect("a valid response");
    assert_eq!(parsed, httparse::Status::Complete(out.len()));
    assert_eq!(response.code, Some(101));
    assert_eq!(header(&response, "upgrade"), Some("websocket"));
    assert_eq!(header(&response, "connection"), Some("Upgrade"));
    let accept = STANDARD.encode(Sha1::digest(format!("{key}{GUID}")));
    assert_eq!(header(&response, "sec-websocket-accept"), Some(&*accept));
    let echoed = header(&response, "sec-websocket-protocol");
    assert_eq!(echoed, accepted.subprotocol().map(Subprotocol::as_str));
    let offered = tokens(head, "sec-websocket-protocol");
    assert!(echoed.is_none_or(|echoed| offered.iter().any(|offered| offered == echoed)));
}

/// A refusal is a whole response that says what its status has to say.
fn check_rejection(rejection: &Rejection) {
    let mut out = BytesMut::new();
    rejection.write_response(&mut out);
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(&out).expect("a valid response");
    let httparse::Status::Complete(length) = parsed else { panic!("no whole head: {out:?}") };
    assert_eq!(response.code, Some(rejection.status().as_u16()));
    let body = std::str::from_utf8(&out[length..]).expect("text");
    let announced = header(&response, "content-length").map(str::parse);
    let is_head = *rejection == Rejection::MethodNotAllowed(Method::HEAD);
    assert!(is_head && body.is_empty() || announced == Some(Ok(body.len())), "{out:?}");
    match rejection.status() {
        StatusCode::METHOD_NOT_ALLOWED => assert_eq!(header(&response, "allow"), Some("GET")),
        StatusCode::UPGRADE_REQUIRED => {
            assert_eq!(header(&response, "upgrade"), Some("websocket"));
        }
        status => assert!(status.is_client_error() || status.is_server_error(), "{status}"),
    }
}

/// The elements of a list that may be spread over several headers (RFC 9110 §5.6.1).
fn tokens(head: &Head, name: &str) -> Vec<String> {
    let values = head.request.headers().get_all(name).into_iter();
    let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let trim = |token: &str| token.trim_matches([' ', '\t']).to_owned();
    texts.flat_map(|value| value.split(',').map(trim).collect::<Vec<_>>()).collect()
}

fn header<'a>(response: &httparse::Response<'_, 'a>, name: &str) -> Option<&'a str> {
    let mut headers = response.headers.iter();
    let found = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()
}
