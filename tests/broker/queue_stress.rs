//! Consumers that come, settle and go on threads of their own, while others publish.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use stompbox::broker::{Broker, MemoryBroker, Outlet, Subscriber, Taken};
use stompbox::session::{Delivery, SubscriptionKey};

use crate::recorder::{Calls, destination, done, id, turn};

const JOBS: &str = "/queue/jobs";
const PUBLISHERS: usize = 3;
const EACH: usize = 400;

/// Acknowledges most of what it gets while it gets it, rejects some, and keeps the rest until it
/// leaves.
struct Worker {
    connection: u64,
    broker: Weak<MemoryBroker>,
    acknowledged: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

impl Outlet for Worker {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        let broker = self.broker.upgrade().unwrap();
        for delivery in deliveries {
            match (delivery.tag() >> 32) % 5 {
                0 => {}
                1 if delivery.attempt() < 5 => {
                    broker.nacks(JOBS, self.connection, &[delivery.tag()]);
                }
                _ => {
                    let body = delivery.message().body().to_vec();
                    self.acknowledged.lock().insert(body);
                    broker.acks(JOBS, self.connection, &[delivery.tag()]);
                }
            }
        }
        Taken::Written
    }
}

#[test]
fn every_message_is_acknowledged_whoever_comes_and_goes() {
    let broker = Arc::new(MemoryBroker::new());
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let left = AtomicUsize::new(PUBLISHERS);
    let connections = AtomicUsize::new(0);
    let start = Barrier::new(PUBLISHERS + 3);
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (broker, left, start) = (&broker, &left, &start);
            scope.spawn(move || {
                start.wait();
                for number in 0..EACH {
                    broker.sends(JOBS, &format!("{publisher} {number}")).unwrap();
                }
                left.fetch_sub(1, Ordering::Release);
            });
        }
        for _ in 0..3 {
            scope.spawn(|| {
                start.wait();
                while left.load(Ordering::Acquire) > 0 || broker.queued(&destination(JOBS)) > 0 {
                    let connection = connections.fetch_add(1, Ordering::Relaxed) as u64;
                    let worker = Worker {
                        connection,
                        broker: Arc::downgrade(&broker),
                        acknowledged: acknowledged.clone(),
                    };
                    let subscriber = Subscriber::new(id(connection), Arc::new(worker))
                        .with_settles(true)
                        .with_prefetch(Some(20));
                    done(broker.subscribe(&destination(JOBS), subscriber, &mut turn())).unwrap();
                    broker.leaves(JOBS, connection);
                }
            });
        }
    });
    // An ACK that comes when its consumer has left counts for nothing, so that some come twice.
    assert_eq!(acknowledged.lock().len(), PUBLISHERS * EACH);
    assert_eq!((broker.queues(), broker.queued_bytes()), (0, 0));
}
