use super::super::{BrokerError, Destination};

/// What begins all names that are ours at a Redis.
const OURS: &str = "stompbox:";

/// The pub/sub channel of a destination.
pub(super) fn channel(destination: &Destination) -> String {
    format!("{OURS}{destination}")
}

/// The key of the stream that holds the history of a destination.
pub(super) fn stream(destination: &Destination) -> String {
    format!("{OURS}history:{destination}")
}

/// The key under which a node notes how much of what it sent was done.
pub(super) fn progress(node: u64) -> String {
    format!("{OURS}progress:{node:016x}")
}

/// The key of the stream that holds the messages of a queue.
pub(super) fn queue(destination: &Destination) -> String {
    format!("{OURS}queue:{destination}")
}

/// What the node is called in the group of consumers of a queue.
pub(super) fn node(number: u64) -> String {
    format!("{number:016x}")
}

/// The key of the sorted set of the nodes that consume from queues, by when each was there.
pub(super) const NODES: &str = "stompbox:nodes";

/// What begins the key of the set of the queues that a node consumes from; behind it is the node.
pub(super) const QUEUES_OF_NODE: &str = "stompbox:node:";

/// The destination of a channel, or what is behind our prefix of a pattern of channels.
pub(super) fn behind_prefix(channel: &[u8]) -> Option<&str> {
    std::str::from_utf8(channel).ok()?.strip_prefix(OURS)
}

/// A pattern of channels as Redis has it, where `*` is any text, `/` included. It is as wide as the
/// pattern of destinations that it was made from, or wider: what is too much, the router drops.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Glob(String);

impl Glob {
    /// The glob that has all that a pattern matches.
    pub(super) fn of(pattern: &Destination) -> Self {
        let mut glob = String::with_capacity(pattern.as_str().len());
        for segment in pattern.segments() {
            match segment {
                // It may be no segment at all, so the slash before it is a part of it.
                "**" | "#" => glob.push('*'),
                "*" => glob.push_str("/*"),
                literal => {
                    glob.push('/');
                    // Any one byte stands for what Redis would take for something else.
                    let special = |it| matches!(it, '*' | '?' | '[' | ']' | '\\' | '^' | '-');
                    glob.extend(literal.chars().map(|it| if special(it) { '?' } else { it }));
                }
            }
        }
        while glob.contains("**") {
            glob = glob.replace("**", "*");
        }
        Self(glob)
    }

    /// The glob in a name that [`pattern`](Self::pattern) has made.
    pub(super) fn named(behind_prefix: &str) -> Self {
        Self(behind_prefix.to_owned())
    }

    /// As it is subscribed to.
    pub(super) fn pattern(&self) -> String {
        format!("{OURS}{}", self.0)
    }

    /// Its name among the upstream subscriptions of a node.
    pub(super) fn upstream(&self) -> Result<Destination, BrokerError> {
        Ok(Destination::new(&self.0)?)
    }

    /// Whether Redis takes a destination for one that it matches.
    pub(super) fn matches(&self, destination: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = strip_prefix(destination.as_bytes(), first.as_bytes()) else {
            return false;
        };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            let part = part.as_bytes();
            if parts.peek().is_none() {
                let start = rest.len().checked_sub(part.len());
                let end = start.and_then(|start| rest.get(start..));
                return end.is_some_and(|end| strip_prefix(end, part).is_some());
            }
            let found = (0..=rest.len()).find_map(|at| strip_prefix(rest.get(at..)?, part));
            let Some(behind) = found else { return false };
            rest = behind;
        }
        true
    }
}

/// What is behind a prefix in which `?` is any byte.
fn strip_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    let same = |(byte, wanted): (&u8, &u8)| *wanted == b'?' || byte == wanted;
    start.iter().zip(prefix).all(same).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::super::super::pattern;
    use super::*;

    fn glob(pattern: &str) -> Glob {
        Glob::of(&pattern.parse().unwrap())
    }

    #[test]
    fn a_pattern_becomes_a_glob() {
        let rows = [
            ("/topic/room/*", "/topic/room/*"),
            ("/topic/**", "/topic*"),
            ("/topic/#", "/topic*"),
            ("/topic/**/end", "/topic*/end"),
            ("/topic/*/**", "/topic/*"),
            ("/topic/a-b[c]/*", "/topic/a?b?c?/*"),
        ];
        for (pattern, expected) in rows {
            assert_eq!(glob(pattern).0, expected, "{pattern}");
        }
    }

    #[test]
    fn a_glob_is_at_least_as_wide_as_its_pattern() {
        let names =
            ["/topic", "/topic/a", "/topic/b", "/topic/a/b", "/topic/a-b/x", "/topic/a/b/a"];
        let patterns = [
            "/topic/*",
            "/topic/**",
            "/topic/**/b",
            "/topic/a-b/*",
            "/*/a/**",
            "/**/a/**/a",
            "/**",
        ];
        for name in names {
            for pattern in patterns {
                let exact = pattern::matches(&pattern.parse().unwrap(), &name.parse().unwrap());
                assert!(!exact || glob(pattern).matches(name), "{pattern} {name}");
            }
        }
        assert!(glob("/topic/**").matches("/topical"), "which the router drops");
        assert!(!glob("/topic/*/x").matches("/topic/a/y"));
        assert!(!glob("/topic/**/x").matches("/x"));
        assert!(!glob("/topic/ab/*").matches("/topic/a"));
    }
}
