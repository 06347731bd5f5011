use super::Destination;

/// Whether a pattern matches a destination: `*` is one segment, `**` or `#` any number of segments,
/// none included, wherever it stands.
///
/// For the few patterns of rules. What subscribers ask for is found by the router's trie.
pub(super) fn matches(pattern: &Destination, destination: &Destination) -> bool {
    let pattern: Vec<_> = pattern.segments().collect();
    let segments: Vec<_> = destination.segments().collect();
    // `reached[n]`: whether what was looked at of the pattern matches the first n segments.
    let mut reached = vec![false; segments.len() + 1];
    let mut next = reached.clone();
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for wanted in pattern {
        let any = matches!(wanted, "**" | "#");
        let mut before = false;
        for (place, now) in next.iter_mut().enumerate() {
            let here = reached.get(place).copied().unwrap_or_default();
            let segment = place.checked_sub(1).and_then(|place| segments.get(place));
            let fits = segment.is_some_and(|segment| wanted == "*" || wanted == *segment);
            let came = place.checked_sub(1).and_then(|place| reached.get(place)).copied();
            *now = if any { here || before } else { fits && came.unwrap_or_default() };
            before = *now;
        }
        std::mem::swap(&mut reached, &mut next);
    }
    reached.last().copied().unwrap_or_default()
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
        ];
        for (pattern, destination, expected) in rows {
            let found = matches(&pattern.parse().unwrap(), &destination.parse().unwrap());
            assert_eq!(found, expected, "{pattern} {destination}");
        }
    }
}
