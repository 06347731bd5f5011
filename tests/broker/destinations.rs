//! Names of destinations: whatever a client sends, they are checked and never panic.

use proptest::prelude::*;
use stompbox::broker::Destination;

/// Every rule on its own, as the documentation has it.
fn is_valid(name: &str) -> bool {
    let segments: Vec<_> = name.split('/').collect();
    name.len() <= Destination::MAX_LENGTH
        && name.starts_with('/')
        && !name.chars().any(|character| character.is_ascii_control())
        && segments.iter().skip(1).all(|segment| !segment.is_empty())
        && segments.len() - 1 <= Destination::MAX_DEPTH
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[/a*#.\u{0}-\u{1f}ü]{0,80}",
        "(/[a-z*#]{0,3}){0,40}",
        "/[a-z]{1000,1100}",
    ]
}

proptest! {
    #[test]
    fn a_name_is_accepted_if_every_rule_holds(name in names()) {
        match Destination::new(&name) {
            Ok(destination) => {
                prop_assert!(is_valid(&name), "{:?}", name);
                prop_assert_eq!(destination.as_str(), &name);
                let joined: String = destination.segments().flat_map(|it| ["/", it]).collect();
                prop_assert_eq!(joined, name);
                let wild = |segment| ["*", "**", "#"].contains(&segment);
                prop_assert_eq!(destination.is_pattern(), destination.segments().any(wild));
            }
            Err(error) => {
                prop_assert!(!is_valid(&name), "{:?}: {}", name, error);
                prop_assert!(error.to_string().contains("destination"));
            }
        }
    }
}
