//! The broker alone: `cargo bench --bench broker`. What sockets add to it shows in `load/`.
//!
//! Beside it stands what one would write by hand: a map from destination to the channels of the
//! subscribers, or tokio's broadcast channel. A delivery has arrived when its outlet has counted it;
//! with a channel, when the receiver has taken it out and counted it. Nobody sleeps or is woken.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use criterion::{criterion_group, criterion_main};
use stompbox::broker::{
    Broker, Destination, MemoryBroker, Message, Outlet, Settle, Settlement, Subscriber,
    SubscriberId, Taken, Turn,
};
use stompbox::session::{Delivery, SubscriptionKey};

#[path = "broker/by_hand.rs"]
mod by_hand;

use by_hand::{Broadcast, Channels, Patterns};

criterion_group!(benches, fan_out, rooms, patterns, queue, subscribe_storm);
criterion_main!(benches);

/// Octets in the body of each message.
const BODY: [u8; 128] = [b'x'; 128];

/// One message to all subscribers of a destination.
fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out");
    for subscribers in [1, 100, 10_000] {
        group.throughput(Throughput::Elements(subscribers));
        let outlet = Arc::new(Counting::default());
        let broker = MemoryBroker::new();
        let room = destination("/topic/room");
        join(&broker, &room, 0..subscribers, &outlet);
        group.bench_function(BenchmarkId::new("stompbox", subscribers), |bencher| {
            bencher.iter(|| publish(&broker, &room));
        });
        let mut channels = Channels::default();
        (0..subscribers).for_each(|subscriber| channels.subscribe("/topic/room", subscriber));
        group.bench_function(BenchmarkId::new("channels by hand", subscribers), |bencher| {
            bencher.iter(|| channels.publish("/topic/room", &BODY));
        });
        let mut broadcast = Broadcast::new(subscribers);
        group.bench_function(BenchmarkId::new("tokio broadcast", subscribers), |bencher| {
            bencher.iter(|| broadcast.publish(&BODY));
        });
    }
    group.finish();
}

/// One message to each of many rooms of ten.
fn rooms(criterion: &mut Criterion) {
    const MEMBERS: u64 = 10;
    let mut group = criterion.benchmark_group("rooms of 10");
    for count in [20, 1_000] {
        group.throughput(Throughput::Elements(count * MEMBERS));
        let rooms: Vec<_> = (0..count).map(|room| format!("/topic/room/{room}")).collect();
        let (outlet, broker) = (Arc::new(Counting::default()), MemoryBroker::new());
        let mut channels = Channels::default();
        for (room, number) in rooms.iter().zip(0..) {
            let members = number * MEMBERS..(number + 1) * MEMBERS;
            join(&broker, &destination(room), members.clone(), &outlet);
            members.for_each(|member| channels.subscribe(room, member));
        }
        let destinations: Vec<_> = rooms.iter().map(|room| destination(room)).collect();
        group.bench_function(BenchmarkId::new("stompbox", count), |bencher| {
            bencher.iter(|| destinations.iter().for_each(|room| publish(&broker, room)));
        });
        group.bench_function(BenchmarkId::new("channels by hand", count), |bencher| {
            bencher.iter(|| rooms.iter().for_each(|room| channels.publish(room, &BODY)));
        });
    }
    group.finish();
}

/// One message to a destination that one of many patterns matches, each with a subscriber.
fn patterns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("patterns");
    group.throughput(Throughput::Elements(1));
    for count in [1, 1_000, 100_000] {
        let (outlet, broker) = (Arc::new(Counting::default()), MemoryBroker::new());
        let mut patterns = Patterns::default();
        for number in 0..count {
            let pattern = format!("/topic/{number}/*/price");
            join(&broker, &destination(&pattern), number..number + 1, &outlet);
            patterns.subscribe(&pattern);
        }
        let name = format!("/topic/{}/eu/price", count / 2);
        let price = destination(&name);
        publish(&broker, &price);
        assert_eq!(outlet.0.load(Ordering::Relaxed), 1, "one pattern matches");
        group.bench_function(BenchmarkId::new("stompbox", count), |bencher| {
            bencher.iter(|| publish(&broker, &price));
        });
        group.bench_function(BenchmarkId::new("all looked at by hand", count), |bencher| {
            bencher.iter(|| patterns.publish(&name, &BODY));
        });
    }
    group.finish();
}

/// A message that is published, delivered to one of four consumers and acknowledged. What knows no
/// acknowledgement is no rival.
fn queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    let (broker, jobs) = (MemoryBroker::new(), destination("/queue/jobs"));
    let latest = Arc::new(Latest::default());
    for connection in 0..4 {
        let outlet = Arc::new(Consumer { connection, latest: latest.clone() });
        let subscriber = Subscriber::new(id(connection), outlet).with_settles(true);
        let joined = broker.subscribe(&jobs, subscriber, &mut turn()).take_ready();
        assert!(matches!(joined, Some(Ok(()))));
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("publish, deliver, settle", |bencher| {
        bencher.iter(|| {
            publish(&broker, &jobs);
            let settle = Settle {
                destination: jobs.clone(),
                subscriber: id(latest.connection.load(Ordering::Relaxed)),
                tags: vec![latest.tag.load(Ordering::Relaxed)],
                settlement: Settlement::Acknowledged,
            };
            broker.settle(settle, &mut turn())
        });
    });
    assert_eq!(broker.queued(&jobs), 0, "all are settled");
    group.finish();
}

/// All subscribe to one destination, and leave it in the same order. By hand, leaving searches the
/// others: that is not measured with 100,000.
fn subscribe_storm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscribe storm");
    group.sample_size(10);
    for subscribers in [1_000, 10_000, 100_000] {
        group.throughput(Throughput::Elements(subscribers));
        group.bench_function(BenchmarkId::new("stompbox", subscribers), |bencher| {
            let (outlet, room) = (Arc::new(Counting::default()), destination("/topic/room"));
            let come_and_go = |broker: MemoryBroker| {
                join(&broker, &room, 0..subscribers, &outlet);
                for subscriber in 0..subscribers {
                    drop(broker.unsubscribe(&room, id(subscriber), &mut turn()));
                }
                assert_eq!(broker.router().destinations(), 0);
            };
            bencher.iter_batched(MemoryBroker::new, come_and_go, BatchSize::PerIteration);
        });
        if subscribers < 100_000 {
            channels_storm(&mut group, subscribers);
        }
    }
    group.finish();
}

fn channels_storm(group: &mut BenchmarkGroup<'_, WallTime>, subscribers: u64) {
    group.bench_function(BenchmarkId::new("channels by hand", subscribers), |bencher| {
        let come_and_go = |mut channels: Channels| {
            (0..subscribers).for_each(|subscriber| channels.subscribe("/topic/room", subscriber));
            (0..subscribers).for_each(|subscriber| channels.leave("/topic/room", subscriber));
        };
        bencher.iter_batched(Channels::default, come_and_go, BatchSize::PerIteration);
    });
}

/// An outlet that counts deliveries.
#[derive(Default)]
struct Counting(AtomicU64);

impl Outlet for Counting {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        self.0.fetch_add(black_box(deliveries).len() as u64, Ordering::Relaxed);
        Taken::Written
    }
}

/// The outlet of a consumer of a queue.
struct Consumer {
    connection: u64,
    latest: Arc<Latest>,
}

/// Which consumer was given a message last, and what it settles it by.
#[derive(Default)]
struct Latest {
    connection: AtomicU64,
    tag: AtomicU64,
}

impl Outlet for Consumer {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        for delivery in deliveries {
            self.latest.connection.store(self.connection, Ordering::Relaxed);
            self.latest.tag.store(delivery.tag(), Ordering::Relaxed);
        }
        Taken::Written
    }
}

fn join(
    broker: &MemoryBroker,
    destination: &Destination,
    subscribers: std::ops::Range<u64>,
    outlet: &Arc<Counting>,
) {
    for subscriber in subscribers {
        let subscriber = Subscriber::new(id(subscriber), outlet.clone());
        let joined = broker.subscribe(destination, subscriber, &mut turn()).take_ready();
        assert!(matches!(joined, Some(Ok(()))));
    }
}

/// In a turn of its own, at the end of which all have it.
fn publish(broker: &MemoryBroker, destination: &Destination) {
    let message = Message::builder(destination.clone()).body(black_box(BODY));
    let published = broker.publish(message, &mut turn()).take_ready();
    assert!(matches!(published, Some(Ok(()))));
}

fn destination(name: &str) -> Destination {
    name.parse().unwrap_or_else(|error| unreachable!("{name}: {error}"))
}

fn id(connection: u64) -> SubscriberId {
    SubscriberId { connection, subscription: SubscriptionKey::new(0, 0) }
}

fn turn() -> Turn {
    Turn::new(Instant::now())
}
