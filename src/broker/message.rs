use std::fmt;

use crate::frame::{Frame, SharedMessage};

use super::Destination;

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
        let passed = headers
            .iter()
            .filter(|(name, _)| !is_withheld(name) && !withheld.iter().any(|other| other == name));
        let shared = SharedMessage::new(destination.as_str(), passed, send.body());
        Self { destination, shared }
    }

    /// Where the message goes.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The body, without the terminating NUL.
    pub fn body(&self) -> &[u8] {
        self.shared.body()
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
        let shared = SharedMessage::new(self.destination.as_str(), headers, body.as_ref());
        Message { destination: self.destination, shared }
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
    matches!(
        name,
        "receipt"
            | "transaction"
            | "content-length"
            | "destination"
            | "login"
            | "passcode"
            | "ack"
            | "id"
            | "subscription"
            | "message-id"
            | "authorization"
            | "x-authorization"
            | "token"
            | "gap"
            | "redelivered"
            | "delivery-count"
            | "user-name"
            | "session"
            | "history"
            | "since"
    ) || name.eq_ignore_ascii_case("authorization")
        || name.eq_ignore_ascii_case("x-authorization")
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
