use std::fmt;
use std::time::Duration;

/// A `heart-beat` header: what one side can do and what it wants (STOMP 1.2, "Heart-beating").
///
/// ```
/// use std::time::Duration;
/// use stompbox::session::HeartBeat;
///
/// let client = HeartBeat::parse("4000,10000").unwrap();
/// let server = HeartBeat::new(Duration::from_secs(10), Duration::from_secs(10));
/// // The server sends what it can, as seldom as both agree to.
/// assert_eq!(server.sends_to(client), Some(Duration::from_secs(10)));
/// assert_eq!(client.sends_to(server), Some(Duration::from_secs(10)));
/// // One side says 0: no beats in that direction.
/// assert_eq!(server.sends_to(HeartBeat::NONE), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HeartBeat {
    sends: u32,
    wants: u32,
}

impl HeartBeat {
    /// `0,0`: no heart-beats at all, and what a missing header means.
    pub const NONE: Self = Self { sends: 0, wants: 0 };

    /// A side that guarantees a beat every `sends` and wants one every `wants`; zero is none.
    /// Milliseconds count, up to some 49 days.
    pub fn new(sends: Duration, wants: Duration) -> Self {
        Self { sends: milliseconds(sends), wants: milliseconds(wants) }
    }

    /// The value of a header; `None` if it is malformed: two unsigned decimal numbers with a comma
    /// between them and nothing else. Larger numbers than fit are as good as the largest.
    pub fn parse(value: &str) -> Option<Self> {
        let (sends, wants) = value.split_once(',')?;
        Some(Self { sends: number(sends)?, wants: number(wants)? })
    }

    /// How often this side, which sent the one header, sends a beat to a peer that sent the other:
    /// the larger of what it can do and what the peer wants, or never if either is 0.
    pub fn sends_to(self, peer: Self) -> Option<Duration> {
        let period = self.sends.max(peer.wants);
        let both = self.sends != 0 && peer.wants != 0;
        both.then(|| Duration::from_millis(period.into()))
    }
}

impl fmt::Display for HeartBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.sends, self.wants)
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

fn number(digits: &str) -> Option<u32> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_malformed_headers_are_refused() {
        for malformed in ["", ",", "1", "1,", ",1", "1,2,3", "-1,2", "+1,2", " 1,2", "1, 2", "a,b"]
        {
            assert_eq!(HeartBeat::parse(malformed), None, "{malformed:?}");
        }
        assert_eq!(HeartBeat::parse("0,0"), Some(HeartBeat::NONE));
        let huge = HeartBeat::parse("99999999999999999999,0").unwrap();
        assert_eq!(huge.to_string(), format!("{},0", u32::MAX));
    }
}
