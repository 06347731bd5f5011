//! The head of a request, read from bytes.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri, Version};
use thiserror::Error;

use super::Rejection;

/// How large the head of a request may be.
///
/// ```
/// use stompbox::handshake::HeadLimits;
///
/// let limits = HeadLimits { bytes: 8 * 1024, ..HeadLimits::default() };
/// assert_eq!(limits.headers, 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The bytes from the request line to the empty line, both included: 16 KiB by default, which
    /// leaves room for large cookies and tokens.
    pub bytes: usize,
    /// The header fields: 100 by default.
    pub headers: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 16 * 1024, headers: 100 }
    }
}

/// The head of a request: its request line and its headers.
///
/// It is read before it is decided what the request asks for, so a server can look at its path and
/// answer it with something else than a WebSocket.
#[derive(Debug)]
pub struct Head {
    /// The request. Its body, should it have one, has not been read.
    pub request: Request<()>,
    /// How many bytes of the input are the head. What follows them belongs to the WebSocket.
    pub length: usize,
}

impl Head {
    /// Reads a head from the start of `bytes`, or `None`, if it is not complete yet.
    ///
    /// Call it with all that was received so far, each time that more came. It gives the same answer
    /// however the bytes were cut: `None`, until they hold either a whole head or a mistake. Each
    /// call reads from the start, and never beyond `limits.bytes`. Memory is taken in proportion to
    /// the lines that came.
    ///
    /// RFC 9112 is read strictly, but for two things that it allows itself (§2.2) and that people
    /// who type a request need: empty lines before the request line are passed over, and a lone LF
    /// ends a line. Since a request with a body is refused and nothing of HTTP follows an accepted
    /// one, there is no second request to smuggle by them. A folded header line is refused (§5.2).
    ///
    /// # Errors
    ///
    /// - [`Rejection::HeadTooLarge`] and [`Rejection::TooManyHeaders`], as soon as `bytes` holds more
    ///   than `limits` allow, whether or not the head has an end.
    /// - [`Rejection::HttpVersion`] for a version that has another format (1.0 has the same one, so it
    ///   is read here and refused by [`Upgrade::check`]).
    /// - [`Rejection::Malformed`] for what is no HTTP.
    ///
    /// [`Upgrade::check`]: super::Upgrade::check
    pub fn parse(bytes: &[u8], limits: HeadLimits) -> Result<Option<Self>, Rejection> {
        let window = bytes.get(..limits.bytes).unwrap_or(bytes);
        // A header ends in a line feed, so there cannot be more of them than of those.
        let lines = memchr::memchr_iter(b'\n', window).count();
        let mut headers = vec![httparse::EMPTY_HEADER; lines.min(limits.headers)];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(window) {
            Ok(httparse::Status::Complete(length)) => {
                Ok(Some(Self { request: to_request(&parsed, limits)?, length }))
            }
            Ok(httparse::Status::Partial) if window.len() == limits.bytes => {
                Err(Rejection::HeadTooLarge { limit: limits.bytes })
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(error) => Err(to_rejection(error, &parsed, window, limits)),
        }
    }
}

/// The part of a head that is not as RFC 9112 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HeadPart {
    /// The method, such as the bytes of a TLS handshake that came to a plain port.
    #[error("the method")]
    Method,
    /// The request target, which is to be a path or an `http` URL.
    #[error("the request target")]
    Target,
    /// The protocol after the request target, which is not HTTP.
    #[error("the protocol version")]
    Version,
    /// A header's name, the missing colon after it, or the white space of a folded line.
    #[error("a header's name")]
    HeaderName,
    /// A header's value, which holds a control character.
    #[error("a header's value")]
    HeaderValue,
    /// The end of a line, where CR is not followed by LF.
    #[error("the end of a line")]
    LineEnd,
}

/// What httparse has read, as the types of `http`, which are stricter here and there.
fn to_request(
    parsed: &httparse::Request<'_, '_>,
    limits: HeadLimits,
) -> Result<Request<()>, Rejection> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes())
        .map_err(|_| Rejection::Malformed(HeadPart::Method))?;
    *request.uri_mut() = Uri::try_from(parsed.path.unwrap_or_default())
        .map_err(|_| Rejection::Malformed(HeadPart::Target))?;
    *request.version_mut() = match parsed.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    *request.headers_mut() = to_headers(parsed.headers, limits)?;
    Ok(request)
}

fn to_headers(parsed: &[httparse::Header<'_>], limits: HeadLimits) -> Result<HeaderMap, Rejection> {
    let too_many = |_| Rejection::TooManyHeaders { limit: limits.headers };
    let mut headers = HeaderMap::try_with_capacity(parsed.len()).map_err(too_many)?;
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes())
            .map_err(|_| Rejection::Malformed(HeadPart::HeaderName))?;
        let value = HeaderValue::from_bytes(header.value)
            .map_err(|_| Rejection::Malformed(HeadPart::HeaderValue))?;
        headers.try_append(name, value).map_err(too_many)?;
    }
    Ok(headers)
}

fn to_rejection(
    error: httparse::Error,
    parsed: &httparse::Request<'_, '_>,
    window: &[u8],
    limits: HeadLimits,
) -> Rejection {
    Rejection::Malformed(match error {
        httparse::Error::TooManyHeaders => {
            return Rejection::TooManyHeaders { limit: limits.headers };
        }
        httparse::Error::Version if names_http(window) => return Rejection::HttpVersion,
        httparse::Error::Version => HeadPart::Version,
        httparse::Error::HeaderName => HeadPart::HeaderName,
        httparse::Error::HeaderValue => HeadPart::HeaderValue,
        httparse::Error::Token if parsed.method.is_none() => HeadPart::Method,
        httparse::Error::Token => HeadPart::Target,
        // A status is of responses only.
        httparse::Error::NewLine | httparse::Error::Status => HeadPart::LineEnd,
    })
}

/// Whether the request line ends in some version of HTTP, rather than in something else.
fn names_http(window: &[u8]) -> bool {
    let line = window.trim_ascii_start();
    line.splitn(3, |byte| *byte == b' ').nth(2).is_some_and(|rest| rest.starts_with(b"HTTP/"))
}
