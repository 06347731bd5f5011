use std::fmt;
use std::str::FromStr;

use crate::session::Token;

/// The place of a message: its partition, and its offset there. It is the token of the message.
///
/// The topic is not part of it, since a destination is in one topic only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// A text that is no [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidPlace;

impl Place {
    pub(super) fn token(self) -> Option<Token> {
        Token::new(&self.to_string()).ok()
    }

    pub(super) fn of(token: &Token) -> Option<Self> {
        token.as_text()?.parse().ok()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.partition, self.offset)
    }
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let (partition, offset) = text.split_once('.').ok_or(InvalidPlace)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(partition) || !digits(offset) {
            return Err(InvalidPlace);
        }
        let partition = partition.parse().map_err(|_| InvalidPlace)?;
        Ok(Self { partition, offset: offset.parse().map_err(|_| InvalidPlace)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_token_and_back() {
        let place = Place { partition: 7, offset: 1_234_567_890_123 };
        let token = place.token().unwrap();
        assert_eq!(token.to_string(), "7.1234567890123");
        assert_eq!(Place::of(&token), Some(place));
        assert_eq!(Token::parse_position("7.12"), None, "it is no position of the router's");
        for bad in ["", "1", ".", "1.", ".1", "-1.2", "1.+2", "1.2.3", "99999999999.1"] {
            assert_eq!(bad.parse::<Place>(), Err(InvalidPlace), "{bad}");
        }
    }
}
