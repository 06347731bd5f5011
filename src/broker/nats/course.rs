use std::collections::HashMap;
use std::time::Instant;

use crate::session::Token;

use super::message::Origin;

/// How far a subscription to one subject has come. It outlives a connection: the next one goes on
/// there.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) seen: Seen,
    /// Where in the stream it is, if it keeps history and all up to some place was delivered.
    pub(super) reached: Option<Reached>,
    /// Whether it ever was anywhere.
    pub(super) begun: bool,
    /// Since when messages may have come to the stream without it.
    pub(super) since: Option<Instant>,
    /// Whether the next message says that others may be missing before it.
    pub(super) gap: bool,
}

/// A place in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    /// [Which](super::reading::born) stream of its name.
    pub(super) stream: u64,
    /// The number of a message there; 0 is before the first one.
    pub(super) sequence: u64,
}

/// The newest message of each node that came by a subscription to one subject: what was on its way
/// when a connection was lost is published again by the next.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<u64, u64>);

/// How many nodes are known to a subscription. Each run of a node is another one.
const NODES: usize = 1024;

impl Reached {
    /// The token of the message there.
    pub(super) fn token(self) -> Option<Token> {
        Token::new(&Token::position(self.stream, self.sequence).to_string()).ok()
    }

    /// Whether a text may be the token of a message in some stream.
    pub(super) fn is_token(text: &str) -> bool {
        Token::parse_position(text).is_some()
    }
}

impl Seen {
    /// Whether a message comes for the first time. Those of one node come in their order.
    pub(super) fn is_new(&mut self, origin: Origin) -> bool {
        if self.0.len() >= NODES && !self.0.contains_key(&origin.node) {
            self.0.clear();
        }
        let last = self.0.entry(origin.node).or_default();
        let new = origin.number > *last;
        *last = origin.number.max(*last);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_again_is_known() {
        let mut seen = Seen::default();
        let mut is_new = |node, number| seen.is_new(Origin { node, number });
        assert!(is_new(1, 1) && is_new(1, 2) && is_new(2, 1));
        assert!(!is_new(1, 1) && !is_new(1, 2));
        assert!(is_new(1, 5) && is_new(2, 2));
    }

    #[test]
    fn a_token_names_a_stream_and_a_place_in_it() {
        let token = Reached { stream: 0x1f, sequence: 42 }.token().unwrap();
        assert_eq!(token.as_text(), Some("1f-42"));
        assert!(Reached::is_token("1f-42"));
        for text in ["", "42", "1F-42", "1f-042", "yesterday"] {
            assert!(!Reached::is_token(text), "{text}");
        }
    }
}
