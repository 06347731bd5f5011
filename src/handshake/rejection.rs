//! Why a request is not upgraded, and what it is answered.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode, Version};
use thiserror::Error;

use super::{HeadPart, response};

/// Why a request is not upgraded.
///
/// Most of them are found by [`Head::parse`] and [`Upgrade::check`]; those that need a clock or a
/// count, [`HeadTimeout`], [`TooManyConnections`] and [`Draining`], are the server's to make. The
/// text of each is also the body of its [`response`].
///
/// ```
/// use std::time::Duration;
/// use stompbox::handshake::Rejection;
///
/// let response = Rejection::Draining { retry_after: Duration::from_secs(5) }.response();
/// assert_eq!(response.status(), 503);
/// assert_eq!(response.headers()["retry-after"], "5");
/// ```
///
/// [`Head::parse`]: super::Head::parse
/// [`Upgrade::check`]: super::Upgrade::check
/// [`HeadTimeout`]: Self::HeadTimeout
/// [`TooManyConnections`]: Self::TooManyConnections
/// [`Draining`]: Self::Draining
/// [`response`]: Self::response
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// 400: the bytes are no HTTP/1 request.
    #[error("malformed request: {0}")]
    Malformed(HeadPart),
    /// 431: the head is larger than [`HeadLimits::bytes`](super::HeadLimits::bytes).
    #[error("the head of the request is larger than {limit} bytes")]
    HeadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// 431: there are more headers than [`HeadLimits::headers`](super::HeadLimits::headers).
    #[error("the request has more than {limit} headers")]
    TooManyHeaders {
        /// The limit, in header fields.
        limit: usize,
    },
    /// 408: the head was not complete in time.
    #[error("the head of the request was not complete in time")]
    HeadTimeout,
    /// 505: the request is of HTTP/1.0, or its request line names another version than 1.1.
    #[error("a WebSocket needs HTTP/1.1")]
    HttpVersion,
    /// 501: the request came over HTTP/2 or HTTP/3. Extended CONNECT (RFC 8441, RFC 9220) is not
    /// supported; clients open a connection of HTTP/1.1 unless a server announces it.
    #[error("a WebSocket over {0:?} is not supported: use HTTP/1.1")]
    Multiplexed(Version),
    /// 405: the method is not GET.
    #[error("a WebSocket is opened by GET, not by {0}")]
    MethodNotAllowed(Method),
    /// 404: there is nothing at this path.
    #[error("there is no WebSocket at this path")]
    NotFound,
    /// 400: the request announces a body, which an Upgrade request cannot have: what follows its
    /// head is WebSocket, so the two sides would disagree on where that begins.
    #[error("an Upgrade request has no body: `{0}` is not allowed")]
    UnexpectedBody(HeaderName),
    /// 400: a header that may be there once is there more often.
    #[error("`{0}` is repeated")]
    RepeatedHeader(HeaderName),
    /// 400: `Host` is missing.
    #[error("`host` is missing")]
    MissingHost,
    /// 400: `Host` is not `host[:port]`.
    #[error("`host` is not a host and an optional port")]
    InvalidHost,
    /// 426: `Upgrade` does not hold `websocket`. This is how a browser's visit of the path ends.
    #[error("this is a WebSocket: `upgrade: websocket` is missing")]
    MissingUpgrade,
    /// 400: `Connection` does not hold `upgrade`. Some proxies take it away.
    #[error("`connection: upgrade` is missing")]
    MissingConnectionUpgrade,
    /// 426: `Sec-WebSocket-Version` is missing or is not 13.
    #[error("`sec-websocket-version` is not 13")]
    UnsupportedWebSocketVersion,
    /// 400: `Sec-WebSocket-Key` is missing.
    #[error("`sec-websocket-key` is missing")]
    MissingKey,
    /// 400: `Sec-WebSocket-Key` is not the base64 of 16 bytes.
    #[error("`sec-websocket-key` is not 16 bytes in base64")]
    InvalidKey,
    /// 403: the [`OriginPolicy`](super::OriginPolicy) does not let the page in.
    #[error("the origin {origin:?} is not allowed by this server's origin policy")]
    OriginNotAllowed {
        /// The value of `Origin`, as far as it is UTF-8.
        origin: String,
    },
    /// 503: the server has as many connections as it may have.
    #[error("there are too many connections")]
    TooManyConnections {
        /// After how long to try again; told in whole seconds, rounded up.
        retry_after: Duration,
    },
    /// 503: the server is about to stop and takes no new connections.
    #[error("the server is shutting down")]
    Draining {
        /// After how long to try again; told in whole seconds, rounded up.
        retry_after: Duration,
    },
}

impl Rejection {
    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_)
            | Self::UnexpectedBody(_)
            | Self::RepeatedHeader(_)
            | Self::MissingHost
            | Self::InvalidHost
            | Self::MissingConnectionUpgrade
            | Self::MissingKey
            | Self::InvalidKey => StatusCode::BAD_REQUEST,
            Self::OriginNotAllowed { .. } => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::MissingUpgrade | Self::UnsupportedWebSocketVersion => {
                StatusCode::UPGRADE_REQUIRED
            }
            Self::HeadTooLarge { .. } | Self::TooManyHeaders { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Multiplexed(_) => StatusCode::NOT_IMPLEMENTED,
            Self::TooManyConnections { .. } | Self::Draining { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// The response, for a server that writes it itself: the headers that its status asks for, and
    /// a line of text that says what was wrong.
    pub fn response(&self) -> Response<String> {
        let mut response = Response::new(format!("{self}\n"));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        // The text may quote the request.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.insert_headers(headers);
        response
    }

    /// Appends the response as bytes to `out`, with `Content-Length` and `Connection: close`: the
    /// connection is to be closed once they are sent, after reading and discarding for a moment
    /// what the peer still sends, since a reset would destroy them.
    pub fn write_response(&self, out: &mut BytesMut) {
        let mut response = self.response();
        let length = HeaderValue::from(response.body().len());
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length);
        let connection = if headers.contains_key(UPGRADE) { "Upgrade, close" } else { "close" };
        headers.insert(CONNECTION, HeaderValue::from_static(connection));
        response::write_head(&response, out);
        if !matches!(self, Self::MethodNotAllowed(method) if method == Method::HEAD) {
            out.put_slice(response.body().as_bytes());
        }
    }

    /// The headers of the response that depend on the reason.
    fn insert_headers(&self, headers: &mut HeaderMap) {
        match self {
            Self::MethodNotAllowed(_) => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::MissingUpgrade => insert_upgrade(headers),
            Self::UnsupportedWebSocketVersion => {
                insert_upgrade(headers);
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            Self::TooManyConnections { retry_after } | Self::Draining { retry_after } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(*retry_after)));
            }
            // Where the next request would begin is not known, or the client could not say it.
            Self::Malformed(_)
            | Self::UnexpectedBody(_)
            | Self::HeadTooLarge { .. }
            | Self::TooManyHeaders { .. }
            | Self::HeadTimeout
            | Self::HttpVersion => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
    }
}

/// A 426 has to name the protocol (RFC 9110 §15.5.22), and whoever sends `Upgrade` has to name it
/// in `Connection` (§7.8).
fn insert_upgrade(headers: &mut HeaderMap) {
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
}

/// `Retry-After` counts in seconds; half a second must not become "now".
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
