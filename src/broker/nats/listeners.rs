use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::super::{BrokerError, Destination};
use super::course::Course;
use super::filling::Keeping;
use super::link::Link;
use super::listener::{Listener, Listening};
use super::node::Node;
use super::streams::Streams;

/// What a node listens to over one connection: for each destination and pattern a listener to each of
/// its subjects.
pub(super) struct Listeners {
    node: Arc<Node>,
    entries: HashMap<Destination, Entry>,
    last: u64,
    sender: UnboundedSender<Ready>,
    receiver: UnboundedReceiver<Ready>,
}

/// How far the node has come with each subject of what it listens to, for as long as anybody does.
pub(super) type Courses = HashMap<Destination, Vec<Arc<Mutex<Course>>>>;

/// What a listener says when it [is ready](Listener::new).
pub(super) struct Ready {
    destination: Destination,
    /// Of which entry.
    number: u64,
    result: Result<(), BrokerError>,
}

struct Entry {
    number: u64,
    listeners: Vec<Listener>,
    courses: Vec<Arc<Mutex<Course>>>,
    /// How many of them are not ready.
    unready: usize,
    /// Whether NATS has the subscriptions.
    confirmed: bool,
}

/// How long a connection may have been gone before that was noticed.
const UNNOTICED: Duration = Duration::from_secs(10);

impl Listeners {
    pub(super) fn new(node: Arc<Node>) -> Self {
        let (sender, receiver) = unbounded_channel();
        Self { node, entries: HashMap::new(), last: 0, sender, receiver }
    }

    /// Subscribes to the subjects of a destination or a pattern.
    pub(super) async fn listen(
        &mut self,
        destination: &Destination,
        courses: &mut Courses,
        link: &Link,
        streams: &Arc<Streams>,
    ) -> Result<(), async_nats::SubscribeError> {
        let subjects = self.node.subjects.matching(destination);
        let kept = self.node.kept.matching(destination);
        let courses = courses.entry(destination.clone()).or_default();
        courses.resize_with(subjects.len(), Arc::default);
        self.last += 1;
        let mut listeners = Vec::with_capacity(subjects.len());
        for ((subject, kept), course) in subjects.into_iter().zip(kept).zip(&*courses) {
            let config = self.node.topic_stream(destination);
            let keeping = config.map(|config| Keeping {
                streams: Arc::clone(streams),
                config: config.clone(),
                subject: kept,
            });
            let listening = Listening {
                node: Arc::clone(&self.node),
                wanted: destination.clone(),
                messages: link.client.subscribe(subject).await?,
                course: Arc::clone(course),
                keeping,
            };
            let (sender, number, destination) =
                (self.sender.clone(), self.last, destination.clone());
            listeners.push(Listener::new(listening, move |result| {
                // If nobody takes it, the connection is lost.
                drop(sender.send(Ready { destination, number, result }));
            }));
        }
        let entry = Entry {
            number: self.last,
            unready: listeners.len(),
            listeners,
            courses: courses.clone(),
            confirmed: false,
        };
        self.entries.insert(destination.clone(), entry);
        Ok(())
    }

    /// Waits until a listener is ready.
    pub(super) async fn ready(&mut self) -> Option<Ready> {
        self.receiver.recv().await
    }

    /// A listener is ready, or refused.
    pub(super) fn is_ready(&mut self, ready: Ready, courses: &mut Courses) {
        let Ready { destination, number, result } = ready;
        let Some(entry) = self.entries.get_mut(&destination) else { return };
        if entry.number != number {
            return;
        }
        match result {
            Ok(()) => {
                entry.unready = entry.unready.saturating_sub(1);
                self.tell_if_listening(&destination);
            }
            Err(error) => self.refuse(&destination, &error, courses),
        }
    }

    /// NATS has the subscriptions of a destination or a pattern.
    pub(super) fn confirm(&mut self, destination: &Destination) {
        if let Some(entry) = self.entries.get_mut(destination) {
            entry.confirmed = true;
            self.tell_if_listening(destination);
        }
    }

    fn tell_if_listening(&self, destination: &Destination) {
        let entry = self.entries.get(destination);
        if entry.is_some_and(|entry| entry.confirmed && entry.unready == 0) {
            self.node.listening(destination);
        }
    }

    /// NATS does not permit a subscription, or JetStream refuses it.
    pub(super) fn refuse(
        &mut self,
        destination: &Destination,
        error: &BrokerError,
        courses: &mut Courses,
    ) {
        self.entries.remove(destination);
        courses.remove(destination);
        self.node.refuse(destination, error);
    }

    /// Nobody listens to a destination any more.
    pub(super) async fn stop(&mut self, destination: &Destination, courses: &mut Courses) {
        courses.remove(destination);
        if let Some(entry) = self.entries.remove(destination) {
            for listener in entry.listeners {
                listener.end().await;
            }
        }
        self.node.router.forget(destination);
        self.node.upstreams.stopped(destination);
    }

    /// The client has dropped messages, and does not say whose. Those of one destination that are kept
    /// are read again.
    pub(super) fn dropped(&self) {
        for (destination, entry) in &self.entries {
            if !destination.is_pattern() && self.node.keeps(destination) {
                entry.listeners.iter().for_each(Listener::look);
            } else {
                self.node.router.gap(destination);
            }
        }
    }

    /// The connection is lost. What is kept is read when there is another one.
    pub(super) async fn lost(self) {
        let since = Instant::now().checked_sub(UNNOTICED);
        for (destination, entry) in self.entries {
            for listener in entry.listeners {
                listener.end().await;
            }
            for course in entry.courses {
                let course = &mut *course.lock();
                course.since = course.since.or(since);
            }
            if !self.node.keeps(&destination) {
                self.node.router.gap(&destination);
            }
        }
    }
}
