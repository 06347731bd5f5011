use std::borrow::Cow;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::header::COOKIE;
use http::request::Parts;
use thiserror::Error;

use crate::frame::{Frame, Headers};

use super::Principal;

/// A decision about a connection that is being made.
pub type Authenticating =
    Pin<Box<dyn Future<Output = Result<Principal, AuthenticationError>> + Send>>;

/// Decides who a connection is, from its CONNECT frame and its Upgrade request.
///
/// Heart-beats and other connections go on while the future is pending; frames that came behind the
/// CONNECT wait for it.
///
/// ```
/// use stompbox::server::{
///     Authenticate, Authenticating, AuthenticationError, ConnectRequest, Principal,
/// };
///
/// struct Password(&'static str);
///
/// impl Authenticate for Password {
///     fn authenticate(&self, request: ConnectRequest) -> Authenticating {
///         let right = request.passcode().as_deref() == Some(self.0);
///         let name = request.login().unwrap_or_default().into_owned();
///         Box::pin(async move {
///             if right { Ok(Principal::new(name)) } else { Err(AuthenticationError::refused()) }
///         })
///     }
/// }
/// ```
pub trait Authenticate: Send + Sync + 'static {
    /// Decides about one connection.
    fn authenticate(&self, request: ConnectRequest) -> Authenticating;
}

/// What is known of a client that wants to connect. Cloning shares it.
#[derive(Clone)]
pub struct ConnectRequest {
    frame: Frame,
    upgrade: Option<Arc<Parts>>,
    peer: Option<SocketAddr>,
}

/// Why a client may not connect.
///
/// The text is sent to it. An error of the program's own, such as a database that does not answer,
/// is the [`source`](StdError::source), which the client is not told: [`internal`](Self::internal)
/// makes such an error.
///
/// ```
/// use std::error::Error;
/// use stompbox::server::AuthenticationError;
///
/// fn look_up(token: &str) -> Result<u64, AuthenticationError> {
///     token.parse().map_err(AuthenticationError::internal)
/// }
///
/// let error = look_up("x7").unwrap_err();
/// assert_eq!(error.to_string(), "the credentials could not be checked: internal error");
/// assert_eq!(error.source().unwrap().to_string(), "invalid digit found in string");
/// ```
#[derive(Debug, Clone, Error)]
#[error("{detail}")]
pub struct AuthenticationError {
    detail: Cow<'static, str>,
    our_fault: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ConnectRequest {
    pub(super) fn new(frame: Frame, upgrade: Option<Arc<Parts>>, peer: Option<SocketAddr>) -> Self {
        Self { frame, upgrade, peer }
    }

    /// The headers of CONNECT, whose values are as they came: STOMP does not escape them
    /// (STOMP 1.2, "Value Encoding"). Names are case-sensitive in STOMP, though not in HTTP.
    pub fn headers(&self) -> Headers<'_> {
        self.frame.headers()
    }

    /// The `login` header.
    pub fn login(&self) -> Option<Cow<'_, str>> {
        self.frame.header("login")
    }

    /// The `passcode` header.
    pub fn passcode(&self) -> Option<Cow<'_, str>> {
        self.frame.header("passcode")
    }

    /// The token of an `Authorization: Bearer …` header of CONNECT, the name and the scheme in any
    /// case: clients write both, since in HTTP they are the same (RFC 6750 §2.1).
    pub fn bearer_token(&self) -> Option<String> {
        let mut headers = self.headers().iter();
        let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    }

    /// The value of a cookie of the Upgrade request, as it came (RFC 6265 §4.2.1). Of two with one
    /// name the first counts, which is the one of the longer path (§5.4); one that is no UTF-8 is
    /// passed over. `None` on plain TCP.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let headers = self.upgrade()?.headers.get_all(COOKIE).iter();
        let mut cookies = headers.flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
        cookies.find_map(|cookie| {
            let (given, value) = std::str::from_utf8(cookie).ok()?.trim().split_once('=')?;
            (given == name).then_some(value)
        })
    }

    /// The `host` header: the virtual host that the client wants.
    pub fn host(&self) -> Option<Cow<'_, str>> {
        self.frame.header("host")
    }

    /// The request that was upgraded to a WebSocket, with its cookies, its path and its query, and
    /// with the extensions that middleware in front of a route of axum has left there; `None` on
    /// plain TCP.
    pub fn upgrade(&self) -> Option<&Parts> {
        self.upgrade.as_deref()
    }

    /// The client's address, where the server accepted the connection itself, or axum was asked for
    /// it with `into_make_service_with_connect_info`.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
}

impl AuthenticationError {
    /// A refusal with a text for the client.
    pub fn new(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), our_fault: false, source: None }
    }

    /// A refusal that does not say what was wrong.
    pub fn refused() -> Self {
        Self::new("the credentials were not accepted")
    }

    /// An error of the program's own. The client is told that there was one and not which.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let detail = "the credentials could not be checked: internal error";
        Self { our_fault: true, ..Self::new(detail) }.with_source(source)
    }

    /// Whether the credentials may be right and could not be checked.
    pub(super) fn is_our_fault(&self) -> bool {
        self.our_fault
    }

    /// Adds what the error comes from, which the client is not told.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }
}

/// Lets everybody in, as nobody in particular.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Anybody;

impl Authenticate for Anybody {
    fn authenticate(&self, _request: ConnectRequest) -> Authenticating {
        Box::pin(std::future::ready(Ok(Principal::anonymous())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Command;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut upgrade = http::Request::new(()).into_parts().0;
        for cookies in [&b"lang=de; sid=a=b ;theme"[..], b"broken=\xFF; sid=second", b"late=1"] {
            upgrade.headers.append(COOKIE, cookies.try_into().unwrap());
        }
        let connect = Frame::new(Command::Connect);
        let request = ConnectRequest::new(connect.clone(), Some(Arc::new(upgrade)), None);
        assert_eq!(request.cookie("lang"), Some("de"));
        assert_eq!(request.cookie("sid"), Some("a=b"));
        assert_eq!(request.cookie("late"), Some("1"));
        for missing in ["theme", "broken", "SID", "id", ""] {
            assert_eq!(request.cookie(missing), None, "{missing:?}");
        }
        assert_eq!(ConnectRequest::new(connect, None, None).cookie("sid"), None);
    }
}
