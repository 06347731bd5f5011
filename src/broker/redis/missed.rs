use std::collections::HashSet;

use super::super::Destination;
use super::names::Glob;

/// Where messages may have been missed, and nobody was told so yet.
#[derive(Debug, Default)]
pub(super) struct Missed {
    pub(super) rooms: HashSet<Destination>,
    pub(super) globs: Vec<Glob>,
    /// The destinations whose listeners were told, or need not be.
    told: HashSet<Destination>,
}

/// Of how many destinations of globs it is remembered that their listeners were told. Those of more
/// than these have all had their time to come.
const TOLD: usize = 100_000;

impl Missed {
    /// Whether the next message of a destination says that others may be missing. Asked once.
    pub(super) fn at(&mut self, room: &Destination) -> bool {
        if self.rooms.remove(room) {
            self.told(room);
            return true;
        }
        let by_glob = self.globs.iter().any(|glob| glob.matches(room.as_str()));
        by_glob && !self.told.contains(room) && {
            self.told(room);
            true
        }
    }

    /// Nothing is missing at a destination, or its listeners know of it.
    pub(super) fn told(&mut self, room: &Destination) {
        self.rooms.remove(room);
        if self.globs.is_empty() {
            return;
        }
        self.told.insert(room.clone());
        if self.told.len() > TOLD {
            self.globs.clear();
            self.told.clear();
        }
    }

    /// The connection is lost: what these listen to may be missed from now on.
    pub(super) fn lost(
        &mut self,
        rooms: impl Iterator<Item = Destination>,
        globs: impl Iterator<Item = Glob>,
    ) {
        self.rooms.extend(rooms);
        for glob in globs {
            if !self.globs.contains(&glob) {
                self.globs.push(glob);
            }
        }
        self.told.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_is_told_of_once() {
        let room = |name: &str| name.parse::<Destination>().unwrap();
        let glob = Glob::of(&room("/topic/x/*"));
        let mut missed = Missed::default();
        assert!(!missed.at(&room("/topic/a")));
        missed.lost([room("/topic/a")].into_iter(), [glob.clone(), glob].into_iter());
        for name in ["/topic/a", "/topic/x/a", "/topic/x/b"] {
            assert!(missed.at(&room(name)), "{name}");
            assert!(!missed.at(&room(name)), "{name}");
        }
        assert!(!missed.at(&room("/topic/b")));
        missed.lost(std::iter::empty(), std::iter::empty());
        assert!(missed.at(&room("/topic/x/a")));
    }
}
