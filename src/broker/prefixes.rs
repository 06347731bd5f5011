use std::fmt;

use super::{BrokerError, Destination};

/// What a destination is, by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Topic,
    Queue,
    /// A queue for the replies to one connection.
    Temporary,
}

/// The prefixes of a broker's destinations, without the `/` that follows them.
#[derive(Debug, Clone)]
pub(super) struct Prefixes {
    topics: Vec<String>,
    queues: Vec<String>,
    pub(super) temporary: String,
}

impl Prefixes {
    /// Adds a prefix of topics, with or without a `/` at its end.
    pub(super) fn add_topics(&mut self, prefix: &str) {
        self.topics.push(whole_segments(prefix));
    }

    /// Adds a prefix of queues, with or without a `/` at its end.
    pub(super) fn add_queues(&mut self, prefix: &str) {
        self.queues.push(whole_segments(prefix));
    }

    /// Sets the prefix of the queues for replies, with or without a `/` at its end.
    pub(super) fn set_temporary(&mut self, prefix: &str) {
        self.temporary = whole_segments(prefix);
    }

    /// The prefixes of topics, without a `/` at their end.
    #[cfg(feature = "nats")]
    pub(super) fn topics(&self) -> &[String] {
        &self.topics
    }

    /// The prefixes of queues, without a `/` at their end.
    #[cfg(feature = "nats")]
    pub(super) fn queues(&self) -> &[String] {
        &self.queues
    }

    /// Whether they are those of a broker that was told of no others.
    #[cfg(feature = "rabbitmq")]
    pub(super) fn are_default(&self) -> bool {
        let Self { topics, queues, temporary } = Self::default();
        (&self.topics, &self.queues, &self.temporary) == (&topics, &queues, &temporary)
    }

    /// What a destination is, or that nothing handles it.
    pub(super) fn check(&self, destination: &Destination) -> Result<Kind, BrokerError> {
        self.kind(destination).ok_or_else(|| BrokerError::UnknownDestination {
            destination: destination.to_string(),
            known: self.to_string(),
        })
    }

    /// What a destination is; `None` if no prefix begins it.
    pub(super) fn kind(&self, destination: &Destination) -> Option<Kind> {
        let begins = |prefix: &str| {
            let rest = destination.as_str().strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        if self.topics.iter().any(|prefix| begins(prefix)) {
            Some(Kind::Topic)
        } else if self.queues.iter().any(|prefix| begins(prefix)) {
            Some(Kind::Queue)
        } else {
            begins(&self.temporary).then_some(Kind::Temporary)
        }
    }
}

impl Default for Prefixes {
    /// `/topic`, `/queue` and `/temp-queue`.
    fn default() -> Self {
        Self {
            topics: vec!["/topic".to_owned()],
            queues: vec!["/queue".to_owned()],
            temporary: "/temp-queue".to_owned(),
        }
    }
}

/// The prefixes in words, for an error message.
impl fmt::Display for Prefixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for prefix in self.topics.iter().chain(&self.queues) {
            write!(f, "{prefix}, ")?;
        }
        f.write_str(&self.temporary)
    }
}

/// A prefix without the `/` that follows it in a destination.
fn whole_segments(prefix: &str) -> String {
    prefix.trim_end_matches('/').to_owned()
}
