//! A node whose connections to RabbitMQ are cut, while RabbitMQ goes on.

use std::time::{Duration, Instant};

use stompbox::testkit::Mailbox;

use crate::engine::{ctl, url};
use crate::node::{Node, PATIENCE, bodies, unique, until};
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn without_its_connection_to_publish_a_node_goes_on_listening() {
    let login = unique("login").replace('/', "-");
    tokio::task::block_in_place(|| {
        ctl(&["add_user", &login, "secret"]);
        ctl(&["set_permissions", "--vhost", "127.0.0.1", &login, ".*", ".*", ".*"]);
    });
    let node = Node::start(&url().replace("guest:guest@", &format!("{login}:secret@"))).await;
    let (topic, mailbox) = (unique("/topic/room"), Mailbox::new());
    node.subscribe(&topic, &mailbox).await;
    let mut outcomes = Vec::new();
    for number in 0..300 {
        if number % 100 == 50 {
            tokio::task::block_in_place(|| close_publishing(&login));
        }
        outcomes.push(node.send(&topic, number.to_string()));
    }
    for outcome in outcomes {
        node.answer(outcome).await.expect("published");
    }
    node.publish(&topic, "300").await;
    let mut numbers = Vec::new();
    for message in until(&mailbox, "300").await {
        assert!(!message.gap, "it has listened all the time");
        let number: u32 = message.text().parse().expect("a number");
        // What comes twice says so.
        if message.attempt == 1 || !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    assert_eq!(numbers, (0..=300).collect::<Vec<_>>());
}

/// Has RabbitMQ close the connection over which a node publishes, when it is there.
fn close_publishing(login: &str) {
    let deadline = Instant::now() + PATIENCE;
    let connection = loop {
        let all = ctl(&["list_connections", "pid", "user", "client_properties"]);
        let mut lines = all.lines();
        let found = lines.find(|it| it.contains(login) && it.contains("stompbox, publishing"));
        if let Some((connection, _)) = found.and_then(|it| it.split_once('\t')) {
            break connection.to_owned();
        }
        assert!(Instant::now() < deadline, "it publishes again");
    };
    ctl(&["close_connection", &connection, "a test"]);
}
