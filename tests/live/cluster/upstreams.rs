//! What the clients of one node cost the engine.

use futures_util::future::join_all;

use crate::client::{Client, Mode};
use crate::cluster::{Cluster, Kind};

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
    assert_eq!(cluster.upstreams(), 1);

    let publisher = Client::connect(cluster.node(1)).await;
    let sent_before = cluster.sent_bytes();
    for number in 0..MESSAGES {
        publisher.publish(&room, &format!("{number} {}", "x".repeat(LENGTH))).await;
    }
    for listener in &listeners {
        listener.wait_for("all messages", |diary| diary.messages.len() == MESSAGES).await;
    }
    let sent = usize::try_from(cluster.sent_bytes() - sent_before).expect("not too much");
    let once = MESSAGES * LENGTH;
    assert!((once..2 * once).contains(&sent), "{sent} bytes were sent for {once}");

    join_all(listeners.iter().chain([&publisher]).map(Client::leave)).await;
    cluster.nothing_stays().await;
}
