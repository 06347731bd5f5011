use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use async_nats::Subscriber;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::session::Delivery;

use super::super::{Destination, Outcome, Turn, pattern};
use super::message::{self, Origin};
use super::node::Node;

/// A subscription at NATS: takes what comes by it to those who listen here to its destination, or to
/// its pattern.
///
/// A message that several of a node's subscriptions match comes by each of them. So each serves only
/// its own listeners, and nothing needs to be compared.
pub(super) struct Listener(JoinHandle<()>);

/// The newest message of each node that came by a subscription to one subject. It outlives a connection: what was
/// on its way when one was lost is published again by the next.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<u64, u64>);

/// How many messages are taken along before any of them is delivered.
const TURN: usize = 64;

/// How many nodes are known to a subscription. Each run of a node is another one.
const NODES: usize = 1024;

impl Listener {
    pub(super) fn new(
        node: Arc<Node>,
        wanted: Destination,
        messages: Subscriber,
        seen: Arc<Mutex<Seen>>,
    ) -> Self {
        Self(tokio::spawn(listen(node, wanted, messages, seen)))
    }

    /// Ends it. After that it delivers nothing.
    pub(super) async fn end(mut self) {
        self.0.abort();
        // It was ended, or has ended: both is what was asked for.
        drop((&mut self.0).await);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Seen {
    /// Whether a message comes for the first time. Those of one node come in their order.
    fn is_new(&mut self, origin: Origin) -> bool {
        if self.0.len() >= NODES && !self.0.contains_key(&origin.node) {
            self.0.clear();
        }
        let last = self.0.entry(origin.node).or_default();
        let new = origin.number > *last;
        *last = origin.number.max(*last);
        new
    }
}

async fn listen(
    node: Arc<Node>,
    wanted: Destination,
    mut messages: Subscriber,
    seen: Arc<Mutex<Seen>>,
) {
    while let Some(first) = messages.next().await {
        let mut turn = Turn::new(Instant::now());
        let mut outcome = route(&node, &wanted, &first, &seen, &mut turn);
        for _ in 1..TURN {
            let Some(Some(next)) = messages.next().now_or_never() else { break };
            outcome = route(&node, &wanted, &next, &seen, &mut turn);
        }
        drop(turn);
        if outcome.take_ready().is_none() {
            // Those who listen here are behind. What waits for them is bounded, so the rest waits
            // with the client; an error is that nobody is left to wait for.
            drop(outcome.await);
        }
    }
}

fn route(
    node: &Node,
    wanted: &Destination,
    arrived: &async_nats::Message,
    seen: &Mutex<Seen>,
    turn: &mut Turn,
) -> Outcome {
    let Some(Ok(destination)) = node.subjects.destination(&arrived.subject) else {
        return Outcome::done();
    };
    // A pattern may listen to more than it matches.
    if destination.is_pattern() || !pattern::matches(wanted, &destination) {
        return Outcome::done();
    }
    let headers = arrived.headers.as_ref();
    let (message, origin) = message::message(destination, headers, &arrived.payload);
    if origin.is_some_and(|origin| !seen.lock().is_new(origin)) {
        return Outcome::done();
    }
    node.router.route(wanted, Delivery::new(message.into_shared()), turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_again_is_known() {
        let mut seen = Seen::default();
        let mut is_new = |node, number| seen.is_new(Origin { node, number });
        assert!(is_new(1, 1) && is_new(1, 2) && is_new(2, 1));
        assert!(!is_new(1, 1) && !is_new(1, 2));
        assert!(is_new(1, 5) && is_new(2, 2));
    }
}
