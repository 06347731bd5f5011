use std::fmt;
use std::time::Duration;

use crate::frame::{Frame, Header, HeaderName, SharedMessage};

use super::{BrokerError, Destination};

/// A message on its way through a broker: where it goes, and its headers and body.
///
/// Headers and body are encoded once and shared by all copies ([`SharedMessage`]); cloning costs a
/// reference count.
///
/// ```
/// use stompbox::broker::Message;
///
/// let room = "/topic/room/5".parse()?;
/// let message = Message::builder(room)
///     .header("content-type", "application/json")
///     .body(br#"{"chatRoomId":5}"#);
/// assert_eq!(message.body(), br#"{"chatRoomId":5}"#);
/// # Ok::<(), stompbox::broker::DestinationError>(())
/// ```
#[derive(Clone)]
pub struct Message {
    destination: Destination,
    shared: SharedMessage,
    expiration: Expiration,
}

/// The `expiration` header.
#[derive(Debug, Clone)]
enum Expiration {
    None,
    After(Duration),
    Invalid(Box<str>),
}

/// Collects the headers of a [`Message`].
#[derive(Debug)]
pub struct MessageBuilder {
    destination: Destination,
    headers: Vec<(String, String)>,
}

impl Message {
    /// Begins a message to a destination.
    pub fn builder(destination: Destination) -> MessageBuilder {
        MessageBuilder { destination, headers: Vec::new() }
    }

    /// The message that a SEND frame asks for: its own headers and its body, less what is between
    /// the sender and the server ([`is_withheld`]) and less `withheld`, the names that the
    /// application adds to those.
    pub fn from_send(destination: Destination, send: &Frame, withheld: &[String]) -> Self {
        let headers = send.headers();
        let is_passed_on = |header: &Header<'_>| {
            let stays = header.known().map_or_else(|| is_withheld(&header.name()), stays);
            !stays && !withheld.iter().any(|other| *other == header.name())
        };
        let own = headers.entries().filter(is_passed_on);
        let shared = SharedMessage::with_headers_of(destination.as_str(), own, send.body());
        let expiration = Expiration::of(send.header(HeaderName::Expiration).as_deref());
        Self { destination, shared, expiration }
    }

    /// Where the message goes.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The body, without the terminating NUL.
    pub fn body(&self) -> &[u8] {
        self.shared.body()
    }

    /// How long the message may wait in a queue for a consumer: its `expiration` header, in
    /// milliseconds. The error is a value that is no number.
    pub fn expiration(&self) -> Result<Option<Duration>, BrokerError> {
        match &self.expiration {
            Expiration::None => Ok(None),
            Expiration::After(time) => Ok(Some(*time)),
            Expiration::Invalid(value) => Err(BrokerError::InvalidHeader {
                header: HeaderName::Expiration.as_str(),
                value: value.to_string(),
                expected: "a number of milliseconds",
            }),
        }
    }

    /// What all copies of the message share.
    pub fn shared(&self) -> &SharedMessage {
        &self.shared
    }

    /// What all copies of the message share, without the destination.
    pub fn into_shared(self) -> SharedMessage {
        self.shared
    }
}

impl MessageBuilder {
    /// Adds a header. Of two headers with one name the first counts (STOMP 1.2, "Repeated Header
    /// Entries"); `destination`, `content-length` and what a delivery sets itself are left out.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        if !is_withheld(&name) {
            self.headers.push((name, value.into()));
        }
        self
    }

    /// Ends the message with its body, which is copied.
    pub fn body(self, body: impl AsRef<[u8]>) -> Message {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut expiration = headers.clone().filter(|(name, _)| *name == "expiration");
        let expiration = Expiration::of(expiration.next().map(|(_, value)| value));
        let shared = SharedMessage::new(self.destination.as_str(), headers, body.as_ref());
        Message { destination: self.destination, shared, expiration }
    }
}

impl Expiration {
    fn of(value: Option<&str>) -> Self {
        let Some(value) = value else { return Self::None };
        // A sign is not for a time to come.
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        let milliseconds = digits.then(|| value.parse().ok()).flatten();
        milliseconds.map_or_else(
            || Self::Invalid(value.into()),
            |milliseconds| Self::After(Duration::from_millis(milliseconds)),
        )
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("destination", &self.destination)
            .field("body_bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

/// Whether a header of a SEND stays between the sender and the server.
///
/// `receipt`, `transaction`, `login`, `passcode` and `authorization` speak to the server only;
/// `destination` and `content-length` are written anew; the rest is said by the server to a
/// subscriber and must not be forged by a sender (STOMP 1.2, "SEND": user-defined headers are
/// passed through).
///
/// A name is compared without space around it, since there are clients that trim.
pub fn is_withheld(name: &str) -> bool {
    let name = name.trim();
    HeaderName::parse(name).is_some_and(stays)
        || matches!(name, "dead-letter-reason" | "dead-letter-from")
        || name.eq_ignore_ascii_case("authorization")
        || name.eq_ignore_ascii_case("x-authorization")
}

/// As [`is_withheld`], for a well-known name.
fn stays(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::Receipt
            | HeaderName::Transaction
            | HeaderName::ContentLength
            | HeaderName::Destination
            | HeaderName::Login
            | HeaderName::Passcode
            | HeaderName::Ack
            | HeaderName::Id
            | HeaderName::Subscription
            | HeaderName::MessageId
            | HeaderName::Authorization
            | HeaderName::XAuthorization
            | HeaderName::Token
            | HeaderName::Gap
            | HeaderName::Redelivered
            | HeaderName::DeliveryCount
            | HeaderName::UserName
            | HeaderName::Session
            | HeaderName::History
            | HeaderName::Since
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Command, Version};

    #[test]
    fn f10_user_headers_pass_and_the_servers_own_do_not() {
        let mut send = Frame::new(Command::Send)
            .with_header("destination", "/topic/a")
            .with_header("content-type", "text/plain")
            .with_header("x-colour", "blue: \\ deep")
            .with_header("x-tenant", "7");
        for name in [
            "receipt",
            "transaction",
            "login",
            "passcode",
            "ack",
            "id",
            "subscription",
            "message-id",
            "authorization",
            "Authorization",
            "x-authorization",
            "token",
            "gap",
            "redelivered",
            "delivery-count",
            "user-name",
            "session",
            "history",
            "since",
            "dead-letter-reason",
            "dead-letter-from",
            " redelivered\t",
        ] {
            send = send.with_header(name, "forged");
        }
        let message = Message::from_send(
            "/topic/a".parse().unwrap(),
            &send.with_body("hello"),
            &["x-tenant".to_owned()],
        );
        assert_eq!(
            String::from_utf8_lossy(message.shared().tail(Version::V1_2)),
            "destination:/topic/a\ncontent-type:text/plain\nx-colour:blue\\c \\\\ deep\n\
             content-length:5\n\nhello\0"
        );
    }
}
