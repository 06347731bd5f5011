//! Requests to try, and both ways to have them checked.

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, Request, Response};
use stompbox::handshake::{Accepted, Head, HeadLimits, Rejection, Upgrade};

/// The key of RFC 6455 §1.3.
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A request that every validator accepts.
pub(super) fn valid() -> Request<()> {
    Request::get("/ws")
        .header("host", "example.com")
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", KEY)
        .body(())
        .unwrap()
}

/// The valid request, where one header has these values instead; none leaves it out.
pub(super) fn with(name: &'static str, values: &[&str]) -> Request<()> {
    let mut request = valid();
    request.headers_mut().remove(name);
    for value in values {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    request
}

/// The request as bytes.
pub(super) fn to_bytes(request: &Request<()>) -> Vec<u8> {
    let (method, uri, version) = (request.method(), request.uri(), request.version());
    let mut bytes = format!("{method} {uri} {version:?}\r\n").into_bytes();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Reads and checks a whole request from bytes.
pub(super) fn check_bytes(upgrade: &Upgrade, bytes: &[u8]) -> Result<Accepted, Rejection> {
    let head = Head::parse(bytes, HeadLimits::default())?;
    upgrade.check(head.unwrap_or_else(|| panic!("{bytes:?} is not complete")).request)
}

/// Has the request checked as it is and as bytes, which must come to the same.
pub(super) fn check(upgrade: &Upgrade, request: &Request<()>) -> Result<Accepted, Rejection> {
    let result = upgrade.check(request.clone());
    let from_bytes = check_bytes(upgrade, &to_bytes(request));
    assert_eq!(outcome(&result), outcome(&from_bytes), "{request:?}");
    result
}

/// What a check came to, to compare.
pub(super) fn outcome(result: &Result<Accepted, Rejection>) -> Result<String, Rejection> {
    match result {
        Ok(accepted) => Ok(accepted_text(accepted)),
        Err(rejection) => Err(rejection.clone()),
    }
}

/// The rejection of a request by a validator that serves `/ws` only.
pub(super) fn rejection(request: &Request<()>) -> Rejection {
    check(&Upgrade::new().path("/ws"), request).expect_err("the request was accepted")
}

/// Whether a validator as it is by default accepts the request.
pub(super) fn is_accepted(request: &Request<()>) -> bool {
    check(&Upgrade::new(), request).is_ok()
}

/// The response to an accepted request, as bytes.
pub(super) fn accepted_text(accepted: &Accepted) -> String {
    let mut out = BytesMut::new();
    accepted.write_response(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

/// The response to a rejected request, as bytes, after it was compared with [`Rejection::response`].
pub(super) fn rejected_text(rejection: &Rejection) -> String {
    let mut out = BytesMut::new();
    rejection.write_response(&mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert_same(&rejection.response(), &text);
    text
}

/// The bytes are the response, and say in addition where it ends and that nothing follows it.
fn assert_same(response: &Response<String>, text: &str) {
    let status = format!("HTTP/1.1 {}\r\n", response.status());
    assert!(text.starts_with(&status), "{text}");
    let body = response.body();
    assert!(text.ends_with(&format!("\r\n\r\n{body}")), "{text}");
    let lower = text.to_ascii_lowercase();
    assert!(lower.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{text}");
    assert!(lower.contains("\r\nconnection: close\r\n") || lower.contains(", close\r\n"), "{text}");
    for (name, value) in response.headers() {
        let value = value.to_str().unwrap().to_ascii_lowercase();
        assert!(lower.contains(&format!("\r\n{name}: {value}")), "{name} is not in {text}");
    }
}
