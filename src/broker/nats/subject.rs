use super::super::pattern::{Wanted, wanted};
use super::super::{Destination, DestinationError};

/// How destinations are named at NATS: `/topic/room/5` is the subject `topic.room.5`, behind a prefix
/// if there is one.
///
/// What a subject cannot carry is written as `%` and two hexadecimal digits for each byte: `.`, `*`,
/// `>`, `%`, space and what is not ASCII. Two destinations never have the same subject.
#[derive(Debug, Clone, Default)]
pub(super) struct Subjects {
    /// Empty, or subject tokens with a `.` behind the last.
    prefix: String,
}

/// What stands before a subject whose messages are kept.
const KEPT: &str = "stompbox-topics.";

impl Subjects {
    /// The prefix is one or more tokens, or empty. The error is what is wrong with it.
    pub(super) fn new(prefix: &str) -> Result<Self, &'static str> {
        let prefix = prefix.trim_end_matches('.');
        if prefix.is_empty() {
            return Ok(Self::default());
        }
        if prefix.split('.').any(str::is_empty) {
            return Err("a token of the prefix is empty");
        }
        if !prefix.bytes().all(|byte| byte == b'.' || is_plain(byte)) {
            return Err("the prefix has a character other than visible ASCII, or a wildcard");
        }
        Ok(Self { prefix: format!("{prefix}.") })
    }

    /// The subject of a destination that is no pattern.
    pub(super) fn of(&self, destination: &Destination) -> String {
        let mut subject = self.prefix.clone();
        for (place, segment) in destination.segments().enumerate() {
            push_token(&mut subject, place, segment);
        }
        subject
    }

    /// The subject of everything below a prefix of destinations.
    pub(super) fn below(&self, prefix: &str) -> String {
        let mut subject = self.prefix.clone();
        for segment in prefix.split('/').skip(1) {
            push_token(&mut subject, 0, segment);
            subject.push('.');
        }
        subject + ">"
    }

    /// The subjects of what is to be kept: `stompbox-topics.topic.room.5`.
    pub(super) fn kept(&self) -> Self {
        Self { prefix: format!("{}{KEPT}", self.prefix) }
    }

    /// The name of a stream of these subjects, which tells it from that of others.
    pub(super) fn stream(&self, of: &str) -> String {
        let suffix = name(self.prefix.trim_end_matches('.'));
        if suffix.is_empty() { of.to_owned() } else { format!("{of}-{suffix}") }
    }

    /// The subjects that bring at least everything that a destination or a pattern matches, and no
    /// message twice.
    ///
    /// `**` in the middle has no equal there, so such a pattern listens to everything below, and
    /// what comes is matched again. `**` at the end takes a second subject, since `>` is one token
    /// or more while `**` may be none.
    pub(super) fn matching(&self, pattern: &Destination) -> Vec<String> {
        let mut subject = self.prefix.clone();
        let mut segments = wanted(pattern).enumerate();
        while let Some((place, segment)) = segments.next() {
            match segment {
                Wanted::Literal(literal) => push_token(&mut subject, place, literal),
                Wanted::One => push_separated(&mut subject, place, "*"),
                Wanted::Any => {
                    let nothing_else = segments.all(|(_, rest)| rest == Wanted::Any);
                    let bare = (nothing_else && place > 0).then(|| subject.clone());
                    push_separated(&mut subject, place, ">");
                    return std::iter::once(subject).chain(bare).collect();
                }
            }
        }
        vec![subject]
    }

    /// A subject without the prefix.
    pub(super) fn behind_prefix<'a>(&self, subject: &'a str) -> &'a str {
        subject.strip_prefix(&self.prefix).unwrap_or(subject)
    }

    /// The destination that a subject names; `None` for one that is not below the prefix.
    pub(super) fn destination(
        &self,
        subject: &str,
    ) -> Option<Result<Destination, DestinationError>> {
        let rest = subject.strip_prefix(&self.prefix)?;
        let mut name = String::with_capacity(rest.len() + 1);
        for token in rest.split('.') {
            name.push('/');
            let segment = decoded(token);
            // One token is one segment.
            name.push_str(if segment.contains('/') { token } else { &segment });
        }
        Some(Destination::new(&name))
    }
}

fn push_separated(subject: &mut String, place: usize, token: &str) {
    if place > 0 {
        subject.push('.');
    }
    subject.push_str(token);
}

fn push_token(subject: &mut String, place: usize, segment: &str) {
    push_separated(subject, place, "");
    for byte in segment.bytes() {
        push_escaped(subject, byte, is_plain(byte));
    }
}

/// A name as streams and consumers may have it: escaped by `=`, since NATS 2.9 takes a `%` in the name
/// of a consumer for one of its own format, and then makes subjects that nobody can acknowledge by.
pub(super) fn name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        push_escaped(&mut name, byte, byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    }
    name.replace('%', "=")
}

/// Appends a byte as it is, or as `%` and two digits.
pub(super) fn push_escaped(text: &mut String, byte: u8, plain: bool) {
    if plain {
        text.push(char::from(byte));
    } else {
        text.push('%');
        for digit in [byte >> 4, byte & 0xF] {
            text.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
        }
    }
}

/// Reads back what was escaped. What was not, and could be mistaken for it, is left as it is: other
/// producers name subjects as they like.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first == b'%'
            && let [high, low, behind @ ..] = behind
            && let Some(byte) = hexadecimal(*high, *low)
        {
            bytes.push(byte);
            rest = behind;
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|it| u8::try_from(it).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'.' | b'*' | b'>' | b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(name: &str) -> Destination {
        name.parse().unwrap()
    }

    fn back(subjects: &Subjects, subject: &str) -> Option<Destination> {
        subjects.destination(subject).and_then(Result::ok)
    }

    #[test]
    fn a_destination_has_one_subject_and_comes_back_from_it() {
        let rows = [
            ("/topic/room/5", "topic.room.5"),
            ("/topic/a.b", "topic.a%2Eb"),
            ("/topic/a*b", "topic.a%2Ab"),
            ("/topic/a>b", "topic.a%3Eb"),
            ("/topic/50% of a", "topic.50%25%20of%20a"),
            ("/topic/%2E", "topic.%252E"),
            ("/topic/räume", "topic.r%C3%A4ume"),
            ("/topic/$JS", "topic.$JS"),
        ];
        let subjects = Subjects::default();
        for (name, subject) in rows {
            assert_eq!(subjects.of(&destination(name)), subject);
            assert_eq!(back(&subjects, subject), Some(destination(name)));
        }
    }

    #[test]
    fn a_prefix_stands_before_all() {
        let subjects = Subjects::new("chat.live").unwrap();
        assert_eq!(subjects.of(&destination("/topic/a")), "chat.live.topic.a");
        assert_eq!(subjects.matching(&destination("/topic/*")), ["chat.live.topic.*"]);
        assert_eq!(back(&subjects, "chat.live.topic.a"), Some(destination("/topic/a")));
        assert_eq!(subjects.destination("topic.a"), None);
        for bad in ["a..b", "a.*", "a b", ".a"] {
            assert!(Subjects::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn streams_and_consumers_have_names_without_dots() {
        assert_eq!(Subjects::default().stream("some"), "some");
        assert_eq!(Subjects::new("a.b").unwrap().stream("some"), "some-a=2Eb");
        assert_eq!(Subjects::new("a.b").unwrap().below("/queue"), "a.b.queue.>");
        assert_eq!(Subjects::default().below("/work/now.here"), "work.now%2Ehere.>");
        assert_eq!(name("/queue/a-b_c"), "=2Fqueue=2Fa-b_c");
    }

    #[test]
    fn what_is_kept_has_subjects_of_its_own() {
        let kept = Subjects::new("chat").unwrap().kept();
        assert_eq!(kept.of(&destination("/topic/a.b")), "chat.stompbox-topics.topic.a%2Eb");
        assert_eq!(
            back(&kept, "chat.stompbox-topics.topic.a%2Eb"),
            Some(destination("/topic/a.b"))
        );
        assert_eq!(kept.matching(&destination("/topic/*")), ["chat.stompbox-topics.topic.*"]);
        assert_eq!(kept.destination("chat.topic.a"), None);
    }

    #[test]
    fn a_pattern_listens_to_what_it_matches() {
        let rows: [(&str, &[&str]); 8] = [
            ("/topic/a", &["topic.a"]),
            ("/topic/*/b", &["topic.*.b"]),
            ("/topic/a/**", &["topic.a.>", "topic.a"]),
            ("/topic/a/#", &["topic.a.>", "topic.a"]),
            ("/topic/**/**", &["topic.>", "topic"]),
            ("/topic/**/b", &["topic.>"]),
            ("/topic/*/**/b/*", &["topic.*.>"]),
            ("/topic/a.b/**", &["topic.a%2Eb.>", "topic.a%2Eb"]),
        ];
        for (pattern, expected) in rows {
            let found = Subjects::default().matching(&destination(pattern));
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn subjects_of_other_producers_are_read_as_far_as_they_go() {
        let subjects = Subjects::default();
        assert_eq!(back(&subjects, "topic.räume"), Some(destination("/topic/räume")));
        assert_eq!(back(&subjects, "topic.5%"), Some(destination("/topic/5%")));
        assert_eq!(back(&subjects, "topic.a%2Fb"), Some(destination("/topic/a%2Fb")));
        assert_eq!(back(&subjects, "topic.%FF"), Some(destination("/topic/%FF")));
        assert_eq!(back(&subjects, "topic.a%0Ab"), None);
    }
}
