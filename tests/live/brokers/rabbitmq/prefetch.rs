//! How many messages of a queue a node is handed.

use std::collections::BTreeSet;

use lapin::types::{AMQPValue, FieldTable};

use crate::engine::url;
use crate::node::{Consumer, Node, bodies, unique};

fn queue() -> String {
    unique("/queue").replace("/queue/", "/queue/prefetch-")
}

/// One works on a message for long when another one comes to its node, and a third to another node.
#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn a_node_is_handed_no_more_than_its_consumers_have_credit_for() {
    let (here, there) = (Node::start(&url()).await, Node::start(&url()).await);
    let queue = queue();
    let works = here.consume(&queue, 1).await;
    here.publish(&queue, "0").await;
    works.wait_for(1).await;
    let second = here.consume(&queue, 1).await;
    let third = there.consume(&queue, 1).await;
    for number in 1..4 {
        here.publish(&queue, number.to_string()).await;
    }
    second.wait_for(1).await;
    let mut received = third.wait_for(1).await;
    // All have what they may hold. What is left is for who is done first.
    here.answer(there.acknowledge(&third, &received)).await.expect("acknowledged");
    received = third.wait_for(2).await;
    assert_eq!(works.mailbox.count(), 1);
    assert!(received.iter().all(|it| it.attempt == 1), "{received:?}");
    let all = [works.wait_for(1).await, second.wait_for(1).await, received].concat();
    assert_eq!(bodies(&all).into_iter().collect::<BTreeSet<_>>().len(), 4);
}

/// Acknowledges what has come since this was called last.
async fn work(node: &Node, consumer: &Consumer, done: &mut usize, seen: &mut BTreeSet<String>) {
    let received = consumer.wait_for(*done + 1).await;
    let new = &received[*done..];
    node.answer(node.acknowledge(consumer, new)).await.expect("acknowledged");
    for message in new {
        let first = seen.insert(message.text());
        assert!(first || message.attempt > 1, "{} comes again unmarked", message.text());
    }
    *done = received.len();
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn who_comes_and_who_goes_costs_the_others_nothing() {
    const MESSAGES: usize = 300;
    let node = Node::start(&url()).await;
    let queue = queue();
    let stays = node.consume(&queue, 3).await;
    for number in 0..MESSAGES {
        node.publish(&queue, number.to_string()).await;
    }
    let (mut done, mut seen) = (0, BTreeSet::new());
    for _ in 0..20 {
        let other = node.consume(&queue, 5).await;
        other.wait_for(1).await;
        work(&node, &stays, &mut done, &mut seen).await;
        // What it has not acknowledged is for the one that stays.
        node.unsubscribe(&queue, other.id).await;
    }
    while seen.len() < MESSAGES {
        work(&node, &stays, &mut done, &mut seen).await;
    }
}

/// Of a queue with a single active consumer a second one at RabbitMQ would get nothing.
#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn who_comes_later_works_on_a_queue_with_a_single_active_consumer_too() {
    let admin = lapin::Connection::connect(&url(), <_>::default()).await.expect("a RabbitMQ");
    let channel = admin.create_channel().await.expect("a channel");
    let name = unique("single").replace('/', "-");
    let mut arguments = FieldTable::default();
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    let declared = channel.queue_declare((&*name).into(), <_>::default(), arguments).await;
    declared.expect("a queue");
    let (node, queue) = (Node::start(&url()).await, format!("/amq/queue/{name}"));
    let works = node.consume(&queue, 1).await;
    node.publish(&queue, "0").await;
    works.wait_for(1).await;
    let later = node.consume(&queue, 1).await;
    node.publish(&queue, "1").await;
    assert_eq!(bodies(&later.wait_for(1).await), ["1"]);
}
