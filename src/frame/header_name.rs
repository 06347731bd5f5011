//! Names of headers that the crate knows.

use std::fmt;

macro_rules! header_names {
    ($($variant:ident = $text:literal, $doc:literal;)+) => {
        /// A well-known header name.
        ///
        /// The decoder resolves each name once, so that looking up a header by its `HeaderName`
        /// compares no text. Names are case-sensitive, as everything in STOMP's headers is.
        ///
        /// ```
        /// use stompbox::frame::{Command, Frame, HeaderName};
        ///
        /// let frame = Frame::new(Command::Send).with_header(HeaderName::Destination, "/topic/a");
        /// assert_eq!(frame.header(HeaderName::Destination).as_deref(), Some("/topic/a"));
        /// assert_eq!(frame.header("destination").as_deref(), Some("/topic/a"));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum HeaderName {
            $(#[doc = $doc] $variant,)+
        }

        impl HeaderName {
            /// Every well-known name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name as it stands on the wire: `message-id`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The well-known name that is spelled `name`, if there is one.
            pub fn parse(name: &str) -> Option<Self> {
                Self::from_bytes(name.as_bytes())
            }

            /// As [`parse`](Self::parse), for a name as it stands on the wire. No well-known name
            /// holds a character that is escaped, so a name with an escape is none of them.
            pub(super) fn from_bytes(name: &[u8]) -> Option<Self> {
                $(if name == $text.as_bytes() { return Some(Self::$variant); })+
                None
            }
        }
    };
}

header_names! {
    Destination = "destination", "`destination` of SEND, SUBSCRIBE and MESSAGE.";
    ContentLength = "content-length", "`content-length`: octets in the body.";
    ContentType = "content-type", "`content-type`: MIME type of the body.";
    Id = "id", "`id` of SUBSCRIBE, UNSUBSCRIBE, ACK and NACK.";
    Subscription = "subscription", "`subscription` of MESSAGE, and of ACK and NACK in 1.1.";
    MessageId = "message-id", "`message-id` of MESSAGE, and of ACK and NACK before 1.2.";
    Ack = "ack", "`ack` of SUBSCRIBE (the mode) and of MESSAGE (what to settle by).";
    Receipt = "receipt", "`receipt`: asks for a RECEIPT.";
    ReceiptId = "receipt-id", "`receipt-id` of RECEIPT and ERROR.";
    Transaction = "transaction", "`transaction`: which transaction a frame belongs to.";
    Message = "message", "`message` of ERROR.";
    AcceptVersion = "accept-version", "`accept-version` of CONNECT.";
    Version = "version", "`version` of CONNECTED and ERROR.";
    HeartBeat = "heart-beat", "`heart-beat` of CONNECT and CONNECTED.";
    Host = "host", "`host` of CONNECT: the virtual host.";
    Login = "login", "`login` of CONNECT.";
    Passcode = "passcode", "`passcode` of CONNECT.";
    Server = "server", "`server` of CONNECTED.";
    Session = "session", "`session` of CONNECTED.";
    Selector = "selector", "`selector` of SUBSCRIBE, on brokers that filter.";
    UserName = "user-name", "`user-name` of CONNECTED: who the server takes the client for.";
    Authorization = "authorization", "`authorization` of CONNECT: a bearer token.";
    XAuthorization = "x-authorization", "`x-authorization` of CONNECT: a bearer token.";
    Token = "token", "`token` of MESSAGE: its position in the history.";
    Gap = "gap", "`gap` of MESSAGE: messages before it are lost.";
    Redelivered = "redelivered", "`redelivered` of MESSAGE: it was delivered before.";
    DeliveryCount = "delivery-count", "`delivery-count` of MESSAGE.";
    History = "history", "`history` of SUBSCRIBE: how many old messages to send.";
    Since = "since", "`since` of SUBSCRIBE: from where to send old messages.";
    PrefetchCount = "prefetch-count", "`prefetch-count` of SUBSCRIBE.";
    ReplyTo = "reply-to", "`reply-to` of SEND and MESSAGE.";
    Persistent = "persistent", "`persistent` of SEND and MESSAGE.";
    Expiration = "expiration", "`expiration` of SEND and MESSAGE.";
}

impl HeaderName {
    /// Whether the value is a secret that must not reach a log: [`Frame`](super::Frame)'s `Debug`
    /// hides it, however the name is capitalized.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Passcode | Self::Authorization | Self::XAuthorization)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a header is looked up or written by: a [`HeaderName`] or its text.
///
/// Sealed: it is here so that `frame.header("destination")` and
/// `frame.header(HeaderName::Destination)` are one function.
pub trait HeaderKey: sealed::Sealed {
    /// The name in clear text, not escaped.
    fn as_text(&self) -> &str;

    /// The well-known name, if it is one.
    fn known(&self) -> Option<HeaderName>;
}

impl HeaderKey for HeaderName {
    fn as_text(&self) -> &str {
        self.as_str()
    }

    fn known(&self) -> Option<HeaderName> {
        Some(*self)
    }
}

impl HeaderKey for str {
    fn as_text(&self) -> &str {
        self
    }

    fn known(&self) -> Option<HeaderName> {
        HeaderName::parse(self)
    }
}

impl HeaderKey for String {
    fn as_text(&self) -> &str {
        self
    }

    fn known(&self) -> Option<HeaderName> {
        HeaderName::parse(self)
    }
}

impl HeaderKey for std::borrow::Cow<'_, str> {
    fn as_text(&self) -> &str {
        self
    }

    fn known(&self) -> Option<HeaderName> {
        HeaderName::parse(self)
    }
}

impl<K: HeaderKey + ?Sized> HeaderKey for &K {
    fn as_text(&self) -> &str {
        (**self).as_text()
    }

    fn known(&self) -> Option<HeaderName> {
        (**self).known()
    }
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::HeaderName {}
    impl Sealed for str {}
    impl Sealed for String {}
    impl Sealed for std::borrow::Cow<'_, str> {}
    impl<K: Sealed + ?Sized> Sealed for &K {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_what_as_str_writes() {
        for name in HeaderName::ALL {
            assert_eq!(HeaderName::parse(name.as_str()), Some(*name));
            assert_eq!(HeaderName::parse(&name.as_str().to_uppercase()), None);
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(name.as_str().chars().all(plain), "{name} must never need an escape");
        }
        assert_eq!(HeaderName::parse(""), None);
    }
}
