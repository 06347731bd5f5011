//! Queues that all nodes share.

use std::collections::HashSet;

use futures_util::future::join_all;

use crate::client::{Client, Mode};
use crate::cluster::{Cluster, Kind, NODES};
use crate::consuming;

const QUEUES: usize = 3;
const CONSUMERS_OF_QUEUE: usize = 2 * NODES;
const PUBLISHERS_OF_QUEUE: usize = NODES;
/// How many messages each publisher sends.
const MESSAGES: usize = 100;

/// Each message is settled once, none is lost, and the consumers of all nodes get some. Where the
/// engine has no queues that is refused, at SEND and at SUBSCRIBE.
pub(crate) async fn one_queue_on_all_nodes(kind: &'static Kind) {
    let cluster = Cluster::start(kind).await;
    if cluster.can.queues {
        join_all((0..QUEUES).map(|number| share(&cluster, cluster.queue(&number.to_string()))))
            .await;
    } else {
        refused(&cluster, &cluster.queue("refused")).await;
    }
    cluster.nothing_stays().await;
}

async fn share(cluster: &Cluster, queue: String) {
    let mut consumers = Vec::new();
    for number in 0..CONSUMERS_OF_QUEUE {
        let consumer = Client::connect(cluster.node(number % NODES)).await;
        consumer.subscribe(&queue, Mode::Settle).await;
        consumers.push(consumer);
    }
    let connecting = (0..PUBLISHERS_OF_QUEUE).map(|_| Client::connect(cluster.balancer.address));
    let publishers = join_all(connecting).await;
    let words = |publisher| (0..MESSAGES).map(move |number| format!("{publisher}/{number}"));
    join_all(publishers.iter().enumerate().map(async |(name, publisher)| {
        let confirmed: Vec<_> = words(name).map(|word| publisher.send(&queue, &word)).collect();
        for confirmed in confirmed {
            confirmed.await.expect("every message is confirmed");
        }
    }))
    .await;

    let all: Vec<_> = (0..PUBLISHERS_OF_QUEUE).flat_map(words).collect();
    consuming::all_come(&all, &consumers).await;
    join_all(consumers.iter().chain(&publishers).map(Client::leave)).await;
    check(&consumers, cluster.kind);

    // Whoever comes after them finds the queue empty.
    let late = Client::connect(cluster.balancer.address).await;
    late.subscribe(&queue, Mode::Settle).await;
    late.publish(&queue, "end").await;
    late.wait_for("the end", |diary| !diary.messages.is_empty()).await;
    late.leave().await;
    let diary = late.diary();
    let came: Vec<_> = diary.messages.iter().map(|message| &*message.word).collect();
    assert_eq!(came, ["end"]);
}

/// Each message has come once, and some to each node, unless what one client sends is for one node.
fn check(consumers: &[Client], kind: &Kind) {
    let mut came = HashSet::new();
    let mut shares = [0; NODES];
    for (number, consumer) in consumers.iter().enumerate() {
        for message in &consumer.diary().messages {
            assert!(!message.redelivered, "{message:?}");
            assert!(came.insert(message.word.clone()), "it came twice: {message:?}");
            shares[number % NODES] += 1;
        }
    }
    assert_eq!(came.len(), PUBLISHERS_OF_QUEUE * MESSAGES);
    assert!(kind.reads_all || shares.iter().all(|share| *share > 0), "{shares:?}");
}

async fn refused(cluster: &Cluster, queue: &str) {
    let client = Client::connect(cluster.balancer.address).await;
    assert!(!client.try_publish(queue, "never").await);
    client.wait_for("to be back", |diary| diary.sessions == 2).await;
    let errors = client.diary().errors.clone();
    assert!(errors[0].contains("not supported"), "{errors:?}");
    client.leave().await;
}
