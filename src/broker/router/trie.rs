use std::collections::HashMap;

use super::super::pattern::{Places, Segments, Wanted, wanted};
use super::super::{Destination, room};

/// Patterns and what hangs on each, found by a destination that they match.
///
/// A look-up goes down from the root and visits each node once at the most, with all
/// [places](Places) of the destination that the path to the node matches; a node whose path matches
/// none is not visited. So `/**/a/**/b` costs no trying of possibilities: without `**` a look-up
/// visits the nodes that match the first segments, with it those that match some of them, and never
/// more than there are.
#[derive(Debug)]
pub(super) struct Trie<T> {
    literals: Literals<T>,
    /// Behind `*`.
    one: Option<Box<Trie<T>>>,
    /// Behind `**` or `#`.
    any: Option<Box<Trie<T>>>,
    /// What hangs on the pattern that ends here.
    values: Vec<T>,
}

/// The nodes behind the literal segments of a node. Most have one at the most, and then need no
/// table: a pattern must not cost many times its length.
#[derive(Debug)]
enum Literals<T> {
    None,
    One(Box<str>, Box<Trie<T>>),
    #[allow(clippy::box_collection, reason = "a table is twice the size of the others")]
    Many(Box<HashMap<Box<str>, Box<Trie<T>>>>),
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { literals: Literals::None, one: None, any: None, values: Vec::new() }
    }
}

impl<T> Trie<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.literals.is_empty()
            && self.one.is_none()
            && self.any.is_none()
    }

    /// What hangs on a pattern, and on others that mean the same: `#` for `**`.
    pub(super) fn at(&self, pattern: &Destination) -> &[T] {
        let mut node = Some(self);
        for wanted in wanted(pattern) {
            node = node.and_then(|node| match wanted {
                Wanted::Literal(literal) => node.literals.get(literal),
                Wanted::One => node.one.as_deref(),
                Wanted::Any => node.any.as_deref(),
            });
        }
        node.map(|node| node.values.as_slice()).unwrap_or_default()
    }

    /// Hangs something on a pattern.
    pub(super) fn insert(&mut self, pattern: &Destination, value: T) {
        let mut node = self;
        for wanted in wanted(pattern) {
            node = match wanted {
                Wanted::Literal(literal) => {
                    let Some(child) = node.literals.open(literal) else { return };
                    child
                }
                Wanted::One => node.one.get_or_insert_default(),
                Wanted::Any => node.any.get_or_insert_default(),
            };
        }
        node.values.push(value);
    }

    /// Takes off a pattern what is not to be kept.
    pub(super) fn retain(&mut self, pattern: &Destination, mut keep: impl FnMut(&T) -> bool) {
        self.retain_below(&mut wanted(pattern), &mut keep);
    }

    fn retain_below<'a>(
        &mut self,
        path: &mut impl Iterator<Item = Wanted<'a>>,
        keep: &mut impl FnMut(&T) -> bool,
    ) {
        let Some(wanted) = path.next() else {
            self.values.retain(keep);
            return;
        };
        let child = match wanted {
            Wanted::Literal(literal) => self.literals.get_mut(literal),
            Wanted::One => self.one.as_deref_mut(),
            Wanted::Any => self.any.as_deref_mut(),
        };
        let Some(child) = child else { return };
        child.retain_below(path, keep);
        if child.is_empty() {
            match wanted {
                Wanted::Literal(literal) => self.literals.remove(literal),
                Wanted::One => self.one = None,
                Wanted::Any => self.any = None,
            }
        }
    }

    /// Gives `found` what hangs on the patterns that match a destination, until it says that this is
    /// enough. Returns how many nodes were visited.
    pub(super) fn find<'a>(
        &'a self,
        destination: &Destination,
        mut found: impl FnMut(&'a T) -> Enough,
    ) -> usize {
        let mut walk = Walk { segments: Segments::of(destination), found: &mut found, visited: 0 };
        walk.visit(self, Places::START);
        walk.visited
    }
}

impl<T> Literals<T> {
    fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    fn get(&self, literal: &str) -> Option<&Trie<T>> {
        match self {
            Self::One(only, child) if **only == *literal => Some(child),
            Self::Many(many) => many.get(literal).map(|child| &**child),
            _ => None,
        }
    }

    fn get_mut(&mut self, literal: &str) -> Option<&mut Trie<T>> {
        match self {
            Self::One(only, child) if **only == *literal => Some(child),
            Self::Many(many) => many.get_mut(literal).map(|child| &mut **child),
            _ => None,
        }
    }

    /// Finds the node behind a literal, or makes it: it is always there.
    fn open(&mut self, literal: &str) -> Option<&mut Trie<T>> {
        if self.get(literal).is_none() {
            *self = match std::mem::replace(self, Self::None) {
                Self::None => Self::One(literal.into(), Box::default()),
                Self::One(only, child) => {
                    let both = [(only, child), (literal.into(), Box::default())];
                    Self::Many(Box::new(HashMap::from(both)))
                }
                Self::Many(mut many) => {
                    many.insert(literal.into(), Box::default());
                    Self::Many(many)
                }
            };
        }
        self.get_mut(literal)
    }

    fn remove(&mut self, literal: &str) {
        let is_empty = match self {
            Self::Many(many) => {
                many.remove(literal);
                room::give_back(many);
                many.is_empty()
            }
            Self::One(only, _) => **only == *literal,
            Self::None => true,
        };
        if is_empty {
            *self = Self::None;
        }
    }
}

/// Whether a look-up may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Enough(pub(super) bool);

/// A look-up.
struct Walk<'d, 'f, F> {
    segments: Segments<'d>,
    found: &'f mut F,
    visited: usize,
}

impl<F> Walk<'_, '_, F> {
    /// As deep as a pattern, which [`Destination::MAX_DEPTH`] bounds.
    fn visit<'a, T>(&mut self, node: &'a Trie<T>, places: Places) -> Enough
    where
        F: FnMut(&'a T) -> Enough,
    {
        if places.is_empty() {
            return Enough(false);
        }
        self.visited += 1;
        let here = places.reach_end(&self.segments);
        if here && node.values.iter().any(|value| (self.found)(value).0) {
            return Enough(true);
        }
        if let Some(any) = &node.any
            && self.visit(any, places.and_behind(&self.segments)).0
        {
            return Enough(true);
        }
        let mut open = places.open(&self.segments);
        if let Some(one) = &node.one
            && self.visit(one, open.next()).0
        {
            return Enough(true);
        }
        while !open.is_empty() && !node.literals.is_empty() {
            let (literal, before) = open.split_off(&self.segments);
            if let Some(child) = node.literals.get(literal)
                && self.visit(child, before.next()).0
            {
                return Enough(true);
            }
        }
        Enough(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::pattern;
    use super::*;

    fn destination(name: &str) -> Destination {
        name.parse().unwrap()
    }

    fn trie<'a>(patterns: impl IntoIterator<Item = &'a Destination>) -> Trie<Destination> {
        let mut trie = Trie::default();
        for pattern in patterns {
            trie.insert(pattern, pattern.clone());
        }
        trie
    }

    fn found(trie: &Trie<Destination>, name: &Destination) -> Vec<Destination> {
        let mut found = Vec::new();
        trie.find(name, |pattern| {
            found.push(pattern.clone());
            Enough(false)
        });
        found.sort();
        found
    }

    #[test]
    fn what_is_taken_off_leaves_nothing_behind() {
        let patterns = ["/a/*/b", "/a/**", "/a/#", "/a/*"].map(destination);
        let mut trie = trie(&patterns);
        assert_eq!(trie.at(&destination("/a/#")).len(), 2, "both mean the same");
        for pattern in &patterns {
            trie.retain(pattern, |other| other != pattern);
            trie.retain(&destination("/not/there"), |_| false);
        }
        assert!(trie.is_empty());
    }

    /// 100,000 patterns: a look-up visits the path that matches, and not the others.
    #[test]
    fn a_look_up_visits_what_matches() {
        let rooms = (0..50_000)
            .flat_map(|room| [format!("/topic/room/{room}/*"), format!("/topic/room/{room}/**")]);
        let patterns: Vec<_> = rooms.map(|name| destination(&name)).collect();
        let trie = trie(&patterns);
        let mut matching = 0;
        let visited = trie.find(&destination("/topic/room/7/talk"), |_| {
            matching += 1;
            Enough(false)
        });
        assert_eq!((matching, visited), (2, 6), "the root, 3 segments, * and **");
    }

    /// As deep as can be, which differ early on: what one connection may subscribe to.
    #[test]
    fn deep_patterns_cost_little() {
        let name = |n: u32| format!("/topic/{n:03}{}/*", "/a".repeat(Destination::MAX_DEPTH - 3));
        let patterns: Vec<_> = (0..1_000).map(|n| destination(&name(n))).collect();
        let length: usize = patterns.iter().map(|pattern| pattern.as_str().len()).sum();
        let mut all = Trie::default();
        let kept = allocation_counter::measure(|| {
            for pattern in &patterns {
                all.insert(pattern, pattern.clone());
            }
        });
        let times = usize::try_from(kept.bytes_current).unwrap() / length;
        assert!(times < 40, "{times} times the length of the patterns");
        assert_eq!(found(&all, &destination(&name(7).replace('*', "x"))), [destination(&name(7))]);
    }

    /// Each choice between the segment and `**` at each of 15 places, so that there are as many ways
    /// through a destination as could be.
    #[test]
    fn wildcards_in_the_middle_do_not_multiply() {
        let name = |choices: u32| -> String {
            let segment = |place: u32| if choices >> place & 1 == 0 { "/a" } else { "/**/a" };
            (0..12).map(segment).collect()
        };
        let patterns: Vec<_> = (0..1 << 12).map(|choices| destination(&name(choices))).collect();
        let trie = trie(&patterns);
        let deep = destination(&"/a".repeat(Destination::MAX_DEPTH));
        // A binary tree of 12 levels has 2 nodes for each choice, and the one behind `**`.
        let nodes = 1 + (0..12).map(|level| 3 << level).sum::<usize>();
        let visited = trie.find(&deep, |_| Enough(false));
        assert!(visited <= nodes, "{visited} of {nodes}");
    }

    fn names(pattern: &'static str) -> impl Strategy<Value = Destination> {
        pattern.prop_map(|name| destination(&name))
    }

    proptest! {
        #[test]
        fn it_finds_what_matches(
            patterns in prop::collection::vec(names("(/(a|b|\\*|\\*\\*|#)){1,6}"), 0..20),
            name in names("(/[abc]){1,7}"),
        ) {
            let mut expected: Vec<_> = patterns.iter().filter(|it| pattern::matches(it, &name)).cloned().collect();
            expected.sort();
            prop_assert_eq!(found(&trie(&patterns), &name), expected);
        }
    }
}
