//! Consumers of a queue that leave right behind their last ACK.

use crate::engine::url;
use crate::node::{Node, bodies, unique};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs rabbitmq"]
async fn what_is_acknowledged_by_who_leaves_never_comes_again() {
    let node = Node::start(&url()).await;
    let queue = unique("/queue").replace("/queue/", "/queue/left-");
    for round in 0..100 {
        let consumer = node.consume(&queue, 100).await;
        let sent: Vec<_> = (0..10).map(|number| format!("{round}-{number}")).collect();
        for body in &sent {
            node.publish(&queue, body).await;
        }
        let came = consumer.wait_for(sent.len()).await;
        assert_eq!(bodies(&came), sent);
        // Each by a call of its own, as ACK frames come.
        for message in &came {
            drop(node.acknowledge(&consumer, std::slice::from_ref(message)));
        }
        node.unsubscribe(&queue, consumer.id).await;
    }
}
