use super::Destination;

/// The segments of a destination, for matching.
pub(super) struct Segments<'a> {
    all: [&'a str; Destination::MAX_DEPTH],
    count: usize,
}

/// How far a part of a pattern comes in a destination: the set of those n of which the first n
/// segments match it.
///
/// A destination has at most [`Destination::MAX_DEPTH`] segments, so a machine word holds them all,
/// and `**` needs no trying of one possibility after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places(u64);

/// One segment of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// This segment.
    Literal(&'a str),
    /// `*`: any one segment.
    One,
    /// `**` or `#`: any number of segments, none included.
    Any,
}

/// Whether a pattern matches a destination: `*` is one segment, `**` or `#` any number of segments,
/// none included, wherever it stands. Of another pattern it matches all that this one matches: `*`
/// is not enough for `**`.
///
/// For the few patterns of rules. What subscribers ask for is found by the router's trie.
pub(super) fn matches(pattern: &Destination, destination: &Destination) -> bool {
    let segments = Segments::of(destination);
    let mut places = Places::START;
    for wanted in wanted(pattern) {
        places = match wanted {
            Wanted::Any => places.and_behind(&segments),
            Wanted::One => places.open(&segments).before_one(&segments).next(),
            Wanted::Literal(literal) => places.open(&segments).before(&segments, literal).next(),
        };
    }
    places.reach_end(&segments)
}

/// The segments of a pattern.
pub(super) fn wanted(pattern: &Destination) -> impl Iterator<Item = Wanted<'_>> {
    pattern.segments().map(|segment| match segment {
        "*" => Wanted::One,
        "**" | "#" => Wanted::Any,
        literal => Wanted::Literal(literal),
    })
}

impl<'a> Segments<'a> {
    pub(super) fn of(destination: &'a Destination) -> Self {
        let mut segments = Self { all: [""; Destination::MAX_DEPTH], count: 0 };
        for (place, segment) in segments.all.iter_mut().zip(destination.segments()) {
            *place = segment;
            segments.count += 1;
        }
        segments
    }

    fn get(&self, place: u32) -> &'a str {
        self.all.get(place as usize).copied().unwrap_or_default()
    }

    /// The set of the place behind the last segment alone.
    fn end(&self) -> u64 {
        1 << self.count
    }
}

impl Places {
    /// Nothing was matched yet.
    pub(super) const START: Self = Self(1);

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of the destination is matched.
    pub(super) fn reach_end(self, segments: &Segments<'_>) -> bool {
        self.0 & segments.end() != 0
    }

    /// Those that a segment follows.
    pub(super) fn open(self, segments: &Segments<'_>) -> Self {
        Self(self.0 & !segments.end())
    }

    /// These and all behind them: what [`Wanted::Any`] makes of them.
    pub(super) fn and_behind(self, segments: &Segments<'_>) -> Self {
        let first = self.0 & self.0.wrapping_neg();
        let all = (segments.end() << 1) - 1;
        Self(if first == 0 { 0 } else { all & !(first - 1) })
    }

    /// Those behind one more segment. None of these must be the end.
    pub(super) fn next(self) -> Self {
        Self(self.0 << 1)
    }

    /// Those of them that this segment follows.
    pub(super) fn before(self, segments: &Segments<'_>, literal: &str) -> Self {
        let mut rest = self.0;
        let mut before = 0;
        while rest != 0 {
            let place = rest.trailing_zeros();
            rest &= rest - 1;
            if segments.get(place) == literal {
                before |= 1 << place;
            }
        }
        Self(before)
    }

    /// Those of them that one segment follows, and not what stands for any number in a pattern.
    fn before_one(self, segments: &Segments<'_>) -> Self {
        let any = self.before(segments, "**").0 | self.before(segments, "#").0;
        Self(self.0 & !any)
    }

    /// Takes out the first of them with all others that the same segment follows.
    pub(super) fn split_off<'a>(&mut self, segments: &Segments<'a>) -> (&'a str, Self) {
        let literal = segments.get(self.0.trailing_zeros());
        let before = self.before(segments, literal);
        self.0 &= !before.0;
        (literal, before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_whole_segments() {
        let rows = [
            ("/topic/a", "/topic/a", true),
            ("/topic/a", "/topic/b", false),
            ("/topic/*", "/topic/a", true),
            ("/topic/*", "/topic/a/b", false),
            ("/topic/*", "/topic", false),
            ("/topic/**", "/topic", true),
            ("/topic/**", "/topic/a/b", true),
            ("/topic/#", "/topic/a/b", true),
            ("/topic/**/end", "/topic/end", true),
            ("/topic/**/end", "/topic/a/b/end", true),
            ("/topic/**/end", "/topic/a/b/ends", false),
            ("/**/a/**/b", "/a/x/a/y/b", true),
            ("/*/room/*", "/topic/room/5", true),
            ("/**", "/queue/a", true),
            ("/**/**", "/a", true),
            ("/a/**/*", "/a", false),
            ("/a/*", "/a/*", true),
            ("/a/**", "/a/*", true),
            ("/a/*", "/a/**", false),
            ("/a/*", "/a/#", false),
            ("/a/b", "/a/*", false),
        ];
        for (pattern, destination, expected) in rows {
            let found = matches(&pattern.parse().unwrap(), &destination.parse().unwrap());
            assert_eq!(found, expected, "{pattern} {destination}");
        }
    }

    #[test]
    fn the_deepest_destination_fits() {
        let deepest: Destination = "/a".repeat(Destination::MAX_DEPTH).parse().unwrap();
        let ending = format!("/**{}", "/a".repeat(Destination::MAX_DEPTH - 1));
        assert!(matches(&"/**".parse().unwrap(), &deepest));
        assert!(matches(&ending.parse().unwrap(), &deepest));
        assert!(matches(&deepest, &deepest));
        assert!(!matches(&"/**/b".parse().unwrap(), &deepest));
    }
}
