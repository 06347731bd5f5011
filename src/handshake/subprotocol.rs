//! The STOMP subprotocols of `Sec-WebSocket-Protocol`.

use std::fmt;

use http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL};

use super::fields;

/// A version of STOMP as a WebSocket subprotocol, ordered from the oldest to the newest.
///
/// The subprotocol is a hint for the WebSocket layer only: the version that the session speaks is
/// negotiated by the `accept-version` header of CONNECT, which wins where the two disagree.
///
/// ```
/// use stompbox::handshake::Subprotocol;
///
/// assert_eq!(Subprotocol::parse("v12.stomp"), Some(Subprotocol::V12Stomp));
/// assert_eq!(Subprotocol::V10Stomp.as_str(), "v10.stomp");
/// assert!(Subprotocol::V12Stomp > Subprotocol::V11Stomp);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subprotocol {
    /// `v10.stomp`, STOMP 1.0.
    V10Stomp,
    /// `v11.stomp`, STOMP 1.1.
    V11Stomp,
    /// `v12.stomp`, STOMP 1.2.
    V12Stomp,
}

impl Subprotocol {
    /// All subprotocols, from the oldest to the newest.
    pub const ALL: [Self; 3] = [Self::V10Stomp, Self::V11Stomp, Self::V12Stomp];

    /// The subprotocol that has this name, if it is one of STOMP's.
    ///
    /// Names are compared as they are: they are registered in lower case (RFC 6455 §11.5).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subprotocol| subprotocol.as_str() == name)
    }

    /// The name as it stands in `Sec-WebSocket-Protocol`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V10Stomp => "v10.stomp",
            Self::V11Stomp => "v11.stomp",
            Self::V12Stomp => "v12.stomp",
        }
    }

    /// The newest of `served` that the request offers, whatever the order of its list.
    ///
    /// webstomp-client offers the worst first, so the client's order says nothing about preference.
    /// `None`, if nothing is offered or nothing that is served, is no error (RFC 6455 §4.2.2).
    pub(super) fn choose(headers: &HeaderMap, served: &[Self]) -> Option<Self> {
        fields::elements(headers, &SEC_WEBSOCKET_PROTOCOL)
            .filter_map(|name| Self::parse(std::str::from_utf8(name).ok()?))
            .filter(|subprotocol| served.contains(subprotocol))
            .max()
    }
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
