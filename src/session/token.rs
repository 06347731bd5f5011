use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::message_encoder::render;

/// Names the place of a message in the history of its destination: the `token` header of a MESSAGE,
/// which a client gives back as `since` when it subscribes again.
///
/// It is an extension of STOMP, as user-defined headers are (STOMP 1.2, "MESSAGE"). What a token
/// looks like is its broker's affair; clients only hand it back.
///
/// ```
/// use stompbox::session::Token;
///
/// assert_eq!(Token::position(0x1f, 42).to_string(), "1f-42");
/// assert_eq!(Token::new("1700000000000-0")?.to_string(), "1700000000000-0");
/// assert!(Token::new("a:b").is_err());
/// # Ok::<(), stompbox::session::InvalidToken>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Rendered when it is written: nothing is allocated for a message that nobody gets.
    Position {
        epoch: u64,
        position: u64,
    },
    Text(Arc<str>),
}

/// A text that cannot be a [`Token`]: it is empty, longer than [`Token::MAX_LENGTH`], or has other
/// characters than visible ASCII without `:` and `\`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no token: 1 to {limit} visible ASCII characters without : and \\ are expected", limit = Token::MAX_LENGTH)]
pub struct InvalidToken(String);

impl Token {
    /// The longest token, in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// An engine's own name for a place. Its characters need no escape in any version of STOMP.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b':' && byte != b'\\';
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(plain) {
            return Err(InvalidToken(text.to_owned()));
        }
        Ok(Self(Kind::Text(text.into())))
    }

    /// A place that is a number, in a sequence that began with `epoch`: `epoch` in hexadecimal, `-`,
    /// and `position`.
    pub const fn position(epoch: u64, position: u64) -> Self {
        Self(Kind::Position { epoch, position })
    }

    /// The epoch and the position in the text of a token that was made by
    /// [`position`](Self::position).
    ///
    /// ```
    /// use stompbox::session::Token;
    ///
    /// assert_eq!(Token::parse_position("1f-42"), Some((0x1f, 42)));
    /// assert_eq!(Token::parse_position("1F-042"), None);
    /// ```
    pub fn parse_position(text: &str) -> Option<(u64, u64)> {
        let (epoch, position) = text.split_once('-')?;
        let parsed = (u64::from_str_radix(epoch, 16).ok()?, position.parse().ok()?);
        // Each place is written in one way only.
        let same = Self::position(parsed.0, parsed.1).to_string() == text;
        same.then_some(parsed)
    }

    /// The text of a token that was made by [`new`](Self::new).
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Kind::Position { .. } => None,
            Kind::Text(text) => Some(text),
        }
    }

    /// Gives the header's value in parts.
    pub(super) fn write(&self, mut push: impl FnMut(&[u8])) {
        match &self.0 {
            Kind::Position { epoch, position } => {
                let mut digits = [0; 20];
                push(render::<16>(*epoch, &mut digits));
                push(b"-");
                push(render::<10>(*position, &mut digits));
            }
            Kind::Text(text) => push(text.as_bytes()),
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Position { epoch, position } => write!(f, "{epoch:x}-{position}"),
            Kind::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_is_displayed() {
        let text = Token::new("1700000000000-0").unwrap();
        for token in [Token::position(0, 0), Token::position(u64::MAX, u64::MAX), text] {
            let mut written = Vec::new();
            token.write(|bytes| written.extend_from_slice(bytes));
            assert_eq!(String::from_utf8(written).unwrap(), token.to_string());
        }
    }

    #[test]
    fn what_would_need_an_escape_is_no_token() {
        for bad in ["", " ", "a b", "a:b", "a\\b", "a\nb", "ä", &"x".repeat(129)] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
    }
}
