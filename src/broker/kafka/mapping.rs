use std::collections::BTreeSet;
use std::fmt::Write;

use super::super::prefixes::{Kind, Prefixes};
use super::super::{BrokerError, Destination};
use super::ENGINE;

/// Which destination is which topic and key at Kafka.
///
/// Rooms are keys, not topics: without a rule all topics of STOMP are one topic of Kafka, in which a
/// destination is a key. A queue is a topic of its own.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    prefixes: Prefixes,
    /// The topic of the destinations that no rule names.
    topic: String,
    rules: Vec<Rule>,
}

/// A destination, or all that begin alike, and the topic where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// What stands before the key, or the whole destination.
    destination: String,
    /// Whether the rest of a destination is the key.
    keyed: bool,
    topic: String,
    /// Whether it is for topics of STOMP, and not for a queue.
    is_topic: bool,
}

/// Where the messages of a destination are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address<'a> {
    pub(super) topic: &'a str,
    pub(super) key: &'a str,
    /// Whether each record of the topic is one of this destination, whatever its key.
    pub(super) whole_topic: bool,
}

/// What stands for the key in a rule.
const KEY: &str = "/{key}";

/// The longest name of a topic, in bytes.
const LONGEST: usize = 249;

const BAD_TOPIC: &str = "a topic of Kafka has 1 to 249 characters of a-z, A-Z, 0-9, ., _ and -";

impl Mapping {
    /// The error says what is wrong.
    pub(super) fn new(
        prefixes: Prefixes,
        topic: String,
        mut rules: Vec<Rule>,
    ) -> Result<Self, &'static str> {
        if !is_topic_name(&topic) {
            return Err(BAD_TOPIC);
        }
        for rule in &mut rules {
            let below = Destination::new(&format!("{}/x", rule.destination));
            rule.is_topic = match below.ok().and_then(|below| prefixes.kind(&below)) {
                Some(Kind::Topic) => true,
                Some(Kind::Queue) if !rule.keyed => false,
                _ => return Err("a map= is for topics, or for one queue"),
            };
        }
        Ok(Self { prefixes, topic, rules })
    }

    pub(super) fn prefixes(&self) -> &Prefixes {
        &self.prefixes
    }

    /// The topic of the destinations that no rule names.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// The topics that every node reads.
    pub(super) fn topics(&self) -> BTreeSet<&str> {
        let of_rules = self.rules.iter().filter(|rule| rule.is_topic);
        of_rules.map(|rule| rule.topic.as_str()).chain([self.topic.as_str()]).collect()
    }

    /// Where the messages of a topic of STOMP are.
    pub(super) fn address<'a>(&'a self, destination: &'a Destination) -> Address<'a> {
        let name = destination.as_str();
        for rule in &self.rules {
            if rule.keyed
                && let Some(rest) = name.strip_prefix(&rule.destination)
                && let Some(key) = rest.strip_prefix('/')
            {
                return Address { topic: &rule.topic, key, whole_topic: false };
            }
            if !rule.keyed && rule.destination == name {
                return Address { topic: &rule.topic, key: name, whole_topic: true };
            }
        }
        Address { topic: &self.topic, key: name, whole_topic: false }
    }

    /// The destinations of a record: of each rule for its topic, and of the default one. What is no
    /// destination of a topic has none.
    pub(super) fn destinations(&self, topic: &str, key: Option<&[u8]>) -> Vec<Destination> {
        let key = key.and_then(|key| std::str::from_utf8(key).ok());
        let mut destinations = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.topic == topic && rule.is_topic) {
            let name = match (rule.keyed, key) {
                (true, Some(key)) => format!("{}/{key}", rule.destination),
                (true, None) => continue,
                (false, _) => rule.destination.clone(),
            };
            self.add(&name, topic, &mut destinations);
        }
        if topic == self.topic
            && let Some(key) = key
        {
            self.add(key, topic, &mut destinations);
        }
        destinations
    }

    /// Adds a destination, if that is what is published there.
    fn add(&self, name: &str, topic: &str, destinations: &mut Vec<Destination>) {
        if let Ok(destination) = Destination::new(name)
            && self.prefixes.kind(&destination) == Some(Kind::Topic)
            && !destination.is_pattern()
            && self.address(&destination).topic == topic
        {
            destinations.push(destination);
        }
    }

    /// The topic that a queue is. A character that a topic cannot have is written as `.` and its bytes
    /// in hexadecimal.
    pub(super) fn queue(&self, queue: &Destination) -> Result<String, BrokerError> {
        let name = queue.as_str();
        let exact = |rule: &&Rule| !rule.is_topic && rule.destination == name;
        if let Some(rule) = self.rules.iter().find(exact) {
            return Ok(rule.topic.clone());
        }
        let mut topic = format!("{}-queue-", self.topic);
        // What is below another prefix begins with the `/` of that.
        for byte in name.strip_prefix("/queue/").unwrap_or(name).bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
                topic.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                _ = write!(topic, ".{byte:02X}");
            }
        }
        if topic.len() > LONGEST {
            return Err(BrokerError::NameTooLong {
                destination: name.to_owned(),
                bytes: topic.len(),
                limit: LONGEST,
                engine: ENGINE,
            });
        }
        Ok(topic)
    }
}

impl Rule {
    /// Reads `/topic/orders/{key}:orders` or `/topic/news:news`. The error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (destination, topic) =
            text.rsplit_once(':').ok_or("a map= names a destination, : and a topic")?;
        Self::new(destination, topic)
    }

    pub(super) fn new(destinations: &str, topic: &str) -> Result<Self, &'static str> {
        if !is_topic_name(topic) {
            return Err(BAD_TOPIC);
        }
        let (destination, keyed) = match destinations.strip_suffix(KEY) {
            Some(destination) => (destination, true),
            None => (destinations, false),
        };
        let valid = Destination::new(destination).is_ok_and(|it| !it.is_pattern());
        if !valid || destination.contains(['{', '}']) {
            return Err("a map= has a destination such as /topic/orders/{key}");
        }
        let (destination, topic) = (destination.to_owned(), topic.to_owned());
        Ok(Self { destination, keyed, topic, is_topic: true })
    }
}

/// Whether Kafka can have a topic of this name.
pub(super) fn is_topic_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !matches!(name, "" | "." | "..") && name.len() <= LONGEST && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping() -> Mapping {
        let rules = ["/topic/orders/{key}:orders", "/topic/news:news", "/queue/mail:outgoing.mail"];
        let rules = rules.map(|rule| Rule::parse(rule).unwrap()).into();
        Mapping::new(Prefixes::default(), "stompbox".to_owned(), rules).unwrap()
    }

    fn destination(name: &str) -> Destination {
        name.parse().unwrap()
    }

    #[test]
    fn a_destination_is_a_topic_and_a_key() {
        let rows = [
            ("/topic/room/5", "stompbox", "/topic/room/5"),
            ("/topic/orders/17", "orders", "17"),
            ("/topic/orders/eu/17", "orders", "eu/17"),
            ("/topic/orders", "stompbox", "/topic/orders"),
            ("/topic/news", "news", "/topic/news"),
            ("/topic/news/a", "stompbox", "/topic/news/a"),
        ];
        let mapping = mapping();
        for (name, topic, key) in rows {
            let room = destination(name);
            let address = mapping.address(&room);
            assert_eq!((address.topic, address.key), (topic, key), "{name}");
            let found = mapping.destinations(topic, Some(key.as_bytes()));
            assert_eq!(found, std::slice::from_ref(&room), "{name}");
        }
        assert_eq!(mapping.topics(), BTreeSet::from(["news", "orders", "stompbox"]));
    }

    #[test]
    fn what_is_no_destination_is_passed_over() {
        let mapping = mapping();
        assert_eq!(mapping.destinations("news", None), [destination("/topic/news")]);
        let passed_over: [(&str, Option<&[u8]>); 8] = [
            ("stompbox", None),
            ("stompbox", Some(b"room")),
            ("stompbox", Some(b"/queue/a")),
            ("stompbox", Some(b"/topic/*")),
            // It would be said to come from where nobody publishes it.
            ("stompbox", Some(b"/topic/orders/17")),
            ("orders", None),
            ("orders", Some(b"")),
            ("orders", Some(b"\xFF")),
        ];
        for (topic, key) in passed_over {
            assert!(mapping.destinations(topic, key).is_empty(), "{topic} {key:?}");
        }
        assert!(mapping.destinations("elsewhere", Some(b"/topic/a")).is_empty());
    }

    #[test]
    fn a_queue_is_a_topic_of_its_own() {
        let rows = [
            ("/queue/work", "stompbox-queue-work"),
            ("/queue/my_work-1", "stompbox-queue-my_work-1"),
            ("/queue/a.b/c", "stompbox-queue-a.2Eb.2Fc"),
            ("/queue/mail", "outgoing.mail"),
        ];
        for (name, topic) in rows {
            assert_eq!(mapping().queue(&destination(name)).unwrap(), topic);
            assert!(is_topic_name(topic));
        }
        let long = destination(&format!("/queue/{}", "x".repeat(250)));
        assert!(matches!(mapping().queue(&long), Err(BrokerError::NameTooLong { .. })));
    }

    #[test]
    fn mistakes_in_a_rule_are_named() {
        for bad in ["/topic/a", "/topic/a:", "/topic/a:b/c", "/topic/*:a", "/{key}:a", "x:a"] {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
        assert!(Rule::parse("/topic/{key}/x:a").is_err());
        for bad in ["/queue/a/{key}:a", "/elsewhere/{key}:a"] {
            let rules = vec![Rule::parse(bad).unwrap()];
            assert!(Mapping::new(Prefixes::default(), "a".to_owned(), rules).is_err(), "{bad}");
        }
    }
}
