use super::super::{ConnectError, DestinationRules};

/// Refuses rules that say of a queue what an engine does not do: all of their settings are `known` to it,
/// or there is no broker. To ignore one would be to promise, say, dead letters that nobody ever sees.
pub(in super::super) fn check_rules(
    rules: &DestinationRules,
    known: &[&str],
    engine: &'static str,
) -> Result<(), ConnectError> {
    for (destinations, policy) in rules.iter() {
        let unknown = policy.queue.settings().find(|setting| !known.contains(setting));
        if let Some(setting) = unknown {
            let destinations = destinations.map_or("all others".to_owned(), ToString::to_string);
            return Err(ConnectError::UnsupportedRule { destinations, setting, engine });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::DestinationPolicy;
    use super::*;

    fn check(rules: &[&str]) -> Option<String> {
        let mut all = DestinationRules::default();
        for rule in rules {
            all.add(rule.parse().unwrap());
        }
        check_rules(&all, &["expiration"], "An engine").err().map(|error| error.to_string())
    }

    #[test]
    fn what_an_engine_does_not_do_is_named() {
        assert_eq!(check(&["/topic/**,history=5,slow=close", "/queue/**,expiration=1h"]), None);
        let settings = [
            "messages=5",
            "bytes=5",
            "full=drop-oldest",
            "nack=5s",
            "deliveries=5",
            "dead-letter=/queue/dead",
        ];
        for setting in settings {
            let name = setting.split('=').next().unwrap();
            let refused = format!("An engine cannot do what {name}= says for /queue/a");
            assert_eq!(check(&[&format!("/queue/a,{setting}")]), Some(refused));
        }
    }

    #[test]
    fn what_is_said_of_all_others_counts_too() {
        let mut rules = DestinationRules::default();
        let mut policy = DestinationPolicy::default();
        policy.queue.deliveries = Some(5);
        rules.set_otherwise(policy);
        let refused = check_rules(&rules, &[], "An engine").unwrap_err().to_string();
        assert_eq!(refused, "An engine cannot do what deliveries= says for all others");
    }
}
