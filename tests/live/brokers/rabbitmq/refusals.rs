//! What would make RabbitMQ close a channel, which everybody shares, is refused or left out.

use stompbox::broker::BrokerError;
use stompbox::testkit::Mailbox;

use crate::engine::{ctl, url};
use crate::node::{Node, unique, until};

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn a_message_that_rabbitmq_would_object_to_disturbs_nobody() {
    let node = Node::start(&url()).await;
    let (topic, mailbox) = (unique("/topic/room"), Mailbox::new());
    node.subscribe(&topic, &mailbox).await;
    for header in [
        ("user-id", "somebody-else"),
        ("CC", "other"),
        ("BCC", "other"),
        ("expiration", "tomorrow"),
        ("expiration", "-1"),
        ("priority", "1000"),
    ] {
        let sent = node.send_with(&topic, &[header], header.1);
        node.answer(sent).await.unwrap_or_else(|error| panic!("{header:?}: {error}"));
    }
    node.publish(&topic, "end").await;
    let came = until(&mailbox, "end").await;
    assert_eq!(came.len(), 7);
    assert!(came.iter().all(|message| !message.gap), "the connection was lost");
    assert_eq!(came[0].header("user-id"), Some("somebody-else"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn a_message_to_where_the_login_may_not_write_disturbs_nobody() {
    let login = unique("login").replace('/', "-");
    tokio::task::block_in_place(|| {
        ctl(&["add_user", &login, "secret"]);
        let write = "^(amq\\.topic|amq\\.gen.*)$";
        ctl(&["set_permissions", "--vhost", "127.0.0.1", &login, ".*", write, ".*"]);
    });
    let node = Node::start(&url().replace("guest:guest@", &format!("{login}:secret@"))).await;
    let (topic, mailbox) = (unique("/topic/room"), Mailbox::new());
    let forbidden = unique("/exchange/amq.direct");
    node.subscribe(&topic, &mailbox).await;
    let mut outcomes = Vec::new();
    for number in 0..300 {
        outcomes.push((true, node.send(&topic, number.to_string())));
        if number % 100 == 50 {
            outcomes.push((false, node.send(&forbidden, "never")));
        }
    }
    for (allowed, outcome) in outcomes {
        match node.answer(outcome).await {
            Ok(()) => assert!(allowed),
            Err(BrokerError::Refused { destination, reason, .. }) => {
                assert!(!allowed && destination == forbidden, "{destination}: {reason}");
                assert!(reason.contains("ACCESS_REFUSED"), "{reason}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    node.publish(&topic, "300").await;
    let came = until(&mailbox, "300").await;
    let mut numbers = Vec::new();
    for message in came {
        assert!(!message.gap, "the connection was lost");
        let number: u32 = message.text().parse().expect("a number");
        // What comes twice says so.
        if message.attempt == 1 || !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    assert_eq!(numbers, (0..=300).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn what_is_not_there_is_refused() {
    let node = Node::start(&url()).await;
    let (topic, mailbox) = (unique("/topic/room"), Mailbox::new());
    node.subscribe(&topic, &mailbox).await;
    for nowhere in ["/exchange/no-such-exchange/a", "/amq/queue/no-such", "/reply-queue/no-such"] {
        let refused = node.answer(node.send(nowhere, "never")).await;
        assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{nowhere}: {refused:?}");
    }
    let refused = node.try_subscribe("/amq/queue/no-such", &Mailbox::new()).await;
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    let refused = node.try_subscribe("/reply-queue/a", &Mailbox::new()).await;
    assert!(matches!(refused, Err(BrokerError::UnknownDestination { .. })), "{refused:?}");
    node.publish(&topic, "end").await;
    assert!(!until(&mailbox, "end").await[0].gap, "the connection was lost");
}

/// Whether a queue is there is asked over a channel of its own.
#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn what_there_is_no_channel_for_is_refused() {
    let node = Node::start(&format!("{}?channel_max=3", url())).await;
    let (topic, mailbox) = (unique("/topic/room"), Mailbox::new());
    let queue = |name: &str| unique("/queue").replace("/queue/", &format!("/queue/{name}-"));
    node.subscribe(&topic, &mailbox).await;
    node.subscribe(&queue("consumed"), &Mailbox::new()).await;
    for _ in 0..2 {
        let refused = node.answer(node.send(&queue("new"), "never")).await;
        assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    }
    node.publish(&topic, "end").await;
    assert!(!until(&mailbox, "end").await[0].gap, "the connection was lost");
}
