use std::time::Instant;

use crate::incoming::Piece;
use crate::publishing::Publishing;
use crate::record::{Record, Seen};
use crate::scenario::{Publishers, Scenario, Special};
use crate::sockets::{Event, Outgoing, What};
use crate::stamp::Stamp;
use crate::stomp::{body, header};
use crate::websocket::PONG;

/// The clients of one run: what each has been told, and what is answered.
pub struct Clients {
    scenario: Scenario,
    /// By the number of their connections.
    all: Vec<Client>,
    pub publishing: Publishing,
    pub tally: Tally,
    /// How many have been told CONNECTED.
    pub connected: usize,
    /// How many RECEIPTs have come.
    pub receipts: usize,
    /// What consumers of a queue have seen together, by publisher.
    of_queue: Vec<Record>,
}

/// What came of the messages.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// First deliveries.
    pub deliveries: u64,
    /// How long each took, in nanoseconds.
    pub latencies: Latencies,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    /// What else was wrong.
    pub faults: Vec<String>,
    /// How the connection of the stopped reader ended.
    pub stopped: Option<String>,
}

/// The times that deliveries took, in nanoseconds, in no order.
#[derive(Debug, Default, Clone)]
pub struct Latencies(Vec<u64>);

struct Client {
    destination: usize,
    role: Role,
    /// Whether its first MESSAGE was looked at closely.
    checked: bool,
    /// What a subscriber to a topic has seen, by the publisher's place.
    seen: Vec<Record>,
    /// The message that a consumer of a queue had last. A queue has one publisher.
    latest: u32,
    /// Whether its connection may end.
    leaves: bool,
    /// Whether it has: the server has answered its DISCONNECT, or closed.
    has_left: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Subscriber,
    Publisher,
    /// Subscribes, and then does not read.
    StoppedReader,
}

/// More faults than these are not kept.
const FAULTS: usize = 20;

impl Clients {
    /// The clients of a scenario, by number of their connections; with `stopped` one more, the last,
    /// who will not read.
    pub fn new(scenario: Scenario, stopped: bool) -> Self {
        let mut this = Self {
            scenario,
            all: Vec::new(),
            publishing: Publishing::new(scenario),
            tally: Tally::default(),
            connected: 0,
            receipts: 0,
            of_queue: Vec::new(),
        };
        for destination in 0..scenario.destinations {
            for place in 0..scenario.subscribers {
                let publishes = match scenario.publishers {
                    Publishers::Others(_) => false,
                    Publishers::Subscribers => true,
                    Publishers::FirstSubscriber => place == 0,
                };
                this.add(destination, Role::Subscriber, publishes);
            }
            if let Publishers::Others(count) = scenario.publishers {
                (0..count).for_each(|_| this.add(destination, Role::Publisher, true));
            }
        }
        if stopped {
            this.add(0, Role::StoppedReader, false);
        }
        let deliveries = u64::from(scenario.messages) * scenario.deliveries();
        this.tally.latencies.0.reserve(deliveries as usize);
        this
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// How many RECEIPTs say that all subscriptions have begun.
    pub fn expected_receipts(&self) -> usize {
        if self.scenario.special == Special::Connections {
            return 0;
        }
        self.all.iter().filter(|client| client.role != Role::Publisher).count()
    }

    pub fn take(&mut self, event: Event<'_>, outgoing: &mut Outgoing) {
        let number = event.connection;
        match event.what {
            What::Piece(Piece::Frame(frame)) if frame.starts_with(b"MESSAGE") => {
                self.message(number, frame, event.at, outgoing);
            }
            What::Piece(Piece::Frame(frame)) => self.other(number, frame, outgoing),
            What::Piece(Piece::Ping(payload)) => outgoing.put(number, PONG, payload),
            What::Piece(Piece::Response(response)) => {
                if !response.starts_with(b"HTTP/1.1 101 ") {
                    self.fault(format!("the Upgrade was refused: {}", shown(response)));
                }
                outgoing.stomp(number, CONNECT);
            }
            What::Piece(Piece::Close(payload)) => {
                let reason = payload.get(2..).unwrap_or_default();
                self.ended(number, format!("close frame, {:?}", shown(reason)));
            }
            What::Ended(why) => self.ended(number, why),
        }
    }

    /// Lets the consumers of a queue leave, which tells when their ACKs have been read.
    pub fn leave(&mut self, outgoing: &mut Outgoing) {
        for (number, client) in self.all.iter_mut().enumerate() {
            if client.role == Role::Subscriber {
                client.leaves = true;
                outgoing.stomp(number, b"DISCONNECT\nreceipt:leaves\n\n\0");
            }
        }
    }

    /// Whether some that are to leave have not: RabbitMQ's web-stomp answers no DISCONNECT, and closes.
    pub fn are_leaving(&self) -> bool {
        self.all.iter().any(|client| client.leaves && !client.has_left)
    }

    /// One more consumer of the first destination, who should get nothing. It is the next to connect.
    pub fn late_consumer(&mut self) {
        self.add(0, Role::Subscriber, false);
    }

    /// What is missing is lost, once nothing more will come.
    pub fn count_lost(&mut self) {
        let publishers = &self.publishing.publishers;
        let mut lost = 0;
        if self.scenario.is_queue() {
            let sent = publishers.iter().map(|publisher| publisher.sent);
            lost += self.of_queue.iter().zip(sent).map(|(seen, sent)| seen.lost(sent)).sum::<u64>();
        } else {
            for publisher in publishers {
                let subscribers = self.all.iter().filter(|client| {
                    client.destination == publisher.destination && client.role == Role::Subscriber
                });
                let seen =
                    subscribers.map(|client| client.seen[publisher.place].lost(publisher.sent));
                lost += seen.sum::<u64>();
            }
        }
        self.tally.lost = lost;
    }

    pub fn fault(&mut self, fault: String) {
        if self.tally.faults.len() < FAULTS {
            self.tally.faults.push(fault);
        }
    }

    fn add(&mut self, destination: usize, role: Role, publishes: bool) {
        if publishes {
            self.publishing.add(self.all.len(), destination);
            self.of_queue.push(Record::default());
        }
        let places = match self.scenario.publishers {
            Publishers::Others(count) => count,
            Publishers::Subscribers => self.scenario.subscribers,
            Publishers::FirstSubscriber => 1,
        };
        let seen = (0..places).map(|_| Record::default()).collect();
        self.all.push(Client {
            destination,
            role,
            checked: false,
            seen,
            latest: 0,
            leaves: false,
            has_left: false,
        });
    }

    fn message(&mut self, number: usize, frame: &[u8], now: Instant, outgoing: &mut Outgoing) {
        let client = &mut self.all[number];
        if client.role == Role::StoppedReader {
            return;
        }
        let length = self.scenario.body;
        let (head, stamped) = frame.split_at(frame.len().saturating_sub(length));
        // Usually the body is where it should be, and nothing has to be searched.
        let found = head.ends_with(b"\n\n") || body(frame).len() == length;
        let Some(stamp) = Stamp::read(stamped).filter(|_| found) else {
            return self.fault(format!("not sent by us: {}", shown(frame)));
        };
        if !std::mem::replace(&mut client.checked, true) {
            let there = |name| header(frame, name).is_some_and(|value| !value.is_empty());
            let right = header(frame, "\nsubscription:") == Some(b"0");
            if !right || !there("\nmessage-id:") || !there("\ndestination:") {
                self.fault(format!("a header is missing: {}", shown(frame)));
            }
        }
        if self.scenario.is_queue() {
            let id = header(frame, "\nack:").unwrap_or_default();
            outgoing.stomp(number, &[b"ACK\nid:", id, b"\n\n\0"].concat());
        }
        let client = &mut self.all[number];
        let publisher = self.publishing.publishers.get(stamp.publisher as usize);
        let publisher = publisher.filter(|publisher| publisher.destination == client.destination);
        let (Some(publisher), Role::Subscriber) = (publisher, client.role) else {
            return self.fault(format!("delivered to somebody else: {}", shown(frame)));
        };
        let seen = if self.scenario.is_queue() {
            let late = stamp.number < std::mem::replace(&mut client.latest, stamp.number);
            match self.of_queue[stamp.publisher as usize].see(stamp.number) {
                Seen::Again => Seen::Again,
                // That another consumer has had later ones is as it should be.
                Seen::InOrder | Seen::Late if late => Seen::Late,
                Seen::InOrder | Seen::Late => Seen::InOrder,
            }
        } else {
            client.seen[publisher.place].see(stamp.number)
        };
        match seen {
            Seen::Again => return self.tally.duplicated += 1,
            Seen::Late => self.tally.reordered += 1,
            Seen::InOrder => {}
        }
        self.tally.deliveries += 1;
        self.tally.latencies.0.push(self.publishing.latency(stamp.at, now));
        self.publishing.delivered(stamp.publisher as usize);
    }

    fn other(&mut self, number: usize, frame: &[u8], outgoing: &mut Outgoing) {
        let client = &mut self.all[number];
        if frame.starts_with(b"CONNECTED") {
            self.connected += 1;
            if client.role != Role::Publisher {
                let connections = self.scenario.special == Special::Connections;
                let receipt = if connections { "" } else { "receipt:subscribed\n" };
                let ack = if self.scenario.is_queue() { "ack:client-individual\n" } else { "" };
                let destination = self.scenario.destination(client.destination);
                let subscribe =
                    format!("SUBSCRIBE\nid:0\ndestination:{destination}\n{ack}{receipt}\n\0");
                outgoing.stomp(number, subscribe.as_bytes());
            }
        } else if frame.starts_with(b"RECEIPT") {
            client.has_left = client.leaves;
            self.receipts += 1;
        } else if client.role == Role::StoppedReader && frame.starts_with(b"ERROR") {
            let message = header(frame, "\nmessage:").unwrap_or_default();
            self.tally.stopped = Some(format!("ERROR, {:?}", shown(message)));
        } else {
            self.fault(shown(frame));
        }
    }

    fn ended(&mut self, number: usize, why: String) {
        let client = &mut self.all[number];
        client.has_left = client.leaves;
        if client.role == Role::StoppedReader {
            self.tally.stopped.get_or_insert(why);
        } else if !client.leaves {
            self.fault(format!("a connection ended: {why}"));
        }
    }
}

impl Latencies {
    /// What so many of them did not exceed, in milliseconds.
    pub fn percentile(&mut self, percent: f64) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        let place = ((self.0.len() - 1) as f64 * percent / 100.0) as usize;
        *self.0.select_nth_unstable(place).1 as f64 / 1e6
    }
}

/// The login is RabbitMQ's for the local machine; the others ask for none.
const CONNECT: &[u8] = b"CONNECT\naccept-version:1.2\nhost:127.0.0.1\nlogin:guest\npasscode:guest\nheart-beat:0,0\n\n\0";

/// The beginning of some bytes, for a message.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{self, Pace};

    /// The connections of two subscribers, and of one who publishes five messages at once.
    fn clients(special: Special) -> (Clients, Outgoing) {
        let [scenario, ..] = scenario::ALL;
        let (pace, messages) = (Pace::Window(5), 5);
        let scenario = Scenario { subscribers: 2, pace, messages, special, ..scenario };
        let (mut clients, mut outgoing) = (Clients::new(scenario, false), Outgoing::default());
        (0..clients.count()).for_each(|_| outgoing.open());
        clients.publishing.begin();
        clients.publishing.pump(&mut outgoing);
        (clients, outgoing)
    }

    fn deliver((clients, outgoing): &mut (Clients, Outgoing), to: usize, numbers: &[u32]) {
        for number in numbers {
            let mut frame = b"MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/x\n\n".to_vec();
            let body = frame.len();
            frame.resize(body + clients.scenario.body, b'x');
            let stamp = Stamp { publisher: 0, number: *number, at: 0 };
            stamp.write(frame[body..].first_chunk_mut().unwrap());
            let what = What::Piece(Piece::Frame(&frame));
            clients.take(Event { connection: to, at: Instant::now(), what }, outgoing);
        }
    }

    fn tally((mut clients, _): (Clients, Outgoing)) -> (u64, u64, u64, u64, usize) {
        clients.count_lost();
        let Tally { deliveries, lost, duplicated, reordered, faults, .. } = clients.tally;
        (deliveries, lost, duplicated, reordered, faults.len())
    }

    #[test]
    fn what_is_lost_duplicated_or_reordered_is_counted_for_each_subscriber() {
        let mut run = clients(Special::Nothing);
        deliver(&mut run, 0, &[0, 1, 2, 3, 4]);
        deliver(&mut run, 1, &[0, 2, 1, 1]);
        assert_eq!(tally(run), (8, 2, 1, 1, 0));
    }

    #[test]
    fn consumers_of_a_queue_share_its_messages() {
        let mut run = clients(Special::Queue);
        deliver(&mut run, 0, &[1, 3]);
        deliver(&mut run, 1, &[2, 0, 3]);
        assert_eq!(tally(run), (4, 1, 1, 1, 0));
    }

    #[test]
    fn what_goes_to_somebody_else_is_a_fault() {
        let mut run = clients(Special::Nothing);
        deliver(&mut run, 2, &[0]);
        assert_eq!(tally(run), (0, 10, 0, 0, 1));
    }
}
