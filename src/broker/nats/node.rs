use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use async_nats::jetstream::stream::Config;

use super::super::engine::{Consumers, Outbox, OutboxLimits, Upstreams};
use super::super::prefixes::{Kind, Prefixes};
use super::super::{
    BrokerError, BrokerOptions, Destination, DestinationRules, Message, Outcome, Router, Settle,
    Subscriber, SubscriberId, Turn,
};
use super::doubt::Doubt;
use super::stream;
use super::subject::Subjects;

/// What the broker and its task share.
pub(super) struct Node {
    /// Its number, by which others know its messages: no other run of a node has it.
    pub(super) number: u64,
    pub(super) router: Router,
    pub(super) subjects: Subjects,
    /// The subjects of what is to be kept.
    pub(super) kept: Subjects,
    pub(super) upstreams: Upstreams,
    pub(super) outbox: Outbox<Message>,
    pub(super) rules: Arc<DestinationRules>,
    pub(super) prefixes: Prefixes,
    /// Whether there is JetStream: without it there are neither queues nor history.
    pub(super) has_jetstream: bool,
    /// The stream that holds the messages of queues.
    pub(super) queue_stream: Config,
    /// The streams that keep history: each that of the topics below a prefix.
    topic_streams: Vec<(String, Config)>,
    queues: Mutex<HashMap<Destination, Arc<Local>>>,
    /// What came from queues and may have come before.
    pub(super) doubt: Doubt,
}

/// What this node knows of a queue that it consumes from.
pub(super) struct Local {
    pub(super) consumers: Consumers<u64>,
}

/// What NATS is called in errors.
pub(super) const ENGINE: &str = "NATS";

impl Node {
    pub(super) fn new(subjects: Subjects, options: BrokerOptions, has_jetstream: bool) -> Self {
        let BrokerOptions { prefixes, rules, history_bytes } = options;
        let rules = Arc::new(rules);
        let router = if has_jetstream {
            Router::window(Arc::clone(&rules), history_bytes)
        } else {
            Router::new()
        };
        Self {
            number: RandomState::new().build_hasher().finish(),
            router: router.with_patterns_as_names(),
            kept: subjects.kept(),
            upstreams: Upstreams::default(),
            outbox: Outbox::new(ENGINE, OutboxLimits::default()),
            has_jetstream,
            queue_stream: stream::of_queues(&subjects, prefixes.queues()),
            topic_streams: topic_streams(&subjects, &prefixes, &rules),
            subjects,
            rules,
            prefixes,
            queues: Mutex::default(),
            doubt: Doubt::default(),
        }
    }

    /// Whether any topic keeps history.
    pub(super) fn keeps_history(&self) -> bool {
        self.has_jetstream && self.rules.keep_history()
    }

    /// Whether what is published to a topic is kept, or to all that a pattern matches.
    pub(super) fn keeps(&self, topic: &Destination) -> bool {
        if !self.has_jetstream {
            false
        } else if topic.is_pattern() {
            self.rules.keep_all(topic)
        } else {
            !self.rules.policy(topic).retention.is_none()
        }
    }

    /// The subject that a message to a destination is published on.
    pub(super) fn subject_to_publish(&self, destination: &Destination) -> String {
        match self.topic_stream(destination) {
            Some(_) => self.kept.of(destination),
            None => self.subjects.of(destination),
        }
    }

    /// The stream that is to confirm a message to a destination, if one is.
    pub(super) fn stream_to_publish(&self, destination: &Destination) -> Option<&Config> {
        let is_queue = self.is_queue(destination);
        if is_queue { Some(&self.queue_stream) } else { self.topic_stream(destination) }
    }

    /// The stream of what is published to a topic, if it is kept, or of what may be to those that a
    /// pattern matches.
    pub(super) fn topic_stream(&self, topic: &Destination) -> Option<&Config> {
        let may_keep = if topic.is_pattern() { self.keeps_history() } else { self.keeps(topic) };
        let below = |prefix: &str| {
            topic.as_str().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
        };
        let mut streams = self.topic_streams.iter().filter(|_| may_keep);
        streams.find(|(prefix, _)| below(prefix)).map(|(_, config)| config)
    }

    /// Adds a subscriber to a topic or a pattern. The outcome is complete when it will be delivered
    /// what is published, and what was kept is there.
    pub(super) fn subscribe(
        &self,
        topic: &Destination,
        subscriber: Subscriber,
        turn: &mut Turn,
    ) -> Outcome {
        self.upstreams.join_router(topic, topic, subscriber, &self.router, turn)
    }

    /// Removes a subscriber from a topic or a pattern.
    pub(super) fn unsubscribe(&self, topic: &Destination, subscriber: SubscriberId) {
        self.upstreams.leave(topic, subscriber);
        self.router.unsubscribe(topic, subscriber);
    }

    /// What is published to a topic or a pattern comes from now on, and what was kept is there.
    pub(super) fn listening(&self, topic: &Destination) {
        let mut turn = Turn::new(Instant::now());
        self.upstreams.listening_with(topic, &self.router, &mut turn);
    }

    /// NATS refuses a subscription.
    pub(super) fn refuse(&self, topic: &Destination, error: &BrokerError) {
        self.router.forget(topic);
        self.upstreams.refused(topic, error);
    }

    pub(super) fn is_queue(&self, destination: &Destination) -> bool {
        self.prefixes.kind(destination) == Some(Kind::Queue)
    }

    /// Adds a consumer of a queue, or replaces the one with its id.
    pub(super) fn join(&self, queue: &Destination, subscriber: Subscriber) {
        let mut queues = self.queues.lock();
        let queue = queues.entry(queue.clone()).or_insert_with(|| Arc::new(Local::new()));
        queue.consumers.leave(subscriber.id);
        queue.consumers.join(subscriber);
    }

    /// A queue that has consumers here.
    pub(super) fn queue(&self, queue: &Destination) -> Option<Arc<Local>> {
        self.queues.lock().get(queue).cloned()
    }

    /// Settles what came from a queue. From a topic there is nothing to settle.
    pub(super) fn settle(&self, settle: &Settle) {
        if let Some(queue) = self.queue(&settle.destination) {
            queue.consumers.settle(settle);
        }
    }

    /// JetStream refuses a queue. Its consumers stay here for as long as they do not leave.
    pub(super) fn refuse_queue(&self, queue: &Destination, error: &BrokerError) {
        if let Some(queue) = self.queue(queue) {
            queue.consumers.lost();
        }
        self.upstreams.refused(queue, error);
    }

    /// Gives up what has waited too long for a NATS that cannot be reached.
    pub(super) fn expire(&self, now: Instant) {
        self.upstreams.expire(ENGINE, now);
        self.outbox.expire(now);
    }

    /// Forgets a queue that nobody consumes from any more.
    pub(super) fn forget_if_empty(&self, queue: &Destination) {
        let mut queues = self.queues.lock();
        if queues.get(queue).is_some_and(|queue| queue.consumers.is_empty()) {
            queues.remove(queue);
        }
    }

    /// The connection is lost: what JetStream had handed out is handed out again.
    pub(super) fn queues_lost(&self) {
        self.queues.lock().retain(|_, queue| {
            queue.consumers.lost();
            !queue.consumers.is_empty()
        });
    }
}

/// The streams of the topics. Prefixes that are below another one are in its stream.
fn topic_streams(
    subjects: &Subjects,
    prefixes: &Prefixes,
    rules: &DestinationRules,
) -> Vec<(String, Config)> {
    let all = prefixes.topics();
    let is_below = |prefix: &str, other: &str| {
        prefix.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
    };
    let widest = |prefix: &&String| !all.iter().any(|other| is_below(prefix, other));
    let most = rules.most_kept();
    let stream = |prefix: &String| (prefix.clone(), stream::of_topics(subjects, prefix, most));
    all.iter().filter(widest).map(stream).collect()
}

impl Local {
    fn new() -> Self {
        Self { consumers: Consumers::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(has_jetstream: bool) -> Node {
        let options = BrokerOptions::default()
            .topic("/broadcast")
            .topic("/topic/nested")
            .rule("/topic/live/**,slow=close".parse().unwrap())
            .rule("/**,history=5".parse().unwrap());
        Node::new(Subjects::default(), options, has_jetstream)
    }

    fn stream(node: &Node, topic: &str) -> Option<String> {
        node.topic_stream(&topic.parse().unwrap()).map(|config| config.name.clone())
    }

    #[test]
    fn each_prefix_of_topics_has_a_stream_and_what_is_not_kept_has_none() {
        let node = node(true);
        let topics = Some("stompbox-topics".to_owned());
        assert_eq!(stream(&node, "/topic/a"), topics);
        assert_eq!(stream(&node, "/topic/nested/a"), topics);
        assert_eq!(stream(&node, "/broadcast/a"), Some("stompbox-topics=2Fbroadcast".to_owned()));
        assert_eq!(stream(&node, "/topic/live/a"), None);
        // What a pattern matches may be kept or not.
        assert_eq!(stream(&node, "/topic/**"), topics);
        assert!(!node.keeps(&"/topic/**".parse().unwrap()));
        assert_eq!(node.topic_streams.len(), 2);
        let subject = |name: &str| node.subject_to_publish(&name.parse().unwrap());
        assert_eq!(subject("/topic/a"), "stompbox-topics.topic.a");
        assert_eq!(subject("/topic/live/a"), "topic.live.a");
        assert_eq!(subject("/queue/a"), "queue.a");
    }

    #[test]
    fn without_jetstream_nothing_is_kept() {
        let node = node(false);
        assert_eq!(stream(&node, "/topic/a"), None);
        assert!(!node.keeps(&"/topic/a".parse().unwrap()));
        assert_eq!(node.subject_to_publish(&"/topic/a".parse().unwrap()), "topic.a");
    }
}
