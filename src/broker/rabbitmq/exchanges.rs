use std::collections::HashMap;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::Connection;
use lapin::message::Delivery as Message;
use tokio::sync::oneshot;

use crate::session::Delivery;

use super::super::engine::Change;
use super::super::{Destination, Outcome, Turn};
use super::address::{Address, exchange_of};
use super::private_queue::PrivateQueue;
use super::properties::{earlier_deliveries, message_of};
use super::shared::{Shared, refusal};

/// The exchanges that this node listens to, each with a queue of its own for each key: which key a
/// message was matched by is for the exchange to know, and it does not say.
pub(super) struct Exchanges<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
}

impl<'a> Exchanges<'a> {
    pub(super) fn new(shared: &'a Shared, connection: &'a Connection) -> Self {
        Self { shared, connection }
    }

    /// Works until the connection is lost.
    pub(super) async fn run(self) {
        let mut at_work: FuturesUnordered<BoxFuture<'a, lapin::Result<()>>> = <_>::default();
        let mut stops = HashMap::<Destination, oneshot::Sender<()>>::new();
        loop {
            tokio::select! {
                Some(ended) = at_work.next() => {
                    if ended.is_err() {
                        return;
                    }
                    // One that was refused is not stopped by anybody.
                    stops.retain(|_, stop| !stop.is_closed());
                }
                change = self.shared.exchanges.upstreams.change() => match change {
                    Change::Listen(destination) => {
                        let (stop, stopped) = oneshot::channel();
                        stops.insert(destination.clone(), stop);
                        let (shared, connection) = (self.shared, self.connection);
                        at_work.push(Box::pin(listen(shared, connection, destination, stopped)));
                    }
                    // It is dropped, which is a word too.
                    Change::Stop(destination) => drop(stops.remove(&destination)),
                },
            }
        }
    }
}

/// Listens until it is stopped. An error is a loss of the connection.
async fn listen(
    shared: &Shared,
    connection: &Connection,
    destination: Destination,
    mut stopped: oneshot::Receiver<()>,
) -> lapin::Result<()> {
    loop {
        let mut queue = match begin(connection, &destination).await {
            Ok(queue) => queue,
            Err(error) => {
                let refused = refusal(&destination, &error).ok_or(error)?;
                shared.exchanges.upstreams.refused(&destination, &refused);
                return Ok(());
            }
        };
        shared.gaps.lock().bound(&destination);
        shared.exchanges.listening(&destination);
        loop {
            tokio::select! {
                message = queue.next() => match message {
                    Some(message) => {
                        let route = |it: &Message, turn: &mut Turn| {
                            route(shared, &destination, it, turn)
                        };
                        queue.deliver(message, route).await?;
                    }
                    // If it is not the connection, somebody has deleted the queue: it begins anew.
                    None => break,
                },
                _ = &mut stopped => {
                    queue.close().await?;
                    shared.gaps.lock().unbound(&destination);
                    shared.exchanges.upstreams.stopped(&destination);
                    return Ok(());
                }
            }
        }
        shared.gaps.lock().lost_at(&destination);
    }
}

/// A queue that is bound to the exchange, which is refused if it is not there.
async fn begin(connection: &Connection, destination: &Destination) -> lapin::Result<PrivateQueue> {
    let queue = PrivateQueue::begin(connection).await?;
    // What is no exchange was refused when it was subscribed to.
    if let Ok(Address::Exchange(name, key)) = Address::of(destination) {
        queue.bind(name, key).await?;
    }
    Ok(queue)
}

fn route(
    shared: &Shared,
    listened_to: &Destination,
    message: &Message,
    turn: &mut Turn,
) -> Outcome {
    let shown = exchange_of(message.exchange.as_str(), message.routing_key.as_str());
    let shown = shown.as_ref().unwrap_or(listened_to);
    let gap = shared.gaps.lock().take(listened_to);
    let attempts = earlier_deliveries(&message.properties, false);
    let delivery = Delivery::new(message_of(shown, &message.properties, &message.data))
        .with_gap(gap)
        .with_attempt(attempts.saturating_add(1));
    shared.exchanges.router.route(listened_to, delivery, turn)
}
