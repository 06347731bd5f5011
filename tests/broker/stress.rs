//! Threads that subscribe, publish, leave and are killed at random, all on one broker.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use stompbox::broker::{Broker, HistoryRequest, MemoryBroker};

use crate::recorder::{Calls, Recorder, message, settling, subscriber, turn};

const THREADS: u64 = 4;
const STEPS: u64 = 4_000;
const QUEUE: &str = "/queue/work";

/// One subscription of a thread.
struct Listening {
    to: &'static str,
    connection: u64,
    outlet: Arc<Recorder>,
    /// How many of its messages were acknowledged.
    settled: usize,
    killed: bool,
}

/// What all threads share.
struct Arena {
    broker: MemoryBroker,
    connections: AtomicU64,
    /// What was acknowledged of the queue.
    acknowledged: Mutex<Vec<String>>,
}

/// What one thread has done.
#[derive(Default)]
struct Worker {
    listening: Vec<Listening>,
    ended: Vec<Listening>,
    sent: HashMap<&'static str, u64>,
}

#[test]
fn nothing_is_lost_or_doubled_whatever_others_do() {
    let rule = "/topic/kept/**,history=20".parse().unwrap();
    let arena = Arc::new(Arena {
        broker: MemoryBroker::builder().rule(rule).build(),
        connections: AtomicU64::new(1),
        acknowledged: Mutex::default(),
    });
    let workers: Vec<_> = (0..THREADS)
        .map(|number| {
            let arena = Arc::clone(&arena);
            thread::spawn(move || Worker::default().run(number, &arena))
        })
        .collect();
    let mut sent = HashSet::new();
    for (number, worker) in (0..).zip(workers) {
        let worker = worker.join().unwrap();
        for listening in &worker.ended {
            whole(listening);
        }
        let to_queue = worker.sent.get(QUEUE).copied().unwrap_or_default();
        sent.extend((0..to_queue).map(|sequence| format!("{number} {QUEUE} {sequence}")));
    }
    drain(&arena);
    let acknowledged = arena.acknowledged.lock().unwrap();
    assert_eq!(acknowledged.len(), sent.len(), "each message is acknowledged once");
    assert_eq!(acknowledged.iter().cloned().collect::<HashSet<_>>(), sent);
    assert_eq!((arena.broker.queues(), arena.broker.queued_bytes()), (0, 0));
    let kept = ["/topic/kept/a", "/topic/kept/b"].len();
    assert!(arena.broker.router().destinations() <= kept, "only those with a history are left");
}

impl Worker {
    fn run(mut self, number: u64, arena: &Arena) -> Self {
        let mut random = number + 1;
        for _ in 0..STEPS {
            // xorshift: any sequence will do, and the same one each time.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let choice = random >> 32;
            match random % 16 {
                0..8 => self.publish(number, choice, arena),
                8..10 => self.subscribe(choice, arena),
                10..12 => self.leave(choice, arena),
                12 => self.kill(choice, arena),
                _ => self.settle(choice, arena),
            }
        }
        while !self.listening.is_empty() {
            self.leave(0, arena);
        }
        self
    }

    fn publish(&mut self, number: u64, choice: u64, arena: &Arena) {
        let to = pick(&["/topic/a", "/topic/b", "/topic/kept/a", "/topic/kept/b", QUEUE], choice);
        let mut turn = turn();
        for _ in 0..=choice % 3 {
            let sequence = self.sent.entry(to).or_default();
            let body = format!("{number} {to} {sequence}");
            *sequence += 1;
            drop(arena.broker.publish(message(to, &body), &mut turn));
        }
    }

    fn subscribe(&mut self, choice: u64, arena: &Arena) {
        let to = pick(&["/topic/a", "/topic/*", "/topic/kept/a", "/topic/**", QUEUE], choice);
        let connection = arena.connections.fetch_add(1, Ordering::Relaxed);
        let outlet = Recorder::new();
        let it = match to {
            QUEUE => settling(connection, &outlet, 10),
            "/topic/kept/a" => {
                subscriber(connection, &outlet).with_history(Some(HistoryRequest::Last(5)))
            }
            _ => subscriber(connection, &outlet),
        };
        arena.broker.joins(to, it).unwrap();
        self.listening.push(Listening { to, connection, outlet, settled: 0, killed: false });
    }

    fn leave(&mut self, choice: u64, arena: &Arena) {
        if !self.listening.is_empty() {
            let listening = self.listening.swap_remove(place(choice, self.listening.len()));
            arena.broker.leaves(listening.to, listening.connection);
            self.ended.push(listening);
        }
    }

    /// The connection goes without a word: that is noticed at the next delivery, or when its
    /// subscription is taken back.
    fn kill(&mut self, choice: u64, _: &Arena) {
        let place = place(choice, self.listening.len());
        if let Some(listening) = self.listening.get_mut(place) {
            listening.outlet.go();
            listening.killed = true;
        }
    }

    fn settle(&mut self, choice: u64, arena: &Arena) {
        let place = place(choice, self.listening.len());
        if let Some(listening) = self.listening.get_mut(place) {
            listening.acknowledge(arena);
        }
    }
}

impl Listening {
    /// Acknowledges what came from the queue since the last time.
    fn acknowledge(&mut self, arena: &Arena) {
        if self.to != QUEUE || self.killed {
            return;
        }
        let got = self.outlet.got();
        let fresh = &got[self.settled..];
        let bodies = fresh.iter().map(|got| got.body.clone());
        arena.acknowledged.lock().unwrap().extend(bodies);
        let tags: Vec<_> = fresh.iter().map(|got| got.tag).collect();
        self.settled = got.len();
        arena.broker.acks(QUEUE, self.connection, &tags);
    }

    fn is_whole(&self) -> bool {
        self.settled == self.outlet.got().len()
    }
}

fn pick(names: &[&'static str], choice: u64) -> &'static str {
    names[place(choice, names.len())]
}

fn place(choice: u64, of: usize) -> usize {
    usize::try_from(choice).unwrap() % of.max(1)
}

/// Takes what is left in the queue.
fn drain(arena: &Arena) {
    let outlet = Recorder::new();
    arena.broker.joins(QUEUE, settling(0, &outlet, 10)).unwrap();
    let mut last = Listening { to: QUEUE, connection: 0, outlet, settled: 0, killed: false };
    while !last.is_whole() {
        last.acknowledge(arena);
    }
    arena.broker.leaves(QUEUE, 0);
}

/// Of each publisher and destination a subscription to topics got a run without a hole that it was
/// not told of.
fn whole(listening: &Listening) {
    if listening.to == QUEUE {
        return;
    }
    let mut last = HashMap::<String, u64>::new();
    for got in listening.outlet.got() {
        if got.gap {
            // Others published more than is kept before it had read it, and it is told so.
            last.clear();
        }
        let body = &got.body;
        let (whose, sequence) = body.rsplit_once(' ').unwrap();
        let sequence: u64 = sequence.parse().unwrap();
        if let Some(before) = last.insert(whose.to_owned(), sequence) {
            assert_eq!(sequence, before + 1, "{} got {body} after {before}", listening.to);
        }
    }
}
