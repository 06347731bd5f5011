//! Exchanges: sent to, and subscribed to with a key.

use stompbox::broker::BrokerError;
use stompbox::testkit::Mailbox;

use crate::engine::{Engine, url};
use crate::node::{Node, bodies, unique, until};

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn every_subscriber_on_every_node_gets_each_message_once() {
    let (here, there) = (Node::start(&url()).await, Node::start(&url()).await);
    let exchange = unique("/exchange/amq.direct");
    let mailboxes = [Mailbox::new(), Mailbox::new(), Mailbox::new()];
    here.subscribe(&exchange, &mailboxes[0]).await;
    here.subscribe(&exchange, &mailboxes[1]).await;
    there.subscribe(&exchange, &mailboxes[2]).await;
    there.publish(&exchange, "one").await;
    there.publish(&unique("/exchange/amq.direct"), "by another key").await;
    there.publish(&exchange, "two").await;
    for mailbox in &mailboxes {
        let came = until(mailbox, "two").await;
        assert_eq!(bodies(&came), ["one", "two"]);
        assert_eq!(came[0].header("destination"), Some(&*exchange));
        assert!(came.iter().all(|message| message.tag == 0 && !message.gap));
    }
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn a_key_may_be_a_pattern_and_is_no_pattern_of_ours() {
    let node = Node::start(&url()).await;
    let (all, one) = (Mailbox::new(), Mailbox::new());
    let engine = lapin::Connection::connect(&url(), <_>::default()).await.expect("a RabbitMQ");
    let channel = engine.create_channel().await.expect("a channel");
    let name = unique("/x").replace('/', "");
    let (kind, options) = (
        lapin::ExchangeKind::Topic,
        lapin::options::ExchangeDeclareOptions { auto_delete: true, ..<_>::default() },
    );
    let declared = channel.exchange_declare((&*name).into(), kind, options, <_>::default()).await;
    declared.expect("an exchange");
    // To this crate `#` is a pattern that matches the other one too.
    node.subscribe(&format!("/exchange/{name}/#"), &all).await;
    node.subscribe(&format!("/exchange/{name}/a.b"), &one).await;
    node.publish(&format!("/exchange/{name}/a.b"), "a.b").await;
    node.publish(&format!("/exchange/{name}/c%2Fd"), "c/d").await;
    node.publish(&format!("/exchange/{name}/a.b"), "end").await;
    assert_eq!(bodies(&until(&all, "end").await), ["a.b", "c/d", "end"]);
    assert_eq!(bodies(&until(&one, "end").await), ["a.b", "end"]);
    let shown = format!("/exchange/{name}/c%2Fd");
    assert_eq!(all.received()[1].header("destination"), Some(&*shown));
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn topics_are_in_the_exchange_of_topics() {
    let node = Node::start(&url()).await;
    let (topic, in_room, at_exchange) = (unique("/topic/room"), Mailbox::new(), Mailbox::new());
    let key = topic.trim_start_matches("/topic/").replace('/', ".");
    let exchange = format!("/exchange/amq.topic/{key}");
    node.subscribe(&topic, &in_room).await;
    node.subscribe(&exchange, &at_exchange).await;
    node.publish(&exchange, "hello").await;
    node.publish(&topic, "end").await;
    for mailbox in [in_room, at_exchange] {
        let came = until(&mailbox, "end").await;
        assert_eq!(bodies(&came), ["hello", "end"]);
        assert!(came.iter().all(|message| message.header("destination") == Some(&*topic)));
    }
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn an_exchange_that_is_not_there_is_refused_and_disturbs_nobody() {
    let node = Node::start(&url()).await;
    let (exchange, mailbox) = (unique("/exchange/amq.direct"), Mailbox::new());
    node.subscribe(&exchange, &mailbox).await;
    let refused = node.try_subscribe("/exchange/no-such-exchange/a", &Mailbox::new()).await;
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    node.publish(&exchange, "end").await;
    assert!(!until(&mailbox, "end").await[0].gap, "the connection was lost");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs rabbitmq"]
async fn after_a_crash_of_the_engine_it_goes_on_and_tells_of_the_gap() {
    let engine = Engine::start("exchange");
    let node = Node::start(&engine.url).await;
    let (exchange, mailbox) = ("/exchange/amq.direct/a", Mailbox::new());
    node.subscribe(exchange, &mailbox).await;
    node.publish(exchange, "before").await;
    until(&mailbox, "before").await;
    tokio::task::block_in_place(|| {
        engine.kill();
        engine.start_again();
    });
    // Once it is confirmed here, the other one is listened for again.
    node.subscribe(exchange, &Mailbox::new()).await;
    node.publish(exchange, "after").await;
    node.publish(exchange, "end").await;
    let came = until(&mailbox, "end").await;
    assert_eq!(came.iter().map(|it| it.gap).collect::<Vec<_>>(), [false, true, false]);
}
