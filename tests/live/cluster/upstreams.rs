//! What the clients of one node cost the engine.

use futures_util::future::join_all;

use crate::client::{Client, Mode};
use crate::cluster::{Cluster, Kind, NODES, until};

const LISTENERS: usize = 1_000;
const MESSAGES: usize = 20;
/// How large each message is, in bytes: large beside all else that the engine sends meanwhile.
const LENGTH: usize = 4_000;

/// However many listen to a room at a node, it is one subscription at the engine, and the engine sends
/// the node each message once.
pub(crate) async fn a_thousand_subscribers_are_one(kind: &'static Kind) {
    let cluster = Cluster::start(kind).await;
    let room = cluster.live_room(0);
    let listeners = join_all((0..LISTENERS).map(async |_| {
        let listener = Client::connect(cluster.node(0)).await;
        listener.subscribe(&room, Mode::Listen).await;
        listener
    }))
    .await;
    // Who reads all has no subscription at all, and its engine sends it to each node.
    let (upstreams, copies) = if kind.reads_all { (0, NODES) } else { (1, 1) };
    // A node of another test that was killed is there a little longer.
    until("it is one subscription", || match cluster.upstreams() {
        count if count == upstreams => Ok(()),
        count => Err(format!("{count} subscriptions")),
    })
    .await;

    let publisher = Client::connect(cluster.node(1)).await;
    let sent_before = cluster.sent_bytes();
    for number in 0..MESSAGES {
        publisher.publish(&room, &format!("{number} {}", "x".repeat(LENGTH))).await;
    }
    for listener in &listeners {
        listener.wait_for("all messages", |diary| diary.messages.len() == MESSAGES).await;
    }
    let sent = usize::try_from(cluster.sent_bytes() - sent_before).expect("not too much");
    let once = copies * MESSAGES * LENGTH;
    assert!((once..2 * once).contains(&sent), "{sent} bytes were sent for {once}");

    join_all(listeners.iter().chain([&publisher]).map(Client::leave)).await;
    cluster.nothing_stays().await;
}
