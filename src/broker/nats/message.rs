use async_nats::HeaderMap;

use super::super::{Destination, Message};
use super::subject::{decoded, push_escaped};

/// Which node has published a message, and as its how manyth.
///
/// It travels as `Nats-Msg-Id`. What a node publishes again after it has lost its connection has the
/// number that it had, so a listener knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) node: u64,
    pub(super) number: u64,
}

/// JetStream reads it as well, to keep a message once.
const ORIGIN: &str = "Nats-Msg-Id";

/// The name of the stream that a message was kept in, which tells it with what it has published again.
pub(super) const STREAM: &str = "Nats-Stream";

/// Carries a header that cannot be one of NATS, as `name:value`, escaped.
const ESCAPED: &str = "Stompbox-Header";

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (node, number) = text.split_once('-')?;
        let node = (node.len() == 16).then(|| u64::from_str_radix(node, 16).ok())??;
        Some(Self { node, number: number.parse().ok()? })
    }
}

/// The headers that a message has at NATS: its own, under their names, where NATS can carry them as
/// they are.
pub(super) fn headers(message: &Message, origin: Origin) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ORIGIN, format!("{:016x}-{}", origin.node, origin.number));
    let frame = message.shared().frame();
    let all = frame.iter().flat_map(|frame| frame.headers().iter());
    // Of two headers with one name the first counts, and NATS keeps the order within a name only. So
    // all that comes behind an escaped one is escaped as well.
    let mut plain = true;
    for (name, value) in
        all.filter(|(name, _)| !matches!(&**name, "destination" | "content-length"))
    {
        plain = plain && is_plain_name(&name) && is_plain_value(&value);
        if plain {
            headers.append(&*name, &*value);
        } else {
            headers.append(ESCAPED, format!("{}:{}", escaped(&name), escaped(&value)));
        }
    }
    headers
}

/// The message that came from NATS, and from which node if it was one.
///
/// From other producers the payload is the body, and the headers are the headers.
pub(super) fn message(
    destination: Destination,
    headers: Option<&HeaderMap>,
    payload: &[u8],
) -> (Message, Option<Origin>) {
    let mut message = Message::builder(destination);
    let Some(headers) = headers else { return (message.body(payload), None) };
    for (name, values) in headers.iter() {
        let name: &str = name.as_ref();
        if !is_engines(name) && name != ESCAPED {
            for value in values {
                message = message.header(name, value.as_str());
            }
        }
    }
    for escaped in headers.get_all(ESCAPED) {
        if let Some((name, value)) = escaped.as_str().split_once(':') {
            message = message.header(decoded(name), decoded(value));
        }
    }
    let origin = headers.get(ORIGIN).and_then(|origin| Origin::parse(origin.as_str()));
    (message.body(payload), origin)
}

/// Whether a message comes from a stream, which has published it again.
pub(super) fn is_from_stream(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| headers.get(STREAM).is_some())
}

/// Whether NATS gives a meaning to the header: a STOMP client must not be able to, say, empty a
/// stream by `Nats-Rollup`.
fn is_engines(name: &str) -> bool {
    begins_with(name, "nats-")
}

fn begins_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
}

/// A token (RFC 9110 §5.6.2), and none that means something to NATS or to this adapter.
fn is_plain_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(token)
        && !is_engines(name)
        && !begins_with(name, "stompbox-")
}

/// Space around a value is not kept by NATS, nor are line ends in it.
fn is_plain_value(value: &str) -> bool {
    !value.chars().any(char::is_control) && value.trim() == value
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        push_escaped(&mut escaped, byte, byte.is_ascii_graphic() && !matches!(byte, b'%' | b':'));
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: Origin = Origin { node: 0x1f, number: 7 };

    fn received(headers: &HeaderMap, payload: &[u8]) -> (Message, Option<Origin>) {
        message("/topic/a".parse().unwrap(), Some(headers), payload)
    }

    fn fields(message: &Message) -> Vec<(String, String)> {
        let frame = message.shared().frame().unwrap();
        let fields = frame.headers().iter().map(|(name, value)| (name.into(), value.into()));
        let mut fields: Vec<_> = fields.filter(|(name, _)| name != "destination").collect();
        // The order counts within a name.
        fields.sort_by(|(one, _): &(String, String), (other, _)| one.cmp(other));
        fields
    }

    #[test]
    fn every_header_comes_back_as_it_was() {
        let headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("Content-Type", "another"),
            ("empty", ""),
            ("räume", "größer"),
            ("x-line", "a\nb\r\n"),
            ("x-space", " around\t"),
            ("x-space", "of two the first counts"),
            ("a:b", "c:d%3A"),
            ("with space", "%"),
            ("x-%41", "%41"),
            ("nats-rollup", "all"),
            ("Stompbox-Header", "x:y"),
        ];
        let mut original = Message::builder("/topic/a".parse().unwrap());
        for (name, value) in headers {
            original = original.header(name, value);
        }
        let original = original.body(b"NUL \0 and \xFF");
        let (copy, origin) = received(&super::headers(&original, ORIGINAL), original.body());
        assert_eq!(origin, Some(ORIGINAL));
        assert_eq!(copy.body(), original.body());
        assert_eq!(fields(&copy), fields(&original));
    }

    #[test]
    fn what_has_a_meaning_to_the_engine_is_not_the_senders_to_say() {
        let sent = Message::builder("/topic/a".parse().unwrap())
            .header("Nats-Rollup", "all")
            .header("NATS-Msg-Id", "forged")
            .body("");
        let headers = headers(&sent, ORIGINAL);
        assert!(headers.get("Nats-Rollup").is_none());
        assert!(headers.get("NATS-Msg-Id").is_none());
        assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), "000000000000001f-7");
    }

    #[test]
    fn a_message_of_another_producer_is_taken_as_it_is() {
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/json");
        headers.insert("Nats-Msg-Id", "order-17");
        headers.insert("message-id", "forged");
        let (message, origin) = received(&headers, b"{}");
        assert_eq!(origin, None);
        assert_eq!(message.body(), b"{}");
        let expected = [("Content-Type", "application/json"), ("content-length", "2")];
        assert_eq!(fields(&message), expected.map(|(name, value)| (name.into(), value.into())));
    }
}
