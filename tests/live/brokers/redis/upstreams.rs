//! What a node asks of its Redis.

use stompbox::testkit::Mailbox;

use crate::engine::url;
use crate::node::{Node, bodies, unique, until};

#[tokio::test]
#[ignore = "needs redis"]
async fn a_thousand_subscribers_are_one_subscription() {
    let node = Node::start(&url()).await;
    let room = unique("/topic");
    let mailbox = Mailbox::new();
    let mut ids = Vec::new();
    for _ in 0..1_000 {
        ids.push(node.subscribe(&room, &mailbox).await);
    }
    let client = redis::Client::open(url()).expect("a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("a Redis");
    let channel = format!("stompbox:{room}");
    let mut listeners = async || -> u64 {
        let mut ask = redis::cmd("PUBSUB");
        let ask = ask.arg("NUMSUB").arg(&channel);
        let (_, count): (String, u64) = ask.query_async(&mut redis).await.expect("a number");
        count
    };
    assert_eq!(listeners().await, 1);
    node.publish(&room, "hello").await;
    let came = mailbox.wait_for(1_000, crate::node::PATIENCE).await.expect("all of them");
    assert_eq!(came.len(), 1_000);
    for id in ids {
        node.unsubscribe(&room, id).await;
    }
    // It is told to stop by another task.
    while node.broker.upstreams() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(listeners().await, 0);
}

#[tokio::test]
#[ignore = "needs redis"]
async fn what_matches_several_times_comes_once() {
    for kept in ["/topic", "/topic/kept"] {
        let (node, room) = (Node::start(&url()).await, unique(kept));
        let exact = format!("{room}/a");
        let names = [exact.clone(), format!("{room}/*"), format!("{room}/**"), format!("{room}/#")];
        let mailboxes = names.each_ref().map(|_| Mailbox::new());
        let mut ids = Vec::new();
        for (name, mailbox) in names.iter().zip(&mailboxes) {
            ids.push(node.subscribe(name, mailbox).await);
            node.publish(&exact, name).await;
        }
        // Each begins with what was published after it came, and goes on without the others.
        for (left, id) in ids.iter().enumerate() {
            node.publish(&exact, format!("{left} left")).await;
            for (place, mailbox) in mailboxes.iter().enumerate().skip(left) {
                let mut expected: Vec<_> = names.iter().skip(place).cloned().collect();
                expected.extend((0..=left).map(|left| format!("{left} left")));
                let came = until(mailbox, &format!("{left} left")).await;
                assert_eq!(bodies(&came), expected, "{} after {left}", names[place]);
            }
            node.unsubscribe(&names[left], *id).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs redis"]
async fn what_another_program_publishes_is_a_body() {
    let node = Node::start(&url()).await;
    let (room, mailbox) = (unique("/topic"), Mailbox::new());
    node.subscribe(&room, &mailbox).await;
    let client = redis::Client::open(url()).expect("a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("a Redis");
    let mut publish = redis::cmd("PUBLISH");
    let publish = publish.arg(format!("stompbox:{room}")).arg("{\"a\":1}");
    publish.query_async::<u64>(&mut redis).await.expect("published");
    let came = until(&mailbox, "{\"a\":1}").await;
    assert_eq!(came[0].header("destination"), Some(room.as_str()));
}

#[tokio::test]
#[ignore = "needs redis"]
async fn what_is_kept_is_bounded_in_bytes() {
    let rule = "/topic/**,history=1000000,history-bytes=64KiB".parse().expect("a rule");
    let options = stompbox::broker::BrokerOptions::default().rule(rule);
    let broker = stompbox::broker::RedisBroker::connect(&url(), options).await.expect("a Redis");
    let room = unique("/topic");
    let body = "x".repeat(1_000);
    for _ in 0..500 {
        let message = stompbox::broker::Message::builder(room.parse().expect("a room")).body(&body);
        let mut turn = stompbox::broker::Turn::new(std::time::Instant::now());
        let outcome = stompbox::broker::Broker::publish(&broker, message, &mut turn);
        outcome.await.expect("published");
    }
    let client = redis::Client::open(url()).expect("a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("a Redis");
    let stream = format!("stompbox:history:{room}");
    let used: usize = redis::cmd("MEMORY")
        .arg("USAGE")
        .arg(&stream)
        .query_async(&mut redis)
        .await
        .expect("a number");
    let kept: usize = redis::cmd("XLEN").arg(&stream).query_async(&mut redis).await.expect("XLEN");
    assert!(used <= 64 << 10 && kept > 20, "{kept} messages in {used} bytes");
}
