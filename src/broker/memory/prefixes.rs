use std::fmt;

use super::super::Destination;

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
    pub(super) topics: Vec<String>,
    pub(super) queues: Vec<String>,
    pub(super) temporary: String,
}

impl Prefixes {
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

/// The prefixes in words, for an error message.
impl fmt::Display for Prefixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for prefix in self.topics.iter().chain(&self.queues) {
            write!(f, "{prefix}, ")?;
        }
        f.write_str(&self.temporary)
    }
}
