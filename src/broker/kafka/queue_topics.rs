use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use super::super::{BrokerError, Completer, Destination, Message, Outcome};
use super::ENGINE;
use super::making::{make, refused};
use super::node::Node;

/// The topics of queues, which are made when the first message or consumer comes. What comes in the
/// meantime waits here: Kafka would make a topic of its own accord, with one partition.
#[derive(Default)]
pub(super) struct QueueTopics {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    there: HashSet<String>,
    making: HashMap<String, Vec<Waiting>>,
    /// What the messages take that wait.
    bytes: usize,
}

enum Waiting {
    Consumer(Completer),
    Message { message: Message, key: String, completer: Completer },
}

/// The most bytes of messages that wait for their topics.
const BYTES: usize = 64 << 20;

impl QueueTopics {
    /// The outcome is complete when there is the topic.
    pub(super) fn when_there(
        node: &Arc<Node>,
        runtime: &Handle,
        queue: &Destination,
        topic: &str,
    ) -> Outcome {
        let state = &mut *node.queue_topics.state.lock();
        if state.there.contains(topic) {
            return Outcome::done();
        }
        let (completer, outcome) = Outcome::pending();
        state.wait(node, runtime, queue, topic, Waiting::Consumer(completer));
        outcome
    }

    /// Publishes when there is the topic.
    pub(super) fn send(
        node: &Arc<Node>,
        runtime: &Handle,
        message: &Message,
        topic: &str,
        key: String,
    ) -> Outcome {
        let state = &mut *node.queue_topics.state.lock();
        if state.there.contains(topic) {
            return node.producing.send(message, topic, Some(&key));
        }
        let bytes = message.shared().size();
        if state.bytes + bytes > BYTES {
            return BrokerError::Unavailable { engine: ENGINE }.into();
        }
        state.bytes += bytes;
        let (completer, outcome) = Outcome::pending();
        let waiting = Waiting::Message { message: message.clone(), key, completer };
        state.wait(node, runtime, message.destination(), topic, waiting);
        outcome
    }

    pub(super) fn is_there(&self, topic: &str) -> bool {
        self.state.lock().there.contains(topic)
    }

    /// A topic is there, or cannot be made: all that waits goes on, in order.
    fn made(&self, node: &Node, topic: &str, result: &Result<(), BrokerError>) {
        let state = &mut *self.state.lock();
        if result.is_ok() {
            state.there.insert(topic.to_owned());
        }
        for waiting in state.making.remove(topic).into_iter().flatten() {
            match waiting {
                Waiting::Consumer(completer) => completer.complete(result.clone()),
                Waiting::Message { message, key, completer } => {
                    state.bytes -= message.shared().size();
                    match result {
                        Ok(()) => node.producing.publish(&message, topic, Some(&key), completer),
                        Err(error) => completer.complete(Err(error.clone())),
                    }
                }
            }
        }
    }
}

impl State {
    fn wait(
        &mut self,
        node: &Arc<Node>,
        runtime: &Handle,
        queue: &Destination,
        topic: &str,
        waiting: Waiting,
    ) {
        let making = self.making.entry(topic.to_owned()).or_default();
        making.push(waiting);
        if making.len() == 1 {
            let (node, queue, topic) = (Arc::clone(node), queue.clone(), topic.to_owned());
            runtime.spawn(async move {
                let made = make(&node, &topic).await;
                let result = made.map_err(|error| refusal(&queue, &error));
                node.queue_topics.made(&node, &topic, &result);
                node.queues.look_for_others(&queue);
            });
        }
    }
}

/// What Kafka says against the topic of a queue.
fn refusal(queue: &Destination, error: &KafkaError) -> BrokerError {
    match refused(error) {
        Some(code) => {
            let (destination, reason) = (queue.to_string(), code.to_string());
            BrokerError::Refused { destination, reason, engine: ENGINE }
        }
        None => BrokerError::Unavailable { engine: ENGINE },
    }
}
