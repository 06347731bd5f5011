//! What becomes of clients when something ends, hangs or is cut while messages go on.

use std::time::Duration;

use crate::client::{Client, Mode};
use crate::cluster::{Cluster, Kind};
use crate::consuming;
use crate::listening::Missing;
use crate::load::Load;

/// How many messages of each publisher are confirmed before, and again after what goes wrong.
const MESSAGES: usize = 50;

/// How long an engine hangs: longer than a node waits for what is published to be confirmed.
const HANG: Duration = Duration::from_secs(10);

/// Those who are connected to other nodes lose nothing. Its own come back by way of the balancer, and
/// what they had not acknowledged comes again, to them or to others.
pub(crate) async fn a_node_that_is_killed(kind: &'static Kind) {
    let mut cluster = Cluster::start(kind).await;
    let load = Load::start(&cluster).await;
    let held = Held::at(&cluster, 0).await;
    load.goes_on(MESSAGES).await;
    cluster.kill_node(0);
    held.comes_again(&cluster, 1).await;
    load.goes_on(MESSAGES).await;
    let loaded = load.end().await;
    loaded.check(|sessions| match sessions {
        1 => Missing::Nothing,
        _ => Missing::WhileAway,
    });
    let came_back = loaded.receivers().filter(|it| it.diary().sessions > 1).count();
    assert_eq!(came_back * crate::cluster::NODES, loaded.receivers().count());
    assert!(loaded.receivers().all(|it| it.diary().errors.is_empty()));
    loaded.leave().await;
    cluster.nothing_stays().await;
}

/// Everybody comes back, and loses nothing but what was published meanwhile in rooms that are not kept.
pub(crate) async fn connections_that_are_cut(kind: &'static Kind) {
    let cluster = Cluster::start(kind).await;
    let load = Load::start(&cluster).await;
    for _ in 0..2 {
        load.goes_on(MESSAGES).await;
        assert!(cluster.balancer.cut() > 0);
    }
    load.goes_on(MESSAGES).await;
    let loaded = load.end().await;
    loaded.check(|_| Missing::WhileAway);
    assert!(loaded.receivers().all(|it| it.diary().sessions == 3));
    assert!(loaded.receivers().all(|it| it.diary().errors.is_empty()));
    loaded.leave().await;
    cluster.nothing_stays().await;
}

/// Clients stay connected. What was confirmed on queues comes, and so does what was published in rooms
/// that are kept; in others a notice tells what may be missing.
pub(crate) async fn an_engine_that_is_killed(kind: &'static Kind) {
    let cluster = Cluster::start(kind).await;
    let load = Load::start(&cluster).await;
    load.goes_on(MESSAGES).await;
    tokio::task::block_in_place(|| {
        cluster.engine.kill();
        cluster.engine.start_again();
    });
    load.goes_on(MESSAGES).await;
    let loaded = load.end().await;
    loaded.check(|_| Missing::WithNotice);
    loaded.stayed_connected();
    let told = |it: &Client| it.diary().messages.iter().any(|message| message.gap);
    assert!(kind.reads_all || loaded.live_listeners().all(told), "somebody was told of no gap");
    loaded.leave().await;
    cluster.nothing_stays().await;
}

/// As with one that is killed, but nobody need notice.
pub(crate) async fn an_engine_that_hangs(kind: &'static Kind) {
    let cluster = Cluster::start(kind).await;
    let load = Load::start(&cluster).await;
    load.goes_on(MESSAGES).await;
    tokio::task::block_in_place(|| cluster.engine.pause());
    tokio::time::sleep(HANG).await;
    tokio::task::block_in_place(|| cluster.engine.resume());
    load.goes_on(MESSAGES).await;
    let loaded = load.end().await;
    loaded.check(|_| Missing::WithNotice);
    loaded.stayed_connected();
    loaded.leave().await;
    cluster.nothing_stays().await;
}

/// Messages of a queue that a consumer at one node has not acknowledged.
struct Held {
    /// None where the engine has no queues.
    queue: Option<String>,
    words: Vec<String>,
    _holder: Option<Client>,
}

impl Held {
    async fn at(cluster: &Cluster, node: usize) -> Self {
        if !cluster.can.queues {
            return Self { queue: None, words: Vec::new(), _holder: None };
        }
        let queue = cluster.queue("held");
        let holder = Client::connect(cluster.node(node)).await;
        holder.subscribe(&queue, Mode::Hold).await;
        let words: Vec<_> = (0..5).map(|number| format!("held/{number}")).collect();
        for word in &words {
            holder.publish(&queue, word).await;
        }
        holder.wait_for("what it holds", |diary| diary.messages.len() == words.len()).await;
        Self { queue: Some(queue), words, _holder: Some(holder) }
    }

    /// Waits until all come to a consumer at this node, as redelivered.
    async fn comes_again(&self, cluster: &Cluster, node: usize) {
        let Some(queue) = &self.queue else { return };
        let other = Client::connect(cluster.node(node)).await;
        other.subscribe(queue, Mode::Settle).await;
        let others = [other];
        consuming::all_come(&self.words, &others).await;
        assert!(others[0].diary().messages.iter().all(|message| message.redelivered));
        others[0].leave().await;
    }
}
