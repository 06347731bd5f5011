//! What a room with many subscribers costs, counted at RabbitMQ.

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use stompbox::testkit::Mailbox;

use crate::engine::Engine;
use crate::node::{Node, PATIENCE, bodies, until};

const SUBSCRIBERS: usize = 1_000;

/// The bodies of all messages that RabbitMQ delivers to anybody, as it traces them itself.
async fn deliveries(engine: &Engine) -> lapin::Result<(lapin::Connection, lapin::Consumer)> {
    let connection = lapin::Connection::connect(&engine.url, <_>::default()).await?;
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { exclusive: true, ..<_>::default() };
    let queue = channel.queue_declare("".into(), options, <_>::default()).await?;
    let (name, options) = (queue.name().clone(), QueueBindOptions::default());
    let (trace, key) = ("amq.rabbitmq.trace".into(), "deliver.#".into());
    channel.queue_bind(name.clone(), trace, key, options, <_>::default()).await?;
    let options = BasicConsumeOptions { no_ack: true, ..<_>::default() };
    let consumer = channel.basic_consume(name, "".into(), options, <_>::default()).await?;
    Ok((connection, consumer))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_thousand_subscribers_are_one_binding_and_one_delivery() {
    let engine = Engine::start("upstreams");
    let node = Node::start(&engine.url).await;
    let mailboxes: Vec<_> = (0..SUBSCRIBERS).map(|_| Mailbox::new()).collect();
    for mailbox in &mailboxes {
        node.subscribe("/topic/room/5", mailbox).await;
    }
    // One of them listens to everything besides.
    node.subscribe("/topic/**", &mailboxes[0]).await;
    assert_eq!(node.broker.upstreams(), 2);
    let bindings = tokio::task::block_in_place(|| {
        engine.ctl(&["trace_on", "--vhost", "127.0.0.1"]);
        engine.ctl(&["list_bindings", "--vhost", "127.0.0.1", "routing_key"])
    });
    assert_eq!(bindings.lines().filter(|key| *key == "room.5").count(), 1, "{bindings}");

    let (_connection, mut delivered) = deliveries(&engine).await.expect("a trace");
    let sent = ["one", "two", "end"];
    for body in sent {
        node.publish("/topic/room/5", body).await;
    }
    for mailbox in &mailboxes[1..] {
        assert_eq!(bodies(&until(mailbox, "end").await), sent);
    }
    let mut seen = Vec::new();
    while seen.last().is_none_or(|body| body != "end") {
        let next = tokio::time::timeout(PATIENCE, delivered.next()).await.expect("in time");
        let message = next.expect("a trace").expect("a trace");
        seen.push(String::from_utf8_lossy(&message.data).into_owned());
    }
    assert_eq!(seen, sent);
}
