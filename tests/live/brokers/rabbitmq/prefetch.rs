//! How many messages of a queue a node is handed.

use std::collections::BTreeSet;

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};

use crate::engine::{ctl, url};
use crate::node::{Consumer, Node, bodies, unique};

fn queue() -> String {
    unique("/queue").replace("/queue/", "/queue/prefetch-")
}

/// A queue that somebody else has made.
async fn queue_with(arguments: &[(&str, AMQPValue)]) -> String {
    let admin = lapin::Connection::connect(&url(), <_>::default()).await.expect("a RabbitMQ");
    let channel = admin.create_channel().await.expect("a channel");
    let name = unique("made").replace('/', "-");
    let arguments = arguments.iter().map(|(name, value)| ((*name).into(), value.clone()));
    let arguments = FieldTable::from(arguments.collect::<std::collections::BTreeMap<_, _>>());
    let options = QueueDeclareOptions { durable: true, ..<_>::default() };
    channel.queue_declare((&*name).into(), options, arguments).await.expect("a queue");
    format!("/amq/queue/{name}")
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn a_node_is_handed_no_more_than_its_consumers_have_credit_for() {
    check_credit(&queue()).await;
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn a_node_is_handed_no_more_of_a_queue_of_somebody_else() {
    check_credit(&queue_with(&[]).await).await;
}

/// One works on a message for long when another one comes to its node, and a third to another node.
async fn check_credit(queue: &str) {
    let (here, there) = (Node::start(&url()).await, Node::start(&url()).await);
    let works = here.consume(queue, 1).await;
    here.publish(queue, "0").await;
    works.wait_for(1).await;
    let second = here.consume(queue, 1).await;
    let third = there.consume(queue, 1).await;
    for number in 1..4 {
        here.publish(queue, number.to_string()).await;
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
    let queue = queue_with(&[("x-single-active-consumer", AMQPValue::Boolean(true))]).await;
    let node = Node::start(&url()).await;
    let works = node.consume(&queue, 1).await;
    node.publish(&queue, "0").await;
    works.wait_for(1).await;
    let later = node.consume(&queue, 1).await;
    node.publish(&queue, "1").await;
    assert_eq!(bodies(&later.wait_for(1).await), ["1"]);
}

/// To begin a consumer at RabbitMQ for each message would be slow.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn those_who_share_a_queue_of_somebody_else_are_not_begun_anew() {
    let (node, queue) = (Node::start(&url()).await, queue_with(&[]).await);
    for number in 0..40 {
        node.publish(&queue, number.to_string()).await;
    }
    let mut consumers = Vec::new();
    for _ in 0..4 {
        consumers.push((node.consume(&queue, 1).await, 0));
    }
    let (mut seen, mut at_rabbitmq, mut rounds) = (BTreeSet::new(), BTreeSet::new(), 0);
    while rounds < 10 {
        for (consumer, done) in &mut consumers {
            work(&node, consumer, done, &mut seen).await;
            node.publish(&queue, (40 + seen.len()).to_string()).await;
        }
        // Until they are seen to share it, there is one.
        if at_rabbitmq.len() < 2 {
            at_rabbitmq = consumers_at_rabbitmq(&queue);
        } else {
            rounds += 1;
        }
    }
    let ended: Vec<_> = at_rabbitmq.difference(&consumers_at_rabbitmq(&queue)).cloned().collect();
    assert!(ended.is_empty(), "{ended:?} of {at_rabbitmq:?} have ended");
}

/// The tags of those who consume from a queue.
fn consumers_at_rabbitmq(queue: &str) -> BTreeSet<String> {
    let list = ["list_consumers", "--vhost", "127.0.0.1", "queue_name", "consumer_tag"];
    let all = tokio::task::block_in_place(|| ctl(&list));
    let name = queue.trim_start_matches("/amq/queue/");
    all.lines().filter(|it| it.contains(name)).map(str::to_owned).collect()
}

/// Each consumer at RabbitMQ would get all of a stream, from where it begins.
#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn who_shares_a_stream_gets_what_the_others_do_not() {
    let queue = queue_with(&[("x-queue-type", AMQPValue::LongString("stream".into()))]).await;
    let node = Node::start(&url()).await;
    let works = node.consume(&queue, 1).await;
    node.publish(&queue, "0").await;
    works.wait_for(1).await;
    for number in 1..10 {
        node.publish(&queue, number.to_string()).await;
    }
    let later = node.consume(&queue, 1).await;
    let (mut done, mut seen) = (0, BTreeSet::new());
    while seen.len() < 9 {
        work(&node, &later, &mut done, &mut seen).await;
    }
    let numbers = (1..10).map(|number| number.to_string());
    assert_eq!(bodies(&later.wait_for(9).await), numbers.collect::<Vec<_>>());
    assert_eq!(works.mailbox.count(), 1);
}
