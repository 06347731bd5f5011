use std::sync::Arc;

use parking_lot::Mutex;
use redis::Pipeline;

use super::super::{Destination, Message, Outcome, Retention};
use super::scripts::Loadable;
use super::{Node, StreamId, names, payload};

/// Something to be done at the Redis: all of it, or none.
#[derive(Debug, Clone)]
pub(super) struct Request(Arc<[Step]>);

/// One thing of a [`Request`].
#[derive(Debug)]
pub(super) enum Step {
    /// A message goes to its destination.
    Publish(Message),
    /// Messages of a queue are done with.
    Acknowledge(Destination, Vec<StreamId>),
    /// Messages go back to their queue: each with how often it may have reached a consumer.
    GiveBack(Destination, Vec<(StreamId, u32)>),
    /// Nothing, once a subscription is confirmed: what is sent after it reaches the subscriber.
    Await(Mutex<Option<Outcome>>),
}

/// The longest that a stream keeps a message, in milliseconds: what a script can count with.
const LONGEST: u64 = 10 * 365 * 24 * 3600 * 1000;

impl Request {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self(steps.into())
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// How many bytes it holds, about.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Step::bytes).sum()
    }

    /// What its first step is about.
    pub(super) fn destination(&self) -> String {
        let destination = self.0.first().and_then(Step::destination);
        destination.map_or_else(String::new, ToString::to_string)
    }

    /// Whether it must not be done twice.
    pub(super) fn publishes(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Publish(_)))
    }

    /// What it waits for. Asked once.
    pub(super) fn awaited(&self) -> Option<Outcome> {
        self.0.iter().find_map(|step| match step {
            Step::Await(outcome) => outcome.lock().take(),
            _ => None,
        })
    }

    /// How many commands it takes.
    pub(super) fn commands(&self, node: &Node) -> usize {
        self.0.iter().map(|step| step.commands(node)).sum()
    }
}

impl Step {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Publish(message) => message.shared().size(),
                Self::Acknowledge(_, ids) => size_of_val(ids.as_slice()),
                Self::GiveBack(_, messages) => size_of_val(messages.as_slice()),
                Self::Await(_) => 0,
            }
    }

    fn destination(&self) -> Option<&Destination> {
        match self {
            Self::Publish(message) => Some(message.destination()),
            Self::Acknowledge(queue, _) | Self::GiveBack(queue, _) => Some(queue),
            Self::Await(_) => None,
        }
    }

    /// The script that its commands call.
    pub(super) fn script<'a>(&self, node: &'a Node) -> Option<&'a Loadable> {
        match self {
            Self::Publish(message) => {
                node.keeps_history(message.destination()).then_some(&node.scripts.publish)
            }
            Self::Await(_) => None,
            Self::Acknowledge(..) => Some(&node.scripts.acknowledge),
            Self::GiveBack(..) => Some(&node.scripts.give_back),
        }
    }

    fn commands(&self, node: &Node) -> usize {
        match self {
            Self::Publish(message) if node.is_queue(message.destination()) => 2,
            Self::Publish(_) | Self::Acknowledge(..) | Self::GiveBack(..) => 1,
            Self::Await(_) => 0,
        }
    }

    /// Adds its commands.
    pub(super) fn add(&self, node: &Node, pipeline: &mut Pipeline) {
        match self {
            Self::Publish(message) if node.is_queue(message.destination()) => {
                enqueue(node, message, pipeline);
            }
            Self::Publish(message) => publish(node, message, pipeline),
            Self::Acknowledge(queue, ids) => {
                let hash = node.scripts.acknowledge.script.get_hash();
                let call = pipeline.cmd("EVALSHA").arg(hash).arg(1).arg(names::queue(queue));
                for id in ids {
                    call.arg(id.to_string());
                }
            }
            Self::GiveBack(queue, messages) => {
                let hash = node.scripts.give_back.script.get_hash();
                let call = pipeline.cmd("EVALSHA").arg(hash).arg(1).arg(names::queue(queue));
                call.arg(names::node(node.number)).arg(names::channel(queue));
                for (id, attempts) in messages {
                    call.arg(id.to_string()).arg(attempts);
                }
            }
            Self::Await(_) => {}
        }
    }
}

/// Adds what publishes one message to its topic.
fn publish(node: &Node, message: &Message, pipeline: &mut Pipeline) {
    let destination = message.destination();
    let (channel, payload) = (names::channel(destination), payload::write(message.shared()));
    let Retention { messages, age, bytes, .. } = node.rules.policy(destination).retention;
    if !node.keeps_history(destination) {
        pipeline.cmd("PUBLISH").arg(channel).arg(payload);
        return;
    }
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX).min(LONGEST);
    let messages = u32::try_from(messages).unwrap_or(u32::MAX);
    let script = pipeline.cmd("EVALSHA").arg(node.scripts.publish.script.get_hash()).arg(1);
    script
        .arg(names::stream(destination))
        .arg(channel)
        .arg(payload)
        .arg(messages)
        .arg(age)
        .arg(bytes);
}

/// Adds what puts one message into its queue, and wakes the nodes that consume from it.
fn enqueue(node: &Node, message: &Message, pipeline: &mut Pipeline) {
    let queue = message.destination();
    let add = pipeline.cmd("XADD").arg(names::queue(queue)).arg("*");
    add.arg("m").arg(payload::write(message.shared()));
    let own = message.expiration().ok().flatten();
    let expiration = own.into_iter().chain(node.rules.policy(queue).queue.expiration).min();
    if let Some(expiration) = expiration {
        add.arg("x").arg(u64::try_from(expiration.as_millis()).unwrap_or(u64::MAX).min(LONGEST));
    }
    pipeline.cmd("PUBLISH").arg(names::channel(queue)).arg("");
}
