use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use memchr::memchr2;
use thiserror::Error;

/// The name of a destination, checked once: `/topic/room/5`.
///
/// STOMP leaves destinations to the server (STOMP 1.2, "SEND"). Here a name begins with `/`, has
/// segments between `/`, and ends in none of them: no segment is empty. `.` is an ordinary
/// character. What a prefix means is up to the broker.
///
/// Cloning shares the name.
///
/// ```
/// use stompbox::broker::Destination;
///
/// let room: Destination = "/topic/room/5".parse()?;
/// assert_eq!(room.as_str(), "/topic/room/5");
/// assert!(room.segments().eq(["topic", "room", "5"]));
/// assert!("topic/room".parse::<Destination>().is_err());
/// # Ok::<(), stompbox::broker::DestinationError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(Arc<str>);

/// Why a name is no destination.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// It does not begin with `/`.
    #[error("the destination {0:?} does not begin with /")]
    NoSlash(String),
    /// Two `/` in a row, or one at the end.
    #[error("the destination {0:?} has an empty segment")]
    EmptySegment(String),
    /// It holds a control character.
    #[error("the destination {name:?} has a control character at byte {at}")]
    ControlCharacter {
        /// The name.
        name: String,
        /// The offset of the character, in bytes.
        at: usize,
    },
    /// It is longer than [`Destination::MAX_LENGTH`].
    #[error("the destination has {length} bytes, at most {limit} are allowed", limit = Destination::MAX_LENGTH)]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It has more segments than [`Destination::MAX_DEPTH`].
    #[error("the destination has more than {limit} segments", limit = Destination::MAX_DEPTH)]
    TooDeep,
}

impl Destination {
    /// The longest name, in bytes. Engines have limits of their own near it (RabbitMQ's routing
    /// keys: 255, Kafka's topics: 249), and a longer name is a mistake or an attack.
    pub const MAX_LENGTH: usize = 1024;

    /// The most segments of a name, so that matching a pattern has a known worst case.
    pub const MAX_DEPTH: usize = 32;

    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, DestinationError> {
        check(name)?;
        Ok(Self(Arc::from(name)))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands between the slashes.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// Whether a segment is a wildcard (`*`, `**` or `#`): such a name can be subscribed to, where
    /// the broker supports patterns, and never sent to.
    pub fn is_pattern(&self) -> bool {
        // Asked for each message, and nearly always answered by this.
        memchr2(b'*', b'#', self.0.as_bytes()).is_some()
            && self.segments().any(|segment| matches!(segment, "*" | "**" | "#"))
    }
}

fn check(name: &str) -> Result<(), DestinationError> {
    if name.len() > Destination::MAX_LENGTH {
        return Err(DestinationError::TooLong { length: name.len() });
    }
    let Some(segments) = name.strip_prefix('/') else {
        return Err(DestinationError::NoSlash(name.to_owned()));
    };
    if let Some(at) = name.bytes().position(|byte| byte.is_ascii_control()) {
        return Err(DestinationError::ControlCharacter { name: name.to_owned(), at });
    }
    let mut depth = 0;
    for segment in segments.split('/') {
        if segment.is_empty() {
            return Err(DestinationError::EmptySegment(name.to_owned()));
        }
        depth += 1;
    }
    if depth > Destination::MAX_DEPTH {
        return Err(DestinationError::TooDeep);
    }
    Ok(())
}

impl std::str::FromStr for Destination {
    type Err = DestinationError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl Borrow<str> for Destination {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["/topic/room/5", "/queue/a.b", "/topic/räume", "/load-0", "/a"] {
            assert!(Destination::new(good).is_ok(), "{good}");
        }
        assert!(matches!(Destination::new(""), Err(DestinationError::NoSlash(_))));
        assert!(matches!(Destination::new("topic"), Err(DestinationError::NoSlash(_))));
        for empty in ["/", "//", "/topic/", "/topic//5"] {
            assert!(
                matches!(Destination::new(empty), Err(DestinationError::EmptySegment(_))),
                "{empty}"
            );
        }
        assert_eq!(
            Destination::new("/topic/a\nb"),
            Err(DestinationError::ControlCharacter { name: "/topic/a\nb".into(), at: 8 })
        );
        assert_eq!(
            Destination::new(&format!("/{}", "x".repeat(1024))),
            Err(DestinationError::TooLong { length: 1025 })
        );
        assert_eq!(Destination::new(&"/x".repeat(33)), Err(DestinationError::TooDeep));
        assert!(Destination::new(&"/x".repeat(32)).is_ok());
    }

    #[test]
    fn a_wildcard_is_a_whole_segment() {
        for pattern in ["/topic/*", "/topic/**", "/topic/#", "/topic/*/x"] {
            assert!(Destination::new(pattern).unwrap().is_pattern(), "{pattern}");
        }
        assert!(!Destination::new("/topic/a*b").unwrap().is_pattern());
    }
}
