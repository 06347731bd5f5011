//! What would make RabbitMQ close a channel, which everybody shares, is refused or left out.

use stompbox::broker::BrokerError;
use stompbox::testkit::Mailbox;

use crate::engine::url;
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
