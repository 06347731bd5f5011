use std::fmt;
use std::str::FromStr;

/// The place of a message in a stream: when it was added, in milliseconds since 1970, and its number
/// among those of the same millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId {
    pub(super) milliseconds: u64,
    number: u64,
}

/// A text that is no [`StreamId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidStreamId;

impl StreamId {
    /// Before all messages.
    pub(super) const ZERO: Self = Self { milliseconds: 0, number: 0 };
}

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    fn from_str(text: &str) -> Result<Self, InvalidStreamId> {
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten().ok_or(InvalidStreamId)
        };
        let (milliseconds, place) = text.split_once('-').ok_or(InvalidStreamId)?;
        Ok(Self { milliseconds: number(milliseconds)?, number: number(place)? })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_as_redis_orders_them() {
        let id = |text: &str| text.parse::<StreamId>().unwrap();
        assert!(id("9-0") < id("10-0") && id("10-2") < id("10-11"));
        assert_eq!(id("1732305600000-3").to_string(), "1732305600000-3");
        for bad in ["", "1", "-", "1-", "-1", "a-1", "1-+1", "1-2-3", "99999999999999999999-0"] {
            assert_eq!(bad.parse::<StreamId>(), Err(InvalidStreamId), "{bad}");
        }
    }
}
