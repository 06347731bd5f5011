//! What those who listen to a topic may see while something goes wrong.

use std::collections::{HashMap, HashSet};

use crate::client::{Arrived, Diary};
use crate::publisher::Published;

/// What may be missing for a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing, and nobody says so.
    Nothing,
    /// What was published while the listener itself was away: each of its sessions begins anew.
    WhileAway,
    /// What a `gap:true` tells of.
    WithNotice,
}

/// What a listener has of one publisher so far.
#[derive(Default)]
struct Progress {
    seen: HashSet<usize>,
    /// One more than the number that came last; `None` if what comes is the beginning.
    next: Option<usize>,
    /// Whether anybody said since then that something may be missing.
    notice: bool,
    /// In which session of the listener.
    session: usize,
}

/// Each message comes once, but for what is marked as redelivered; of those that were confirmed each
/// publisher's come in their order, and nothing is missing but what may be.
pub(crate) fn check(diary: &Diary, destination: &str, publishers: &[Published], may: Missing) {
    let mut all: HashMap<&str, (&Published, Progress)> = HashMap::new();
    for publisher in publishers {
        let beginning = Progress { next: Some(0), ..Progress::default() };
        all.insert(&publisher.name, (publisher, beginning));
    }
    for message in diary.messages.iter().filter(|it| *it.destination == *destination) {
        if message.gap {
            assert_eq!(may, Missing::WithNotice, "a gap is said where there is none: {message:?}");
            for (_, progress) in all.values_mut() {
                progress.notice = true;
            }
        }
        let (name, number) = message.word.split_once('/').expect("publisher/number");
        let (published, progress) = all.get_mut(name).expect("a publisher of this room");
        let number = number.parse().unwrap_or(published.confirmed.len());
        if may == Missing::WhileAway && progress.session != message.session {
            // Who begins anew may do so behind or before the place where it was: nodes are not equally
            // fast.
            *progress = Progress { session: message.session, ..Progress::default() };
        }
        progress.came(number, message, published, may);
    }
    for (published, progress) in all.values() {
        let end = published.confirmed.len();
        assert!(progress.seen.contains(&end), "{} did not come", published.last_word());
    }
}

impl Progress {
    fn came(&mut self, number: usize, message: &Arrived, published: &Published, may: Missing) {
        if !self.seen.insert(number) {
            assert!(message.redelivered, "it comes again, and does not say so: {message:?}");
            return;
        }
        // Its publisher lost its connection before it was answered: the node may come to it later than
        // another node to what the publisher sent next.
        if published.confirmed.get(number) == Some(&false) {
            return;
        }
        let next = self.next.unwrap_or(number);
        assert!(number >= next, "it comes where {next} was next: {message:?}");
        let missing = (next..number).filter(|it| published.confirmed[*it]).count();
        let excused = may == Missing::WithNotice && self.notice;
        assert!(missing == 0 || excused, "of {next}.. {missing} are missing before {message:?}");
        (self.next, self.notice) = (Some(number + 1), false);
    }
}
