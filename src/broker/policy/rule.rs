use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::session::{SlowConsumer, SlowConsumerAction};

use super::super::pattern;
use super::super::{Destination, DestinationError};
use super::amount;
use super::{DestinationPolicy, QueueOverflow, RejectedPolicy, Retention};

/// A policy and the destinations that it is for.
///
/// It is also written as a text: the destination or pattern, and settings after commas.
///
/// | setting | sets |
/// | --- | --- |
/// | `history=N` | [`Retention::messages`]; bytes and age as by [`Retention::messages`](fn@Retention::messages) unless they are given too |
/// | `history-bytes=64KiB`, `history-age=10m` | [`Retention::bytes`], [`Retention::age`] |
/// | `slow=close`, `drop-oldest`, `drop-newest`, `latest:HEADER` or `hold` | [`SlowConsumer::action`] |
/// | `slow-bytes=1MiB`, `slow-time=5s` | [`SlowConsumer::bytes`], [`SlowConsumer::time`] |
/// | `messages=N`, `bytes=16MiB` | [`QueuePolicy::messages`](super::QueuePolicy::messages), [`QueuePolicy::bytes`](super::QueuePolicy::bytes) |
/// | `full=refuse` or `drop-oldest` | [`QueuePolicy::overflow`](super::QueuePolicy::overflow) |
/// | `nack=requeue`, `discard`, `dead-letter` or a time such as `5s` | [`QueuePolicy::rejected`](super::QueuePolicy::rejected) |
/// | `deliveries=N`, `dead-letter=/queue/…` | [`QueuePolicy::deliveries`](super::QueuePolicy::deliveries), [`QueuePolicy::dead_letter`](super::QueuePolicy::dead_letter) |
/// | `expiration=1h` | [`QueuePolicy::expiration`](super::QueuePolicy::expiration) |
///
/// ```
/// use std::time::Duration;
/// use stompbox::broker::DestinationRule;
///
/// let rule: DestinationRule = "/topic/**,history=100,history-age=10m,slow=drop-oldest".parse()?;
/// assert_eq!(rule.policy().retention.messages, 100);
/// assert_eq!(rule.policy().retention.age, Duration::from_secs(600));
/// assert!("/topic/**,histroy=100".parse::<DestinationRule>().is_err());
/// # Ok::<(), stompbox::broker::InvalidRule>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationRule {
    destinations: Destination,
    policy: DestinationPolicy,
}

/// Why a text is no [`DestinationRule`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// A destination in it is none.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// A setting that nothing is known of.
    #[error(
        "there is no setting {0:?}; history, history-bytes, history-age, slow, slow-bytes, slow-time, messages, bytes, full, nack, deliveries, dead-letter and expiration are known"
    )]
    UnknownSetting(String),
    /// A setting without a value that fits it.
    #[error("{setting}={value:?} is not understood: {expected} is expected")]
    InvalidValue {
        /// The setting.
        setting: String,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

/// Which policy is for which destination: that of the first rule that matches it, or else the
/// default.
#[derive(Debug, Clone, Default)]
pub struct DestinationRules {
    rules: Vec<DestinationRule>,
    otherwise: DestinationPolicy,
}

impl DestinationRule {
    /// A policy for a destination, or for all that a pattern matches.
    pub fn new(destinations: Destination, policy: DestinationPolicy) -> Self {
        Self { destinations, policy }
    }

    /// The destination or the pattern.
    pub fn destinations(&self) -> &Destination {
        &self.destinations
    }

    /// The policy.
    pub fn policy(&self) -> &DestinationPolicy {
        &self.policy
    }
}

impl DestinationRules {
    /// Adds a rule behind those that are there: of two that match, the one added first counts.
    pub fn add(&mut self, rule: DestinationRule) {
        self.rules.push(rule);
    }

    /// Sets the policy of the destinations that no rule matches.
    pub fn set_otherwise(&mut self, policy: DestinationPolicy) {
        self.otherwise = policy;
    }

    /// The policy for a destination. For a pattern it is that of a rule for the same pattern or a
    /// wider one.
    pub fn policy(&self, destination: &Destination) -> &DestinationPolicy {
        let matching = |rule: &&DestinationRule| pattern::matches(&rule.destinations, destination);
        self.rules.iter().find(matching).map_or(&self.otherwise, DestinationRule::policy)
    }

    /// All policies, each with the destination or the pattern that it is for; the last one is for all
    /// others.
    #[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
    pub(in super::super) fn iter(
        &self,
    ) -> impl Iterator<Item = (Option<&Destination>, &DestinationPolicy)> {
        let rules = self.rules.iter().map(|rule| (Some(&rule.destinations), &rule.policy));
        rules.chain([(None, &self.otherwise)])
    }

    /// Whether all destinations that a pattern matches are known to keep history: no rule that comes
    /// before the one for all of them keeps none.
    #[cfg(feature = "nats")]
    pub(in super::super) fn keep_all(&self, pattern: &Destination) -> bool {
        for rule in &self.rules {
            if rule.policy.retention.is_none() {
                return false;
            }
            if pattern::matches(&rule.destinations, pattern) {
                return true;
            }
        }
        !self.otherwise.retention.is_none()
    }

    /// The most that any destination keeps, by each of the bounds.
    #[cfg(feature = "nats")]
    pub(in super::super) fn most_kept(&self) -> Retention {
        let rules = self.rules.iter().map(|rule| &rule.policy);
        let kept = rules.chain([&self.otherwise]).map(|policy| policy.retention);
        kept.filter(|it| !it.is_none()).fold(Retention::NONE, |most, it| Retention {
            messages: most.messages.max(it.messages),
            bytes: most.bytes.max(it.bytes),
            age: most.age.max(it.age),
        })
    }

    /// Whether any destination keeps history.
    pub fn keep_history(&self) -> bool {
        let rules = self.rules.iter().map(|rule| &rule.policy);
        rules.chain([&self.otherwise]).any(|policy| !policy.retention.is_none())
    }
}

impl FromStr for DestinationRule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(',');
        let destinations = Destination::new(parts.next().unwrap_or_default())?;
        let mut rule = Self::new(destinations, DestinationPolicy::default());
        for part in parts {
            let (setting, value) = part.split_once('=').unwrap_or((part, ""));
            rule.policy.set(setting, value)?;
        }
        Ok(rule)
    }
}

impl DestinationPolicy {
    fn set(&mut self, setting: &str, value: &str) -> Result<(), InvalidRule> {
        let expected = |expected| InvalidRule::InvalidValue {
            setting: setting.to_owned(),
            value: value.to_owned(),
            expected,
        };
        let count = || amount::whole(value).ok_or_else(|| expected("a number"));
        let messages = || count().map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let bytes = || amount::bytes(value).ok_or_else(|| expected("a size such as 64KiB"));
        let time = || amount::duration(value).ok_or_else(|| expected("a time such as 30s"));
        match setting {
            "history" => self.retention().messages = messages()?,
            "history-bytes" => self.retention().bytes = bytes()?,
            "history-age" => self.retention().age = time()?,
            "slow" => {
                let known = "close, drop-oldest, drop-newest, latest:HEADER or hold";
                self.slow().action = slow_action(value).ok_or_else(|| expected(known))?;
            }
            "slow-bytes" => self.slow().bytes = bytes()?,
            "slow-time" => self.slow().time = time()?,
            "messages" => self.queue.messages = messages()?,
            "bytes" => self.queue.bytes = bytes()?,
            "full" => {
                self.queue.overflow =
                    overflow(value).ok_or_else(|| expected("refuse or drop-oldest"))?;
            }
            "nack" => {
                let known = "requeue, discard, dead-letter or a time such as 5s";
                self.queue.rejected = rejected(value).ok_or_else(|| expected(known))?;
            }
            "deliveries" => {
                let most = u32::try_from(count()?).ok().filter(|most| *most > 0);
                self.queue.deliveries = Some(most.ok_or_else(|| expected("a number from 1 on"))?);
            }
            "dead-letter" => self.queue.dead_letter = Some(Destination::new(value)?),
            "expiration" => self.queue.expiration = Some(time()?),
            other => return Err(InvalidRule::UnknownSetting(other.to_owned())),
        }
        Ok(())
    }

    fn slow(&mut self) -> &mut SlowConsumer {
        Arc::make_mut(&mut self.slow_consumer)
    }

    /// The retention, which has bounds as soon as one of them is given.
    fn retention(&mut self) -> &mut Retention {
        if self.retention == Retention::NONE {
            self.retention = Retention::messages(usize::MAX);
        }
        &mut self.retention
    }
}

fn slow_action(value: &str) -> Option<SlowConsumerAction> {
    Some(match value {
        "close" => SlowConsumerAction::Close,
        "drop-oldest" => SlowConsumerAction::DropOldest,
        "drop-newest" => SlowConsumerAction::DropNewest,
        "hold" => SlowConsumerAction::HoldPublisher,
        _ => {
            let key = value.strip_prefix("latest:").filter(|key| !key.is_empty())?;
            SlowConsumerAction::KeepLatest { key: key.into() }
        }
    })
}

fn overflow(value: &str) -> Option<QueueOverflow> {
    match value {
        "refuse" => Some(QueueOverflow::Refuse),
        "drop-oldest" => Some(QueueOverflow::DropOldest),
        _ => None,
    }
}

fn rejected(value: &str) -> Option<RejectedPolicy> {
    match value {
        "requeue" => Some(RejectedPolicy::Requeue),
        "discard" => Some(RejectedPolicy::Discard),
        "dead-letter" => Some(RejectedPolicy::DeadLetter),
        time => amount::duration(time).map(RejectedPolicy::Delay),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn policy(text: &str) -> DestinationPolicy {
        text.parse::<DestinationRule>().unwrap().policy
    }

    #[test]
    fn every_setting_is_read() {
        let topic = policy(
            "/topic/**,history=10,history-bytes=64KiB,history-age=5m,slow=latest:symbol,\
             slow-bytes=1MiB,slow-time=2s",
        );
        let retention = Retention { messages: 10, bytes: 65_536, age: Duration::from_secs(300) };
        assert_eq!(topic.retention, retention);
        let latest = SlowConsumerAction::KeepLatest { key: "symbol".into() };
        let slow = SlowConsumer { action: latest, bytes: 1 << 20, time: Duration::from_secs(2) };
        assert_eq!(*topic.slow_consumer, slow);

        let queue = policy(
            "/queue/a,messages=5,bytes=1000,full=drop-oldest,nack=5s,deliveries=3,\
             dead-letter=/queue/dead,expiration=1h",
        )
        .queue;
        assert_eq!((queue.messages, queue.bytes), (5, 1_000));
        assert_eq!(queue.overflow, QueueOverflow::DropOldest);
        assert_eq!(queue.rejected, RejectedPolicy::Delay(Duration::from_secs(5)));
        assert_eq!(queue.deliveries, Some(3));
        assert_eq!(queue.dead_letter, Some("/queue/dead".parse().unwrap()));
        assert_eq!(queue.expiration, Some(Duration::from_secs(3600)));
    }

    #[test]
    fn one_bound_of_history_is_enough() {
        assert_eq!(policy("/topic/a,history=7").retention, Retention::messages(7));
        let aged = policy("/topic/a,history-age=1m").retention;
        assert_eq!((aged.messages, aged.age), (usize::MAX, Duration::from_secs(60)));
        assert!(policy("/topic/a,history=0").retention.is_none());
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| text.parse::<DestinationRule>().unwrap_err().to_string();
        assert!(error("topic").contains("does not begin with /"));
        assert!(error("/topic/a,histroy=5").contains("there is no setting \"histroy\""));
        assert!(error("/topic/a,history=many").contains("a number is expected"));
        assert!(error("/topic/a,history").contains("a number is expected"));
        assert!(error("/topic/a,slow=never").contains("drop-oldest"));
        assert!(error("/queue/a,deliveries=0").contains("a number from 1 on"));
    }

    #[cfg(feature = "nats")]
    #[test]
    fn a_pattern_keeps_all_where_no_rule_before_keeps_none() {
        let rules = |texts: &[&str]| {
            let mut rules = DestinationRules::default();
            for text in texts {
                rules.add(text.parse().unwrap());
            }
            rules
        };
        let all = "/topic/**".parse().unwrap();
        assert!(rules(&["/topic/a/*,history=5", "/topic/**,history=1"]).keep_all(&all));
        assert!(!rules(&["/topic/live/**,slow=close", "/topic/**,history=1"]).keep_all(&all));
        assert!(!rules(&["/topic/a/**,history=1"]).keep_all(&all));
        assert!(rules(&["/topic/a/**,history=1"]).keep_all(&"/topic/a/*".parse().unwrap()));

        let most = rules(&["/topic/a,history=5", "/topic/b,history=1,history-age=2h", "/topic/c"]);
        let expected =
            Retention { messages: 5, bytes: 1 << 20, age: Duration::from_secs(2 * 60 * 60) };
        assert_eq!(most.most_kept(), expected);
        assert_eq!(rules(&["/topic/c"]).most_kept(), Retention::NONE);
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let mut rules = DestinationRules::default();
        rules.add("/topic/loud,history=1".parse().unwrap());
        rules.add("/topic/**,history=2".parse().unwrap());
        let kept = |name: &str| rules.policy(&name.parse().unwrap()).retention.messages;
        assert_eq!([kept("/topic/loud"), kept("/topic/x/y"), kept("/queue/a")], [1, 2, 0]);
    }
}
