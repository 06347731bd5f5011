//! A request that is answered by 101.

use bytes::BytesMut;
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{Response, StatusCode, request};

use super::{Subprotocol, response};

/// An Upgrade request that was accepted: the response to it, and the request, because
/// authentication looks at its headers, path and query later.
///
/// Only [`Upgrade::check`] and [`Upgrade::check_parts`] make it, so whoever holds one knows that the
/// request was checked.
///
/// [`Upgrade::check`]: super::Upgrade::check
/// [`Upgrade::check_parts`]: super::Upgrade::check_parts
#[derive(Clone, Debug)]
pub struct Accepted {
    request: request::Parts,
    accept: HeaderValue,
    subprotocol: Option<Subprotocol>,
}

impl Accepted {
    pub(super) fn new(
        request: request::Parts,
        accept: HeaderValue,
        subprotocol: Option<Subprotocol>,
    ) -> Self {
        Self { request, accept, subprotocol }
    }

    /// The request.
    pub fn request(&self) -> &request::Parts {
        &self.request
    }

    /// The request, to keep.
    pub fn into_parts(self) -> request::Parts {
        self.request
    }

    /// The subprotocol that is echoed, if one was offered that is served.
    pub fn subprotocol(&self) -> Option<Subprotocol> {
        self.subprotocol
    }

    /// The value of `Sec-WebSocket-Accept` (RFC 6455 §4.2.2 item 5.4).
    pub fn accept(&self) -> &HeaderValue {
        &self.accept
    }

    /// The response, `101 Switching Protocols`, for a server that writes it itself.
    ///
    /// No extension is taken up: a client that offers `permessage-deflate` goes on without it.
    pub fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(subprotocol) = self.subprotocol {
            let value = HeaderValue::from_static(subprotocol.as_str());
            headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        response
    }

    /// Appends the response as bytes to `out`. What follows them is WebSocket.
    pub fn write_response(&self, out: &mut BytesMut) {
        response::write_head(&self.response(), out);
    }
}
