use std::time::{Duration, Instant};

use crate::scenario::{Pace, Publishers, Scenario};
use crate::sockets::Outgoing;
use crate::stamp::Stamp;

/// Who publishes, and what is allowed to be sent when.
pub struct Publishing {
    scenario: Scenario,
    pub publishers: Vec<Publisher>,
    sources: Vec<Source>,
    /// What instants are counted from.
    start: Instant,
}

/// A connection that publishes.
#[derive(Debug)]
pub struct Publisher {
    connection: usize,
    pub destination: usize,
    /// Which one of its destination's publishers it is.
    pub place: usize,
    source: usize,
    pub sent: u32,
    /// The SEND frame, and where its body begins.
    frame: Vec<u8>,
    body: usize,
}

/// What decides when a message is sent: a publisher, or all of a destination in turn.
#[derive(Debug, Default)]
struct Source {
    publishers: Vec<usize>,
    sent: u64,
    to_send: u64,
    delivered: u64,
}

impl Publishing {
    /// Nobody publishes yet.
    pub fn new(scenario: Scenario) -> Self {
        Self { scenario, publishers: Vec::new(), sources: Vec::new(), start: Instant::now() }
    }

    /// Adds a publisher.
    pub fn add(&mut self, connection: usize, destination: usize) {
        let of_destination = |other: &&Publisher| other.destination == destination;
        let place = self.publishers.iter().filter(of_destination).count();
        let in_turn = self.scenario.publishers == Publishers::Subscribers;
        if place == 0 || !in_turn {
            self.sources.push(Source::default());
        }
        let source = self.sources.len() - 1;
        self.sources[source].publishers.push(self.publishers.len());
        let mut frame = format!(
            "SEND\ndestination:{}\ncontent-type:text/plain\ncontent-length:{}\n\n",
            self.scenario.destination(destination),
            self.scenario.body
        )
        .into_bytes();
        let body = frame.len();
        frame.resize(body + self.scenario.body, b'x');
        frame.push(0);
        self.publishers.push(Publisher {
            connection,
            destination,
            place,
            source,
            sent: 0,
            frame,
            body,
        });
    }

    /// Begins: from now on [`pump`](Self::pump) sends.
    pub fn begin(&mut self) {
        self.start = Instant::now();
        let (all, sources) = (u64::from(self.scenario.messages), self.sources.len() as u64);
        for (source, number) in self.sources.iter_mut().zip(0..) {
            source.to_send = all / sources + u64::from(number < all % sources);
        }
    }

    /// Notes a first delivery of a publisher's message.
    pub fn delivered(&mut self, publisher: usize) {
        self.sources[self.publishers[publisher].source].delivered += 1;
    }

    /// Whether all is sent and delivered.
    pub fn is_done(&self) -> bool {
        self.sources.iter().all(|source| self.is_source_done(source))
    }

    /// How long a message took that was stamped with `at`.
    pub fn latency(&self, at: u64, now: Instant) -> u64 {
        (nanoseconds(now - self.start)).saturating_sub(at)
    }

    /// Sends what may be sent now.
    pub fn pump(&mut self, outgoing: &mut Outgoing) {
        let deliveries = self.scenario.deliveries();
        for number in 0..self.sources.len() {
            loop {
                let source = &self.sources[number];
                let allowed = match self.scenario.pace {
                    Pace::Rate(_) => self.due(source) <= self.start.elapsed(),
                    Pace::Window(window) | Pace::InTurn(window) => {
                        source.delivered + window * deliveries >= (source.sent + 1) * deliveries
                    }
                };
                if source.sent >= source.to_send || !allowed {
                    break;
                }
                self.send(number, outgoing);
            }
            let in_turn = matches!(self.scenario.pace, Pace::InTurn(_));
            if in_turn && !self.is_source_done(&self.sources[number]) {
                return;
            }
        }
    }

    /// How long until there is something to send though nothing comes in.
    pub fn wait(&self) -> Duration {
        let far = Duration::from_millis(500);
        if !matches!(self.scenario.pace, Pace::Rate(_)) {
            return far;
        }
        let open = self.sources.iter().filter(|source| source.sent < source.to_send);
        let due = open.map(|source| self.due(source)).min();
        due.map_or(far, |due| due.saturating_sub(self.start.elapsed()).min(far))
    }

    fn send(&mut self, source: usize, outgoing: &mut Outgoing) {
        let at = match self.scenario.pace {
            Pace::Rate(_) => self.due(&self.sources[source]),
            Pace::Window(_) | Pace::InTurn(_) => self.start.elapsed(),
        };
        let source = &mut self.sources[source];
        let number = source.publishers[source.sent as usize % source.publishers.len()];
        source.sent += 1;
        let publisher = &mut self.publishers[number];
        let stamp = Stamp { publisher: number as u32, number: publisher.sent, at: nanoseconds(at) };
        publisher.sent += 1;
        let body = &mut publisher.frame[publisher.body..];
        stamp.write(body.first_chunk_mut().expect("bodies have room for a stamp"));
        outgoing.stomp(publisher.connection, &publisher.frame);
    }

    /// When a source's next message is due, from the start.
    fn due(&self, source: &Source) -> Duration {
        let Pace::Rate(rate) = self.scenario.pace else { return Duration::ZERO };
        let interval = Duration::from_secs(1) * self.sources.len() as u32 / rate;
        interval * source.sent as u32
    }

    fn is_source_done(&self, source: &Source) -> bool {
        source.delivered >= source.to_send * self.scenario.deliveries()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
