use std::time::Duration;

/// How much a topic keeps for subscribers who come late. What exceeds any of the bounds is dropped,
/// the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// The most messages; 0 keeps nothing.
    pub messages: usize,
    /// The most bytes, with what they cost to keep.
    pub bytes: usize,
    /// How long a message is kept.
    pub age: Duration,
}

impl Retention {
    /// Keeps nothing.
    pub const NONE: Self = Self { messages: 0, bytes: 0, age: Duration::ZERO };

    /// Keeps this many messages, of 1 MiB at the most, for an hour.
    pub const fn messages(messages: usize) -> Self {
        Self { messages, bytes: 1 << 20, age: Duration::from_secs(60 * 60) }
    }

    /// Whether it keeps anything at all.
    pub const fn is_none(&self) -> bool {
        self.messages == 0 || self.bytes == 0 || self.age.is_zero()
    }
}

impl Default for Retention {
    /// Keeps nothing.
    fn default() -> Self {
        Self::NONE
    }
}
