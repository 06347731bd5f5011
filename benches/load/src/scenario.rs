//! The scenarios: who is connected, who publishes, and how fast.

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    pub title: &'static str,
    /// How many destinations there are, all alike.
    pub destinations: usize,
    /// How many subscribe to each of them.
    pub subscribers: usize,
    pub publishers: Publishers,
    pub pace: Pace,
    /// By all publishers together.
    pub messages: u32,
    /// Octets in the body of each.
    pub body: usize,
    pub special: Special,
}

/// Who publishes to each destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishers {
    /// So many, who don't subscribe.
    Others(usize),
    /// All its subscribers, in turn.
    Subscribers,
    /// One of its subscribers.
    FirstSubscriber,
}

/// When the next message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// While less than so many messages of the publisher (with [`Publishers::Subscribers`], of the
    /// destination) are on their way to anybody.
    Window(u64),
    /// As with a window, but one destination after the other.
    InTurn(u64),
    /// So many a second, at equal intervals, whatever has been delivered.
    Rate(u32),
}

/// What sets a scenario apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    Nothing,
    /// Its destinations are queues, and each message is acknowledged.
    Queue,
    /// The connections are what is looked at.
    Connections,
    /// The same is run a second time with one more subscriber, who stops reading.
    StoppedReader,
}

/// All of them, in the order of the table.
pub const ALL: [Scenario; 9] = [
    Scenario {
        name: "fan-out",
        title: "fan-out, 200 subscribers, window 10",
        pace: Pace::Window(10),
        messages: 4_000,
        ..FAN_OUT
    },
    FAN_OUT,
    Scenario {
        name: "rooms",
        title: "rooms, 20 of 10",
        destinations: 20,
        subscribers: 10,
        publishers: Publishers::Subscribers,
        messages: 40_000,
        ..FAN_OUT
    },
    Scenario {
        name: "pairs",
        title: "pairs, 50",
        destinations: 50,
        subscribers: 1,
        messages: 100_000,
        ..FAN_OUT
    },
    Scenario {
        name: "publishers",
        title: "10 publishers to one topic of 200, window 1",
        publishers: Publishers::Others(10),
        messages: 4_000,
        ..FAN_OUT
    },
    Scenario {
        name: "rate",
        title: "500/s to 100",
        subscribers: 100,
        pace: Pace::Rate(500),
        messages: 2_500,
        ..FAN_OUT
    },
    Scenario {
        name: "queue",
        title: "queue with acks, 4 consumers",
        subscribers: 4,
        pace: Pace::Window(100),
        messages: 50_000,
        special: Special::Queue,
        ..FAN_OUT
    },
    Scenario {
        name: "idle",
        title: "10,000 idle connections",
        destinations: 100,
        subscribers: 100,
        publishers: Publishers::FirstSubscriber,
        pace: Pace::InTurn(50),
        messages: 5_000,
        body: 1 << 10,
        special: Special::Connections,
    },
    // The kernel keeps some four megabytes for one who doesn't read, and only then does the server
    // see anything of it: after half of the messages.
    Scenario {
        name: "stopped",
        title: "a stopped reader among 200",
        pace: Pace::Rate(150),
        messages: 900,
        body: 8 << 10,
        special: Special::StoppedReader,
        ..FAN_OUT
    },
];

const FAN_OUT: Scenario = Scenario {
    name: "fan-out-1",
    title: "fan-out, window 1",
    destinations: 1,
    subscribers: 200,
    publishers: Publishers::Others(1),
    pace: Pace::Window(1),
    messages: 2_000,
    body: 128,
    special: Special::Nothing,
};

impl Scenario {
    /// The same in a second or less, to see that nothing is lost.
    pub fn small(mut self) -> Self {
        self.destinations = self.destinations.div_ceil(10);
        if self.subscribers > 10 {
            self.subscribers /= 10;
        }
        self.messages /= 10;
        self
    }

    pub fn is_queue(&self) -> bool {
        self.special == Special::Queue
    }

    /// How many deliveries one message makes.
    pub fn deliveries(&self) -> u64 {
        if self.is_queue() { 1 } else { self.subscribers as u64 }
    }

    /// The name of one of its destinations.
    pub fn destination(&self, number: usize) -> String {
        let kind = if self.is_queue() { "queue" } else { "topic" };
        format!("/{kind}/load-{number}")
    }
}
