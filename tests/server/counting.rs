//! An outlet without a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use stompbox::broker::{Outlet, Subscriber, SubscriberId, Taken};
use stompbox::session::{Delivery, SubscriptionKey};

/// Counts how often it is delivered to.
#[derive(Default)]
pub(crate) struct Counting(pub(crate) AtomicUsize);

impl Outlet for Counting {
    fn deliver(&self, _to: SubscriptionKey, _deliveries: &[Delivery], _now: Instant) -> Taken {
        self.0.fetch_add(1, Ordering::SeqCst);
        Taken::Written
    }
}

pub(crate) fn subscriber(connection: u64, outlet: Arc<Counting>) -> Subscriber {
    let subscription = SubscriptionKey::new(0, 0);
    Subscriber::new(SubscriberId { connection, subscription }, outlet)
}
