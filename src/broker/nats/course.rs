use std::collections::HashMap;
use std::time::Instant;

use crate::session::Token;

use super::message::Origin;

/// How far a subscription to one subject has come. It outlives a connection: the next one goes on
/// there.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) seen: Seen,
    /// Where in the stream it is, if it keeps history: what is behind is to be read from there.
    pub(super) reached: Option<Reached>,
    /// Of a pattern: how far it has come with each destination, unless that is further than here.
    subjects: HashMap<Box<str>, u64>,
    /// Of a pattern: how far it has come with all others.
    others: u64,
    /// Whether it ever was anywhere.
    pub(super) begun: bool,
    /// Since when messages may have come to the stream without it.
    pub(super) since: Option<Instant>,
    /// Since when the stream ends before the place where it is.
    pub(super) fallen: Option<Instant>,
    /// Whether the next message says that others may be missing before it.
    pub(super) gap: bool,
}

/// Of how many destinations of a pattern it is known how far it has come with each.
const SUBJECTS: usize = 65_536;

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

impl Course {
    /// Begins with a stream, from this place on.
    pub(super) fn begin(&mut self, reached: Reached) {
        self.reached = Some(reached);
        self.subjects.clear();
        self.others = reached.sequence;
    }

    /// How far it has come with a destination.
    pub(super) fn known(&self, subject: &str, is_pattern: bool) -> u64 {
        if is_pattern {
            self.subjects.get(subject).copied().unwrap_or(self.others)
        } else {
            self.reached.map_or(0, |reached| reached.sequence)
        }
    }

    /// It has come to a message of a destination.
    pub(super) fn reach(&mut self, subject: &str, is_pattern: bool, sequence: u64) {
        let Some(reached) = &mut self.reached else { return };
        reached.sequence = reached.sequence.max(sequence);
        if !is_pattern {
            return;
        }
        if let Some(known) = self.subjects.get_mut(subject) {
            *known = sequence;
            return;
        }
        if self.subjects.len() >= SUBJECTS {
            self.subjects.clear();
            self.others = reached.sequence;
        }
        self.subjects.insert(subject.into(), sequence);
    }

    /// What is behind this place is to be read again: something of it may be missing.
    pub(super) fn doubt(&mut self, sequence: u64) {
        if let Some(reached) = &mut self.reached {
            reached.sequence = reached.sequence.min(sequence);
        }
    }
}

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
    fn a_pattern_knows_how_far_it_is_with_each_destination() {
        let mut course = Course::default();
        course.begin(Reached { stream: 1, sequence: 10 });
        course.reach("a", true, 12);
        course.reach("b", true, 15);
        assert_eq!(["a", "b", "c"].map(|subject| course.known(subject, true)), [12, 15, 10]);
        assert_eq!(course.known("a", false), 15);
        course.doubt(12);
        assert_eq!(course.reached.map(|reached| reached.sequence), Some(12));
        for number in 0..SUBJECTS as u64 {
            course.reach(&number.to_string(), true, 20 + number);
        }
        // Of so many it is not known any more; what comes is behind them all.
        assert!(course.subjects.len() <= SUBJECTS);
        assert!(course.known("a", true) >= 12);
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
