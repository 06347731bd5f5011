use lapin::types::ShortString;

use super::super::{BrokerError, Destination};

/// The engine's name in errors.
pub(super) const ENGINE: &str = "RabbitMQ";

/// The exchange of topics, which every virtual host has.
pub(super) const TOPICS: &str = "amq.topic";

/// What a client's queues for replies are under, to this crate.
pub(super) const TEMPORARY: &str = "/temp-queue";

/// What the names of such queues begin with at RabbitMQ; the rest is the destination.
const TEMPORARY_QUEUES: &str = "stompbox";

/// Routing keys and names of queues and exchanges are short strings (AMQP 0-9-1, 4.2.5.3).
const LONGEST: usize = 255;

/// Where a destination is at RabbitMQ: as its own STOMP plugin has it, so that clients of the plugin
/// and of this crate meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Address {
    /// `/topic/room/5`: the routing key `room.5` of `amq.topic`.
    Topic(ShortString),
    /// `/queue/work`: a queue that is declared durable.
    Queue(ShortString),
    /// `/amq/queue/work`: a queue that is there already.
    ExistingQueue(ShortString),
    /// `/temp-queue/<key>/prices`: the queue `stompbox/temp-queue/<key>/prices`, which is the node's
    /// own.
    Temporary(ShortString),
    /// `/reply-queue/amq.gen-x`: what a `reply-to` of another client names. It is only sent to.
    ReplyQueue(ShortString),
    /// `/exchange/logs/error`: the routing key `error` of an exchange that is there already.
    Exchange(ShortString, ShortString),
}

impl Address {
    /// Where a destination is; refused where RabbitMQ has no such place.
    pub(super) fn of(destination: &Destination) -> Result<Self, BrokerError> {
        let name = destination.as_str();
        let short = |text: String| short(text, destination);
        if let Some(key) = name.strip_prefix("/topic/") {
            let words: Vec<_> = key.split('/').map(word).collect();
            return Ok(Self::Topic(short(words.join("."))?));
        }
        if let Some(queue) = name.strip_prefix("/queue/")
            && !queue.starts_with("amq.")
            && let queue = queue.replace("%2F", "/")
            && temporary_of(&queue).is_none()
        {
            return Ok(Self::Queue(short(queue)?));
        }
        // Nobody else consumes the replies to a client, not even on its own node, whose connection
        // RabbitMQ would allow it.
        if let Some(queue) = name.strip_prefix("/amq/queue/")
            && let queue = queue.replace("%2F", "/")
            && temporary_of(&queue).is_none()
        {
            return Ok(Self::ExistingQueue(short(queue)?));
        }
        if is_temporary(name) {
            return Ok(Self::Temporary(short(format!("{TEMPORARY_QUEUES}{name}"))?));
        }
        if let Some(queue) = name.strip_prefix("/reply-queue/") {
            return Ok(Self::ReplyQueue(short(queue.to_owned())?));
        }
        let mut exchange = name.strip_prefix("/exchange/").into_iter().flat_map(|it| it.split('/'));
        match (exchange.next(), exchange.next(), exchange.next()) {
            (Some(name), key, None) => {
                let key = key.unwrap_or_default().replace("%2F", "/");
                Ok(Self::Exchange(short(name.replace("%2F", "/"))?, short(key)?))
            }
            _ => Err(BrokerError::UnknownDestination {
                destination: destination.to_string(),
                known: "/topic/<key>, /queue/<name>, /amq/queue/<name>, /exchange/<name>/<key>, \
                        /temp-queue/<name>, /reply-queue/<name>"
                    .to_owned(),
            }),
        }
    }
}

/// What subscribers here call the routing key of a message on `amq.topic`. `None` for one that no
/// destination stands for: with an empty word, a control character, or a word that is a wildcard.
pub(super) fn topic_of(key: &str) -> Option<Destination> {
    let mut name = "/topic".to_owned();
    for word in key.split('.') {
        name.push('/');
        name.push_str(&segment(word));
    }
    Destination::new(&name).ok().filter(|topic| !topic.is_pattern())
}

/// The destination under [`TEMPORARY`] that a queue is for, if it is one for replies.
pub(super) fn temporary_of(queue: &str) -> Option<&str> {
    queue.strip_prefix(TEMPORARY_QUEUES).filter(|destination| is_temporary(destination))
}

fn is_temporary(destination: &str) -> bool {
    destination.strip_prefix(TEMPORARY).is_some_and(|rest| rest.starts_with('/'))
}

/// What a message that was published to an exchange by this key is shown as, as the plugin does it.
/// `None` if that is no name of a destination.
pub(super) fn exchange_of(exchange: &str, key: &str) -> Option<Destination> {
    if exchange == TOPICS {
        return topic_of(key);
    }
    let mut name = format!("/exchange/{}", exchange.replace('/', "%2F"));
    if !key.is_empty() {
        name.push('/');
        name.push_str(&key.replace('/', "%2F"));
    }
    Destination::new(&name).ok().filter(|name| !name.is_pattern())
}

/// A segment as a word of a routing key. A dot in it would divide the word, so it is `%2E`; a `%`
/// that would then be taken for the beginning of that is `%25`. `%2F` is what the plugin's clients
/// write for a slash in a routing key.
fn word(segment: &str) -> String {
    if segment == "**" {
        return "#".to_owned();
    }
    let mut word = String::with_capacity(segment.len());
    let mut rest = segment.chars();
    while let Some(first) = rest.next() {
        let after = rest.as_str();
        if first == '.' {
            word.push_str("%2E");
        } else if first == '%'
            && let Some(after) = after.strip_prefix("2F")
        {
            word.push('/');
            rest = after.chars();
        } else if first == '%' && begins_escape(after) {
            word.push_str("%25");
        } else {
            word.push(first);
        }
    }
    word
}

/// The reverse of [`word`].
fn segment(word: &str) -> String {
    let mut segment = String::with_capacity(word.len());
    let mut rest = word.chars();
    while let Some(first) = rest.next() {
        let after = rest.as_str();
        if first == '/' {
            segment.push_str("%2F");
        } else if first == '%'
            && let Some(after) = after.strip_prefix("2E")
        {
            segment.push('.');
            rest = after.chars();
        } else if first == '%'
            && let Some(after) = after.strip_prefix("25")
            && begins_escape(after)
        {
            segment.push('%');
            rest = after.chars();
        } else {
            segment.push(first);
        }
    }
    segment
}

/// Whether a `%` before this would be taken for an escape.
fn begins_escape(rest: &str) -> bool {
    rest.starts_with("2E") || rest.starts_with("25")
}

fn short(text: String, destination: &Destination) -> Result<ShortString, BrokerError> {
    let bytes = text.len();
    ShortString::try_new(text).map_err(|_| BrokerError::NameTooLong {
        destination: destination.to_string(),
        bytes,
        limit: LONGEST,
        engine: ENGINE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str) -> Result<Address, BrokerError> {
        Address::of(&name.parse().unwrap())
    }

    fn key(name: &str) -> String {
        match address(name).unwrap() {
            Address::Topic(key) => key.to_string(),
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn a_topic_is_a_routing_key_and_back() {
        let rows = [
            ("/topic/news", "news"),
            ("/topic/room/5", "room.5"),
            ("/topic/v1.2/a", "v1%2E2.a"),
            ("/topic/a%2Fb", "a/b"),
            ("/topic/100%", "100%"),
            ("/topic/%2E", "%252E"),
            ("/topic/%25", "%2525"),
            ("/topic/%252E", "%25252E"),
            ("/topic/%2525", "%252525"),
            ("/topic/räume/größe 5", "räume.größe 5"),
        ];
        for (name, routing_key) in rows {
            assert_eq!(key(name), routing_key, "{name}");
            assert_eq!(topic_of(routing_key).unwrap().as_str(), name, "{routing_key}");
        }
    }

    #[test]
    fn a_pattern_is_a_binding_key() {
        let rows = [
            ("/topic/*/x", "*.x"),
            ("/topic/a/**", "a.#"),
            ("/topic/#", "#"),
            ("/topic/a*", "a*"),
            ("/topic/**/end", "#.end"),
        ];
        for (pattern, binding) in rows {
            assert_eq!(key(pattern), binding);
        }
    }

    #[test]
    fn what_no_destination_stands_for_is_none() {
        for key in ["", ".", "a..b", "a.*", "#", "a.\n"] {
            assert_eq!(topic_of(key), None, "{key:?}");
        }
    }

    #[test]
    fn queues_and_exchanges_are_those_of_the_plugin() {
        let short = |text: &str| ShortString::try_new(text).unwrap();
        assert_eq!(address("/queue/a.b"), Ok(Address::Queue(short("a.b"))));
        assert_eq!(address("/queue/a/b"), Ok(Address::Queue(short("a/b"))));
        assert_eq!(address("/queue/a%2Fb"), Ok(Address::Queue(short("a/b"))));
        let existing = Ok(Address::ExistingQueue(short("amq.gen-1")));
        assert_eq!(address("/amq/queue/amq.gen-1"), existing);
        let reply = Ok(Address::ReplyQueue(short("amq.rabbitmq.reply-to/g2")));
        assert_eq!(address("/reply-queue/amq.rabbitmq.reply-to/g2"), reply);
        let exchange = |name, key| Ok(Address::Exchange(short(name), short(key)));
        assert_eq!(address("/exchange/logs"), exchange("logs", ""));
        assert_eq!(address("/exchange/logs/a.error"), exchange("logs", "a.error"));
        assert_eq!(address("/exchange/a%2Fb/c%2Fd"), exchange("a/b", "c/d"));
        for (name, shown) in
            [("logs", "/exchange/logs"), ("a/b", "/exchange/a%2Fb"), ("räume", "/exchange/räume")]
        {
            assert_eq!(exchange_of(name, "").unwrap().as_str(), shown);
            let with_key = format!("{shown}/c%2Fd.e");
            assert_eq!(exchange_of(name, "c/d.e").unwrap().as_str(), with_key);
        }
        assert_eq!(exchange_of(TOPICS, "room.5").unwrap().as_str(), "/topic/room/5");
        for key in ["#", "*", "a\n"] {
            assert_eq!(exchange_of("logs", key), None);
        }
        let unknown = ["/elsewhere/a", "/topic", "/exchange/a/b/c", "/queue/amq.gen-1", "/amq/x"];
        for unknown in unknown {
            let refused = address(unknown);
            let is_unknown = matches!(refused, Err(BrokerError::UnknownDestination { .. }));
            assert!(is_unknown, "{unknown}: {refused:?}");
        }
    }

    #[test]
    fn a_queue_for_replies_has_one_name_to_be_consumed_by() {
        let queue = "stompbox/temp-queue/0f/prices/5";
        let expected = Address::Temporary(ShortString::try_new(queue).unwrap());
        assert_eq!(address("/temp-queue/0f/prices/5"), Ok(expected));
        assert_eq!(temporary_of(queue), Some("/temp-queue/0f/prices/5"));
        for other in ["stompbox/queue/a", "stompbox/temp-queues/a", "temp-queue/0f/a", "work"] {
            assert_eq!(temporary_of(other), None);
        }
        for forbidden in ["/queue/", "/amq/queue/"] {
            for name in [queue, &queue.replace('/', "%2F")] {
                let refused = address(&format!("{forbidden}{name}"));
                let is_unknown = matches!(refused, Err(BrokerError::UnknownDestination { .. }));
                assert!(is_unknown, "{refused:?}");
            }
        }
        let reply = address(&format!("/reply-queue/{queue}"));
        assert!(matches!(reply, Ok(Address::ReplyQueue(_))));
    }

    #[test]
    fn a_key_over_255_bytes_is_refused() {
        assert_eq!(key(&format!("/topic/{}", "x".repeat(255))).len(), 255);
        for prefix in ["/topic/", "/queue/", "/amq/queue/", "/exchange/", "/exchange/a/"] {
            let refused = address(&format!("{prefix}{}", "x".repeat(256)));
            assert!(
                matches!(refused, Err(BrokerError::NameTooLong { bytes: 256, .. })),
                "{prefix}"
            );
        }
        // A dot takes three bytes.
        assert!(address(&format!("/topic/{}", ".".repeat(86))).is_err());
    }
}
