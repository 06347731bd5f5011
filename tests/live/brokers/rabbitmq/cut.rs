//! A node whose connections to RabbitMQ are cut, while RabbitMQ goes on.

use std::time::Duration;

use stompbox::testkit::Mailbox;

use crate::engine::url;
use crate::node::{Node, PATIENCE, bodies, unique};
use crate::proxy::Proxy;

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn a_node_that_was_cut_off_goes_on_and_says_what_is_missing() {
    let proxy = Proxy::start(&url()).await;
    let (here, there) = (Node::start(&url()).await, Node::start(&proxy.url).await);
    let queue = unique("/queue").replace("/queue/", "/queue/cut-");
    let (topic, listener) = (unique("/topic/cut"), Mailbox::new());
    let consumer = there.consume(&queue, 10).await;
    there.subscribe(&topic, &listener).await;
    here.publish(&queue, "0").await;
    here.publish(&topic, "0").await;
    consumer.wait_for(1).await;
    listener.wait_for(1, PATIENCE).await.expect("it listens");

    proxy.cut();
    here.publish(&queue, "1").await;
    here.publish(&topic, "missed").await;
    proxy.mend();
    // What was not settled comes again, and says so.
    let received = consumer.wait_for(3).await;
    assert_eq!(bodies(&received), ["0", "0", "1"]);
    assert!(received[0].attempt == 1 && received[1].attempt > 1, "{received:?}");
    // Until the node listens again, nobody there gets anything.
    let listens = async {
        loop {
            here.publish(&topic, "end").await;
            if listener.wait_for(2, Duration::from_millis(100)).await.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, listens).await.expect("it listens again");
    let received = listener.received();
    assert!(received[1].text() == "end" && received[1].gap, "{received:?}");
}
