use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

use crate::broker::{Capability, Outlet, Taken};
use crate::session::{Delivery, SubscriptionKey};

use super::super::Mailbox;
use super::super::fixture::{CaseResult, Failure, Fixture};

/// How many connections there are at a time.
const AT_ONCE: u64 = 100;

pub(super) async fn nothing_stays_of_connections_that_come_and_go(fixture: Fixture) -> CaseResult {
    let topic = fixture.topic("busy")?;
    let queue = fixture.capabilities().supports(Capability::Queues).then(|| fixture.queue("busy"));
    let queue = queue.transpose()?;
    let held = Arc::new(Held::default());
    for round in 0..fixture.connections_to_try().div_ceil(AT_ONCE) {
        let mut here = Vec::new();
        for _ in 0..AT_ONCE {
            let mailbox = Mailbox::new();
            let mut subscriber = fixture.subscriber(&mailbox);
            subscriber.outlet = Connection::new(&mailbox, &held);
            let listener = fixture.subscribe(&topic, subscriber.clone()).await?;
            if let Some(queue) = &queue {
                fixture.subscribe(queue, subscriber).await?;
            }
            here.push((mailbox, listener));
        }
        fixture.publish(&topic, &round.to_string()).await?;
        for (mailbox, id) in here {
            fixture.expect(&mailbox, 1).await?;
            fixture.leave(&topic, id).await?;
            if let Some(queue) = &queue {
                fixture.leave(queue, id).await?;
            }
        }
    }
    // What was handed over to another task may still be on its way.
    let left = tokio::time::timeout(fixture.patience(), held.none()).await;
    left.map_err(|_| Failure(format!("{} connections are held", held.count())))
}

/// A connection that is counted for as long as anybody holds it.
struct Connection {
    mailbox: Arc<Mailbox>,
    held: Arc<Held>,
}

/// How many connections somebody holds.
#[derive(Default)]
struct Held {
    count: AtomicU64,
    fewer: Notify,
}

impl Connection {
    fn new(mailbox: &Arc<Mailbox>, held: &Arc<Held>) -> Arc<Self> {
        held.count.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self { mailbox: Arc::clone(mailbox), held: Arc::clone(held) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.held.count.fetch_sub(1, Ordering::SeqCst);
        self.held.fewer.notify_one();
    }
}

impl Outlet for Connection {
    fn deliver(&self, to: SubscriptionKey, deliveries: &[Delivery], now: Instant) -> Taken {
        self.mailbox.deliver(to, deliveries, now)
    }
}

impl Held {
    fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    async fn none(&self) {
        while self.count() > 0 {
            self.fewer.notified().await;
        }
    }
}
