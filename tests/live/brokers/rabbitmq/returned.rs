//! Messages to queues that are not there, among others: RabbitMQ returns them.

use std::collections::BTreeSet;

use stompbox::broker::BrokerError;

use crate::engine::url;
use crate::node::{Node, unique, until};
use crate::taken_back::Admin;

/// Somebody has deleted the queue, and nobody has told the node.
#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn what_is_sent_to_a_queue_that_was_deleted_is_there_in_its_order() {
    const MESSAGES: usize = 200;
    let (admin, node) = (Admin::connect().await, Node::start(&url()).await);
    let destination = unique("/queue").replace("/queue/", "/queue/deleted-");
    let topic = unique("/topic/room");
    node.publish(&destination, "deleted").await;
    admin.delete(destination.trim_start_matches("/queue/")).await;
    let mut outcomes = Vec::new();
    for number in 0..MESSAGES {
        outcomes.push(node.send(&topic, "meanwhile"));
        outcomes.push(node.send(&destination, number.to_string()));
    }
    for outcome in outcomes {
        node.answer(outcome).await.expect("published");
    }
    node.publish(&destination, "end").await;
    let consumer = node.consume(&destination, 2 * MESSAGES).await;
    let (mut seen, mut firsts) = (BTreeSet::new(), Vec::new());
    for message in until(&consumer.mailbox, "end").await {
        if seen.insert(message.text()) {
            firsts.push(message.text());
        } else {
            assert!(message.attempt > 1, "{} comes again unmarked", message.text());
        }
    }
    let numbers = (0..MESSAGES).map(|number| number.to_string());
    assert_eq!(firsts, numbers.chain(["end".to_owned()]).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn only_what_is_returned_is_refused() {
    let node = Node::start(&url()).await;
    let (topic, queue) = (unique("/topic/room"), unique("/queue"));
    let nowhere = unique("/reply-queue");
    let mut outcomes = Vec::new();
    for _ in 0..200 {
        for destination in [&topic, &nowhere, &queue] {
            outcomes.push((destination, node.send(destination, "a message")));
        }
    }
    for (destination, outcome) in outcomes {
        match node.answer(outcome).await {
            Ok(()) => assert_ne!(*destination, nowhere),
            Err(BrokerError::Refused { destination: refused, .. }) => {
                assert_eq!((&refused, destination), (&nowhere, &nowhere));
            }
            Err(other) => panic!("{other}"),
        }
    }
}
