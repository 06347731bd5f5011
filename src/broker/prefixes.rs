use super::{BrokerError, Destination};

/// Which destinations are topics and which are queues, by how they begin.
#[derive(Debug, Clone)]
pub(super) struct Prefixes {
    topics: Vec<String>,
    queues: Vec<String>,
}

/// What a destination is, by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Topic,
    Queue,
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

    /// The prefixes of queues, without a `/` at their end.
    #[cfg(feature = "nats")]
    pub(super) fn queues(&self) -> &[String] {
        &self.queues
    }

    /// What a destination is; refused where it is neither.
    pub(super) fn kind(&self, destination: &Destination) -> Result<Kind, BrokerError> {
        let begins = |prefixes: &[String]| {
            prefixes.iter().any(|prefix| {
                let rest = destination.as_str().strip_prefix(prefix.as_str());
                rest.is_some_and(|rest| rest.starts_with('/'))
            })
        };
        if begins(&self.topics) {
            Ok(Kind::Topic)
        } else if begins(&self.queues) {
            Ok(Kind::Queue)
        } else {
            Err(BrokerError::UnknownDestination {
                destination: destination.to_string(),
                known: self.in_words(),
            })
        }
    }

    fn in_words(&self) -> String {
        let prefixes: Vec<_> = self.topics.iter().chain(&self.queues).map(String::as_str).collect();
        prefixes.join(", ")
    }
}

impl Default for Prefixes {
    /// `/topic` and `/queue`.
    fn default() -> Self {
        Self { topics: vec!["/topic".to_owned()], queues: vec!["/queue".to_owned()] }
    }
}

/// A prefix without the `/` that follows it in a destination.
fn whole_segments(prefix: &str) -> String {
    prefix.trim_end_matches('/').to_owned()
}
