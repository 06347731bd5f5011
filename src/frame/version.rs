//! The versions of STOMP.

use std::fmt;

/// A version of STOMP, ordered from the oldest to the newest.
///
/// ```
/// use stompbox::frame::Version;
///
/// assert_eq!(Version::parse("1.1"), Some(Version::V1_1));
/// assert!(Version::V1_0 < Version::V1_2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: headers are never escaped.
    V1_0,
    /// STOMP 1.1: `\n`, `\c` and `\\` are escapes.
    V1_1,
    /// STOMP 1.2: `\r` is an escape too, and a line may end in CR LF.
    V1_2,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    /// The version as it stands in `accept-version` and `version`: `1.2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_what_as_str_writes() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.as_str()), Some(version));
        }
        for text in ["", "1", "1.3", " 1.2", "1.2 ", "v12.stomp"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}
