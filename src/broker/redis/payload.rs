use crate::frame::{SharedMessage, Version};
use crate::session::Token;

use super::super::{Destination, Message};

/// What begins a payload on a channel whose destination keeps history: a header line of its own.
const TOKEN: &[u8] = b"token:";

/// A message as it is published and as a stream keeps it: a MESSAGE of STOMP 1.2 without the line of
/// its command.
pub(super) fn write(message: &SharedMessage) -> &[u8] {
    message.tail(Version::V1_2)
}

/// A message as it came by pub/sub, and its place in the stream if there is one. What is no message of
/// ours is a body: somebody else may publish as well.
pub(super) fn read(destination: &Destination, payload: &[u8]) -> (SharedMessage, Option<Token>) {
    if let Some(rest) = payload.strip_prefix(TOKEN)
        && let Some(end) = memchr::memchr(b'\n', rest)
        && let Some((token, tail)) = rest.split_at_checked(end)
        && let Some(token) = std::str::from_utf8(token).ok().and_then(|it| Token::new(it).ok())
    {
        return (read_kept(destination, tail.get(1..).unwrap_or_default()), Some(token));
    }
    (read_kept(destination, payload), None)
}

/// A message as a stream keeps it.
pub(super) fn read_kept(destination: &Destination, payload: &[u8]) -> SharedMessage {
    SharedMessage::from_tail(destination.as_str(), payload)
        .unwrap_or_else(|| Message::builder(destination.clone()).body(payload).into_shared())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let room: Destination = "/topic/a".parse().unwrap();
        let headers = [("note", "a:b\nc")];
        let message = SharedMessage::new(room.as_str(), headers, b"NUL \0 and \xFF");
        let (read_back, token) = read(&room, write(&message));
        assert_eq!(read_back.tail(Version::V1_2), message.tail(Version::V1_2));
        assert_eq!(read_back.tail(Version::V1_0), message.tail(Version::V1_0));
        assert_eq!((read_back.body(), read_back.is_text()), (message.body(), message.is_text()));
        assert_eq!(token, None);
        let with_token = [b"token:17-3\n", write(&message)].concat();
        let (read_back, token) = read(&room, &with_token);
        assert_eq!(read_back.tail(Version::V1_2), message.tail(Version::V1_2));
        assert_eq!(token, Token::new("17-3").ok());
    }

    #[test]
    fn what_is_of_somebody_else_is_a_body() {
        let room: Destination = "/topic/a".parse().unwrap();
        let elsewhere = SharedMessage::new("/topic/b", [("a", "b")], b"");
        let forged = ["subscription:7", "gap:true", "redelivered:true", "delivery-count:2"];
        let forged = forged.map(|header| format!("destination:/topic/a\n{header}\n\n\0"));
        let forged = forged.iter().map(String::as_bytes);
        let others = [b"{}".as_slice(), b"", b"token:", write(&elsewhere)];
        for payload in others.into_iter().chain(forged) {
            let (message, token) = read(&room, payload);
            assert_eq!((message.body(), token), (payload, None));
            let frame = message.frame().unwrap();
            assert_eq!(frame.headers().get("destination").as_deref(), Some("/topic/a"));
        }
    }
}
