use std::collections::HashSet;

use super::super::Destination;
use super::super::pattern;

/// Who is owed the news that messages may be missing: after a loss of the connection the next message
/// of each destination that somebody listened to carries `gap:true`.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// What RabbitMQ sends for at present.
    bound: HashSet<Destination>,
    /// The topics with something to tell.
    owed: HashSet<Destination>,
    /// The patterns that were listened to at the loss.
    patterns: Vec<Destination>,
    /// The topics that they match and that were told.
    told: HashSet<Destination>,
}

/// The most topics that are remembered to have been told because of a pattern. After that a topic is
/// told again: better twice than never.
const MOST_TOLD: usize = 10_000;

impl Gaps {
    /// RabbitMQ sends what is published there from now on.
    pub(super) fn bound(&mut self, destination: &Destination) {
        self.bound.insert(destination.clone());
    }

    /// Nobody listens there any more.
    pub(super) fn unbound(&mut self, destination: &Destination) {
        self.bound.remove(destination);
        self.owed.remove(destination);
        self.patterns.retain(|pattern| pattern != destination);
        if self.patterns.is_empty() {
            self.told.clear();
        }
    }

    /// The connection is lost: something may be published meanwhile wherever somebody listened.
    pub(super) fn lost(&mut self) {
        self.told.clear();
        for destination in self.bound.drain() {
            if !destination.is_pattern() {
                self.owed.insert(destination);
            } else if !self.patterns.contains(&destination) {
                self.patterns.push(destination);
            }
        }
    }

    /// Forgets those whom nobody listens for any more. Whoever has left while RabbitMQ was away has not
    /// been [unbound](Self::unbound).
    pub(super) fn retain(&mut self, wanted: impl Fn(&Destination) -> bool) {
        self.owed.retain(&wanted);
        self.patterns.retain(&wanted);
        if self.patterns.is_empty() {
            self.told.clear();
        }
    }

    /// What RabbitMQ sends for one destination was interrupted.
    pub(super) fn lost_at(&mut self, destination: &Destination) {
        self.bound.remove(destination);
        self.owed.insert(destination.clone());
    }

    /// Whether the next message of this topic tells of a gap, which it then has.
    pub(super) fn take(&mut self, topic: &Destination) -> bool {
        if self.owed.is_empty() && self.patterns.is_empty() {
            return false;
        }
        let owed = self.owed.remove(topic);
        let matched = self.patterns.iter().any(|it| pattern::matches(it, topic));
        if !matched {
            return owed;
        }
        if self.told.len() >= MOST_TOLD {
            self.told.clear();
        }
        self.told.insert(topic.clone()) || owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Destination {
        name.parse().unwrap()
    }

    #[test]
    fn each_topic_is_told_once_after_each_loss() {
        let mut gaps = Gaps::default();
        let (one, other) = (topic("/topic/one"), topic("/topic/other"));
        gaps.bound(&one);
        assert!(!gaps.take(&one));
        for _ in 0..2 {
            gaps.lost();
            gaps.bound(&one);
            assert!(gaps.take(&one));
            assert!(!gaps.take(&one));
            assert!(!gaps.take(&other));
        }
    }

    #[test]
    fn a_loss_before_all_were_told_forgets_none() {
        let mut gaps = Gaps::default();
        let one = topic("/topic/one");
        gaps.bound(&one);
        gaps.lost();
        gaps.lost();
        assert!(gaps.take(&one));
    }

    #[test]
    fn who_has_left_meanwhile_is_forgotten() {
        let mut gaps = Gaps::default();
        let names = ["/topic/stays", "/topic/left", "/topic/stay/*", "/topic/leave/*"].map(topic);
        for name in &names {
            gaps.bound(name);
        }
        gaps.lost();
        gaps.retain(|it| it.as_str().contains("stay"));
        let told = ["/topic/stays", "/topic/left", "/topic/stay/a", "/topic/leave/a"];
        assert_eq!(told.map(|name| gaps.take(&topic(name))), [true, false, true, false]);
        gaps.retain(|_| false);
        assert!(gaps.owed.is_empty() && gaps.patterns.is_empty() && gaps.told.is_empty());
    }

    #[test]
    fn who_is_interrupted_alone_is_told_alone() {
        let mut gaps = Gaps::default();
        let (one, other) = (topic("/exchange/one/#"), topic("/exchange/other"));
        gaps.bound(&one);
        gaps.bound(&other);
        gaps.lost_at(&one);
        gaps.bound(&one);
        assert!(gaps.take(&one));
        assert!(!gaps.take(&one));
        assert!(!gaps.take(&other));
    }

    #[test]
    fn a_pattern_tells_each_topic_that_it_matches() {
        let mut gaps = Gaps::default();
        let (room, all) = (topic("/topic/room/5"), topic("/topic/room/*"));
        gaps.bound(&all);
        gaps.bound(&room);
        gaps.lost();
        assert!(gaps.take(&room));
        assert!(!gaps.take(&room));
        assert!(gaps.take(&topic("/topic/room/6")));
        assert!(!gaps.take(&topic("/topic/hall")));
        gaps.unbound(&all);
        assert!(!gaps.take(&topic("/topic/room/7")));
    }
}
