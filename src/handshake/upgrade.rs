//! The validator.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Request, Version};

use super::authority::Authority;
use super::key::Key;
use super::{Accepted, HeadPart, OriginPolicy, Rejection, Subprotocol, fields};

/// Decides which requests become a WebSocket (RFC 6455 §4.2.1), and holds what there is to
/// configure in that. It is not changed by what it checks: one in an `Arc` serves all connections.
///
/// ```
/// use stompbox::handshake::{OriginPolicy, Rejection, Upgrade};
///
/// let upgrade = Upgrade::new().path("/ws").origin(OriginPolicy::any());
/// let request = http::Request::get("/ws")
///     .header("host", "example.com")
///     .header("upgrade", "websocket")
///     .header("connection", "keep-alive, Upgrade")
///     .header("sec-websocket-version", "13")
///     .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("sec-websocket-protocol", "v10.stomp, v12.stomp")
///     .body(())?;
/// let accepted = upgrade.check(request)?;
/// assert_eq!(accepted.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// assert_eq!(accepted.response().headers()["sec-websocket-protocol"], "v12.stomp");
///
/// let rejected = upgrade.check(http::Request::get("/").body(())?);
/// assert_eq!(rejected.unwrap_err(), Rejection::NotFound);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Upgrade {
    subprotocols: Vec<Subprotocol>,
    origin: OriginPolicy,
    /// Empty: any path.
    paths: Vec<String>,
}

impl Upgrade {
    /// All subprotocols, any path, and only pages of the [same origin](OriginPolicy::same_origin).
    pub fn new() -> Self {
        Self {
            subprotocols: Subprotocol::ALL.to_vec(),
            origin: OriginPolicy::default(),
            paths: Vec::new(),
        }
    }

    /// Serves these subprotocols only. With none, no subprotocol is ever echoed.
    #[must_use]
    pub fn subprotocols(mut self, subprotocols: impl IntoIterator<Item = Subprotocol>) -> Self {
        self.subprotocols = subprotocols.into_iter().collect();
        self
    }

    /// Which pages may open a WebSocket.
    #[must_use]
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.origin = policy;
        self
    }

    /// Adds a path that is served; without any, all are. It is compared as it was sent, without
    /// the query: `/ws` is neither `/ws/` nor `/%77s`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Checks a request, for instance one that [`Head::parse`](super::Head::parse) has read.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] of the first thing that is wrong, in this order: protocol and method, path,
    /// body, host, the headers of the handshake, origin.
    pub fn check(&self, request: Request<()>) -> Result<Accepted, Rejection> {
        self.check_parts(request.into_parts().0)
    }

    /// Checks the parts of a request that some other server has read.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn check_parts(&self, parts: Parts) -> Result<Accepted, Rejection> {
        check_protocol(&parts)?;
        self.check_path(&parts)?;
        check_no_body(&parts)?;
        let authority = authority(&parts)?;
        let accept = check_handshake(&parts)?.accept();
        self.check_origin(&parts, authority)?;
        let subprotocol = Subprotocol::choose(&parts.headers, &self.subprotocols);
        Ok(Accepted::new(parts, accept, subprotocol))
    }

    fn check_path(&self, parts: &Parts) -> Result<(), Rejection> {
        let path = parts.uri.path();
        if !path.starts_with('/') {
            // `*` and `host:port` are the targets of OPTIONS and CONNECT (RFC 9112 §3.2).
            return Err(Rejection::Malformed(HeadPart::Target));
        }
        let served = self.paths.is_empty() || self.paths.iter().any(|served| served == path);
        served.then_some(()).ok_or(Rejection::NotFound)
    }

    fn check_origin(&self, parts: &Parts, host: Authority<'_>) -> Result<(), Rejection> {
        let Some(origin) = fields::single(&parts.headers, &ORIGIN)? else { return Ok(()) };
        let origin = String::from_utf8_lossy(origin);
        if self.origin.allows_at(&origin, Some(host)) {
            Ok(())
        } else {
            Err(Rejection::OriginNotAllowed { origin: origin.into_owned() })
        }
    }
}

impl Default for Upgrade {
    fn default() -> Self {
        Self::new()
    }
}

fn check_protocol(parts: &Parts) -> Result<(), Rejection> {
    match parts.version {
        // They have no `Upgrade`: a WebSocket is a CONNECT there, and there is no 405 to give it.
        version @ (Version::HTTP_2 | Version::HTTP_3) => Err(Rejection::Multiplexed(version)),
        _ if parts.method != Method::GET => Err(Rejection::MethodNotAllowed(parts.method.clone())),
        Version::HTTP_11 => Ok(()),
        _ => Err(Rejection::HttpVersion),
    }
}

fn check_no_body(parts: &Parts) -> Result<(), Rejection> {
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        return Err(Rejection::UnexpectedBody(TRANSFER_ENCODING));
    }
    // The client of the JDK says that the length is 0.
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    if lengths.all(|length| length.as_bytes().trim_ascii() == b"0") {
        Ok(())
    } else {
        Err(Rejection::UnexpectedBody(CONTENT_LENGTH))
    }
}

/// Where the request is addressed: a target that is a whole URL replaces `Host`, which has to be
/// there nevertheless (RFC 9112 §3.2.2).
fn authority(parts: &Parts) -> Result<Authority<'_>, Rejection> {
    let host = fields::single(&parts.headers, &HOST)?.ok_or(Rejection::MissingHost)?;
    let host = std::str::from_utf8(host).ok().and_then(Authority::parse);
    let host = host.ok_or(Rejection::InvalidHost)?;
    match parts.uri.authority() {
        None => Ok(host),
        Some(target) => {
            Authority::parse(target.as_str()).ok_or(Rejection::Malformed(HeadPart::Target))
        }
    }
}

/// RFC 6455 §4.2.1, items 3 to 6.
fn check_handshake(parts: &Parts) -> Result<Key<'_>, Rejection> {
    let headers = &parts.headers;
    if !fields::has_token(headers, &UPGRADE, "websocket") {
        return Err(Rejection::MissingUpgrade);
    }
    if !fields::has_token(headers, &CONNECTION, "upgrade") {
        return Err(Rejection::MissingConnectionUpgrade);
    }
    if fields::single(headers, &SEC_WEBSOCKET_VERSION)? != Some(b"13") {
        return Err(Rejection::UnsupportedWebSocketVersion);
    }
    let key = fields::single(headers, &SEC_WEBSOCKET_KEY)?.ok_or(Rejection::MissingKey)?;
    Key::parse(key).ok_or(Rejection::InvalidKey)
}
