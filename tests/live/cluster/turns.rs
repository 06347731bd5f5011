//! Who comes just as the last one leaves, so that the node is about to stop listening at the engine.

use crate::client::{Arrived, Client, Mode};
use crate::cluster::{Cluster, Kind};
use crate::publisher::Publisher;

const TURNS: usize = 100;
/// How many messages a listener gets at the least before the next one comes.
const MESSAGES: usize = 10;

/// Each gets all from its first message on; and where the engine has history, one that goes on behind
/// the last message that it had misses nothing of what came meanwhile.
pub(crate) async fn one_listener_after_the_other(kind: &'static Kind) {
    let cluster = Cluster::start(kind).await;
    if cluster.can.history {
        for turns in take_turns(&cluster, &cluster.kept_room(0), Mode::Resume).await {
            check(&turns.concat());
        }
    }
    for turns in take_turns(&cluster, &cluster.live_room(0), Mode::Listen).await {
        for turn in turns {
            check(&turn);
        }
    }
    cluster.nothing_stays().await;
}

/// Two listeners at a node to what a publisher sends by way of another one. Returns for each of them
/// what came in each of its turns.
async fn take_turns(cluster: &Cluster, room: &str, mode: Mode) -> [Vec<Vec<Arrived>>; 2] {
    let listeners =
        [Client::connect(cluster.node(0)).await, Client::connect(cluster.node(0)).await];
    listeners[1].subscribe(room, mode).await;
    let publisher = Publisher::start(cluster.node(1), "it".to_owned(), room).await;
    // Where the turns of each begin among its messages.
    let mut begin = [vec![], vec![0]];
    for turn in 0..TURNS {
        let (comes, leaves) = (turn % 2, (turn + 1) % 2);
        let [client, other] = [&listeners[comes], &listeners[leaves]];
        let from = client.diary().messages.len();
        begin[comes].push(from);
        tokio::join!(other.unsubscribe(room), client.subscribe(room, mode));
        let enough = from + MESSAGES;
        client.wait_for("messages", |diary| diary.messages.len() >= enough).await;
    }
    let ended = publisher.end().await;
    assert!(ended.confirmed.iter().all(|confirmed| *confirmed));
    ended.leave().await;
    for listener in &listeners {
        listener.leave().await;
    }
    let turns = |place: usize| {
        let messages = &listeners[place].diary().messages;
        let ends = begin[place].iter().copied().skip(1).chain([messages.len()]);
        begin[place].iter().zip(ends).map(|(from, to)| messages[*from..to].to_vec()).collect()
    };
    [turns(0), turns(1)]
}

/// Nothing is missing, and nothing says so.
fn check(messages: &[Arrived]) {
    for pair in messages.windows(2) {
        let number = |message: &Arrived| message.word.strip_prefix("it/")?.parse::<usize>().ok();
        let [one, next] = [number(&pair[0]), number(&pair[1])];
        assert!(one.map(|one| one + 1) == next && !pair[1].gap, "{pair:?}");
    }
}
