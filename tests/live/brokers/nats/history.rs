use std::time::Duration;

use stompbox::broker::{
    Broker, BrokerError, BrokerOptions, Capability, HistoryRequest, NatsBroker,
};
use stompbox::testkit::Received;

use crate::engine::Engine;
use crate::listener::{Listener, PATIENCE, publish, send, texts};
use crate::rooms::{kept_room, room};
use crate::{keeping_node, node, url};

pub(crate) fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

pub(crate) async fn publish_all(node: &NatsBroker, room: &str, range: std::ops::Range<u32>) {
    let sent: Vec<_> = range.map(|number| send(node, room, &number.to_string())).collect();
    for outcome in sent {
        outcome.await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs nats"]
async fn a_token_of_one_node_goes_on_on_another() {
    let (one, other) = (keeping_node(&url()).await, keeping_node(&url()).await);
    let room = format!("{}/50% of räume.*", kept_room());
    let first = Listener::new(&one, &room).await;
    publish_all(&one, &room, 0..5).await;
    let received = first.until("4").await;
    let token = received[2].token.clone().unwrap();
    publish_all(&other, &room, 5..10).await;

    let after = HistoryRequest::After(token.into());
    let again = Listener::reader(&other, &room, after).await.unwrap();
    publish_all(&one, &room, 10..12).await;
    let received = again.until("11").await;
    assert_eq!(texts(&received), numbers(3..12));
    assert!(!received.iter().any(|it| it.gap));
    let here = first.until("11").await;
    let tokens = |all: &[Received]| all.iter().map(|it| it.token.clone()).collect::<Vec<_>>();
    assert_eq!(tokens(&here)[3..], tokens(&received)[..], "a place has one token on all nodes");

    let hour = HistoryRequest::Within(Duration::from_secs(60 * 60));
    for (request, expected) in [(HistoryRequest::Last(4), 8..12), (hour, 0..12)] {
        let reader = Listener::reader(&other, &room, request).await.unwrap();
        let received = reader.until("11").await;
        assert_eq!(texts(&received), numbers(expected));
    }
    let refused = Listener::reader(&other, &room, HistoryRequest::After("never".into())).await;
    assert!(matches!(refused.err(), Some(BrokerError::InvalidToken { .. })));
}

#[tokio::test]
#[ignore = "needs nats"]
async fn history_is_there_on_a_node_that_has_just_started() {
    let one = keeping_node(&url()).await;
    let room = kept_room();
    // More than is read at once, and more than is kept.
    publish_all(&one, &room, 0..1200).await;
    let other = keeping_node(&url()).await;
    let all = Listener::reader(&other, &room, HistoryRequest::Last(5000)).await.unwrap();
    let received = all.mailbox.wait_for(1000, PATIENCE).await.unwrap();
    assert_eq!(texts(&received), numbers(200..1200));
    let hour = HistoryRequest::Within(Duration::from_secs(60 * 60));
    let since = Listener::reader(&other, &room, hour).await.unwrap();
    let received = since.mailbox.wait_for(1000, PATIENCE).await.unwrap();
    assert!(received[0].gap, "some that were asked for are gone");
}

#[tokio::test]
#[ignore = "needs nats"]
async fn patterns_have_what_is_kept_and_what_is_not() {
    let (one, other) = (keeping_node(&url()).await, keeping_node(&url()).await);
    let (kept, live) = (kept_room(), room());
    let all = Listener::new(&one, "/topic/**").await;
    let some = Listener::new(&one, "/topic/kept/*").await;
    for number in 0..50 {
        for room in [&kept, &live] {
            publish(&other, room, &number.to_string()).await.unwrap();
        }
    }
    publish(&other, &kept, "end").await.unwrap();
    let of = |received: Vec<Received>, room: &String| {
        let of_room = |it: &Received| it.header("destination") == Some(room);
        received.into_iter().filter(of_room).collect::<Vec<_>>()
    };
    let received = all.until("end").await;
    assert_eq!(texts(&of(received.clone(), &live)), numbers(0..50));
    let mut expected = numbers(0..50);
    expected.push("end".to_owned());
    assert_eq!(texts(&of(received, &kept)), expected);
    let received = of(some.until("end").await, &kept);
    assert_eq!(texts(&received), expected);
    assert!(received.iter().all(|it| it.token.is_some()));
    let refused = Listener::reader(&one, "/topic/kept/*", HistoryRequest::Last(1)).await.err();
    assert!(matches!(refused, Some(BrokerError::Unsupported { .. })), "{refused:?}");
    let refused = Listener::reader(&one, &live, HistoryRequest::Last(1)).await.err();
    assert!(matches!(refused, Some(BrokerError::NoHistory { .. })), "{refused:?}");
}

#[tokio::test]
#[ignore = "needs nats"]
async fn however_many_read_the_engine_sends_a_message_once() {
    let engine = Engine::start("read-once");
    let node = keeping_node(&engine.url).await;
    let room = kept_room();
    publish(&node, &room, "before").await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..500 {
        readers.push(Listener::reader(&node, &room, HistoryRequest::Last(1)).await.unwrap());
    }
    let subject = room.trim_start_matches('/').replace('/', ".");
    assert_eq!(engine.connections().matches(&subject).count(), 1);
    let client = async_nats::connect(&engine.url).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("stompbox-topics").await.unwrap();
    assert_eq!(stream.cached_info().state.consumer_count, 0, "a consumer is left over");
    publish(&node, &room, "after").await.unwrap();
    for reader in &readers {
        assert_eq!(texts(&reader.until("after").await), ["before", "after"]);
        reader.leave(&node);
    }
    // What is published later is confirmed later: by then the engine knows that nobody listens.
    publish(&node, &room, "nobody hears").await.unwrap();
    assert_eq!((node.upstreams(), node.router().destinations()), (0, 0));
    assert_eq!(node.router().retained_bytes(), 0);
}

#[tokio::test]
#[ignore = "needs nats"]
async fn without_jetstream_history_and_queues_are_refused_and_topics_are_not() {
    let engine = Engine::start_without_jetstream("core");
    let node = keeping_node(&engine.url).await;
    for missing in [Capability::History, Capability::Durable, Capability::Queues] {
        assert!(!node.capabilities().supports(missing), "{missing}");
    }
    let room = kept_room();
    let refused = Listener::reader(&node, &room, HistoryRequest::Last(1)).await.err();
    assert!(matches!(refused, Some(BrokerError::Unsupported { .. })), "{refused:?}");
    let refused = publish(&node, "/queue/a", "0").await;
    assert!(matches!(refused, Err(BrokerError::Unsupported { .. })), "{refused:?}");
    let listener = Listener::new(&node, &room).await;
    publish(&node, &room, "live").await.unwrap();
    assert_eq!(listener.until("live").await[0].token, None);
}

#[tokio::test]
#[ignore = "needs nats"]
async fn rules_that_keep_more_have_the_stream_keep_more() {
    let engine = Engine::start("raised");
    let limits = async || {
        let client = async_nats::connect(&engine.url).await.unwrap();
        let context = async_nats::jetstream::new(client);
        let config =
            context.get_stream("stompbox-topics").await.unwrap().cached_info().config.clone();
        (config.max_messages_per_subject, config.max_age.as_secs())
    };
    for (rule, expected) in [
        ("/topic/**,history=5,history-age=10m", (5, 600)),
        ("/topic/**,history=50,history-age=5m", (50, 600)),
        ("/topic/**,history-age=2h", (-1, 7200)),
        ("/topic/**,history=5", (-1, 7200)),
    ] {
        let options = BrokerOptions::default().rule(rule.parse().unwrap());
        let node = NatsBroker::connect(&engine.url, options).await.unwrap();
        publish(&node, &room(), "0").await.unwrap();
        assert_eq!(limits().await, expected, "{rule}");
    }
}

#[tokio::test]
#[ignore = "needs nats"]
async fn a_stream_of_another_kind_is_left_alone() {
    let engine = Engine::start("another");
    let client = async_nats::connect(&engine.url).await.unwrap();
    let config = async_nats::jetstream::stream::Config {
        name: "stompbox-topics".to_owned(),
        subjects: vec!["something.else".to_owned()],
        ..Default::default()
    };
    async_nats::jetstream::new(client).create_stream(config).await.unwrap();
    let (node, plain) = (keeping_node(&engine.url).await, node(&engine.url).await);
    let room = kept_room();
    let refused = Listener::reader(&node, &room, HistoryRequest::Last(1)).await.err();
    assert!(matches!(refused, Some(BrokerError::Refused { .. })), "{refused:?}");
    let refused = publish(&node, &room, "0").await;
    assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    publish(&plain, &room, "who keeps nothing needs no stream").await.unwrap();
}

#[tokio::test]
#[ignore = "needs nats"]
async fn other_programs_can_have_their_messages_kept() {
    let node = keeping_node(&url()).await;
    let room = kept_room();
    let subject = room.trim_start_matches('/').replace('/', ".");
    let listener = Listener::new(&node, &room).await;
    let client = async_nats::connect(url()).await.unwrap();
    client.publish(subject.clone(), "live".into()).await.unwrap();
    client.publish(format!("stompbox-topics.{subject}"), "kept".into()).await.unwrap();
    let received = listener.until("kept").await;
    assert_eq!(texts(&received), ["live", "kept"]);
    let other = keeping_node(&url()).await;
    let reader = Listener::reader(&other, &room, HistoryRequest::Last(5)).await.unwrap();
    assert_eq!(texts(&reader.until("kept").await), ["kept"]);
}
