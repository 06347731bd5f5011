//! What is in Kafka, and how it comes to subscribers.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use stompbox::broker::{Broker, BrokerError, HistoryRequest, KafkaBroker, Message, Turn};

use crate::engine::url;
use crate::listener::{Listener, PATIENCE, publish, send, texts, unique};
use crate::node;

/// Another program at Kafka.
struct Program(ClientConfig);

impl Program {
    fn new() -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", url().replace("kafka://", ""));
        Self(config)
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.0.create().expect("a client")
    }

    async fn create(&self, topic: &str, partitions: i32) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let made = self.admin().create_topics([&new], &AdminOptions::new()).await;
        made.expect("an answer").remove(0).expect("a topic");
    }

    async fn delete(&self, topic: &str) {
        let deleted = self.admin().delete_topics(&[topic], &AdminOptions::new()).await;
        deleted.expect("an answer").remove(0).expect("a topic that was there");
    }

    /// Drops what stands before an offset, as retention does.
    async fn truncate(&self, topic: &str, partition: i32, offset: i64) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("a place");
        self.admin().delete_records(&before, &AdminOptions::new()).await.expect("an answer");
    }

    async fn produce(&self, record: FutureRecord<'_, str, str>) {
        let producer: FutureProducer = self.0.create().expect("a producer");
        producer.send(record, PATIENCE).await.expect("it is confirmed");
    }

    /// The first record of a topic, whose key, headers and value are said.
    fn first_record(&self, topic: &str) -> (String, Vec<(String, String)>, String) {
        let mut config = self.0.clone();
        config.set("group.id", "program").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[topic]).expect("a topic");
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "there is no record");
            if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers = record.headers().map(|headers| {
                    let pair = |it: Header<'_, &[u8]>| {
                        (it.key.to_owned(), text(it.value.unwrap_or_default()))
                    };
                    headers.iter().map(pair).collect()
                });
                let (key, value) = (record.key().expect("a key"), record.payload());
                return (text(key), headers.unwrap_or_default(), text(value.unwrap_or_default()));
            }
        }
    }
}

/// A node whose topic at Kafka no other test has.
async fn node_at(topic: &str, more: &str) -> KafkaBroker {
    node(&format!("{}?topic={topic}&{more}", url())).await
}

fn after(token: Option<&String>) -> HistoryRequest {
    HistoryRequest::After(token.expect("a token").as_str().into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn a_room_is_one_room_on_two_nodes() {
    let topic = unique("room");
    let (one, other) = (node_at(&topic, "").await, node_at(&topic, "").await);
    let listeners =
        [Listener::new(&one, "/topic/a").await, Listener::new(&other, "/topic/a").await];
    let pattern = Listener::new(&other, "/topic/*").await;
    for number in 0..50 {
        let sender = if number % 2 == 0 { &one } else { &other };
        publish(sender, "/topic/a", &number.to_string()).await.unwrap();
    }
    publish(&one, "/topic/b", "elsewhere").await.unwrap();
    publish(&one, "/topic/a", "end").await.unwrap();
    let expected: Vec<_> = (0..50).map(|it| it.to_string()).chain(["end".to_owned()]).collect();
    for listener in &listeners {
        let received = listener.until("end").await;
        assert_eq!(texts(&received), expected);
        assert!(received.iter().all(|it| !it.gap));
    }
    let mut all = texts(&pattern.until("end").await);
    all.retain(|body| body != "elsewhere");
    assert_eq!(all, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn who_goes_on_at_another_node_misses_nothing() {
    let topic = unique("resume");
    let one = node_at(&topic, "").await;
    let listener = Listener::new(&one, "/topic/a").await;
    for number in 0..10 {
        publish(&one, "/topic/a", &number.to_string()).await.unwrap();
    }
    let token = listener.until("9").await[4].token.clone();
    // One that has read the tail, and one that has to read it for this.
    for more in ["", "tail=0"] {
        let other = node_at(&topic, more).await;
        let next = format!("next {more}");
        publish(&one, "/topic/a", &next).await.unwrap();
        let again = Listener::reader(&other, "/topic/a", after(token.as_ref())).await.unwrap();
        let received = again.until(&next).await;
        assert_eq!(texts(&received)[..6], ["5", "6", "7", "8", "9", "next "], "{more}");
        assert!(received.iter().all(|it| !it.gap), "{more}");
        // What was read is there for those who ask for less, too.
        let last = Listener::reader(&other, "/topic/a", HistoryRequest::Last(2)).await.unwrap();
        let end = format!("end {more}");
        publish(&one, "/topic/a", &end).await.unwrap();
        assert_eq!(texts(&last.until(&end).await)[1..], [next, end], "{more}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn many_who_come_back_at_once_get_what_they_missed_each() {
    let topic = unique("storm");
    let one = node_at(&topic, "").await;
    let rooms: Vec<_> = (0..10).map(|room| format!("/topic/room/{room}")).collect();
    let mut tokens = Vec::new();
    for room in &rooms {
        let listener = Listener::new(&one, room).await;
        publish(&one, room, "had").await.unwrap();
        tokens.push(listener.until("had").await[0].token.clone());
        publish(&one, room, "missed").await.unwrap();
    }
    let other = node_at(&topic, "tail=0").await;
    let comes = rooms.iter().zip(&tokens).flat_map(|(room, token)| {
        (0..20).map(|_| Listener::reader(&other, room, after(token.as_ref())))
    });
    for listener in futures_util::future::join_all(comes).await {
        let received = listener.unwrap().until("missed").await;
        assert_eq!((texts(&received), received[0].gap), (vec!["missed".to_owned()], false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn history_since_a_time_says_what_is_missing() {
    let topic = unique("time");
    let one = node_at(&topic, "partitions=1").await;
    publish(&one, "/topic/a", "old").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let between = Instant::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    publish(&one, "/topic/a", "new").await.unwrap();
    let within = |seconds| HistoryRequest::Within(Duration::from_secs(seconds));
    for more in ["", "tail=0"] {
        let other = node_at(&topic, more).await;
        let recent = HistoryRequest::Within(between.elapsed());
        let recent = Listener::reader(&other, "/topic/a", recent).await.unwrap();
        let all = Listener::reader(&other, "/topic/a", within(60)).await.unwrap();
        let received = [recent.until("new").await, all.until("new").await];
        assert_eq!(texts(&received[0]), ["new"], "{more}");
        assert_eq!(texts(&received[1]), ["old", "new"], "{more}");
        assert!(received.iter().flatten().all(|it| !it.gap), "{more} {received:?}");
    }
    // Kafka itself has not kept it all.
    Program::new().truncate(&topic, 0, 1).await;
    let other = node_at(&topic, "tail=0").await;
    let all = Listener::reader(&other, "/topic/a", within(60)).await.unwrap();
    let received = all.until("new").await;
    assert_eq!((texts(&received), received[0].gap), (vec!["new".to_owned()], true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn a_token_whose_message_kafka_has_dropped_is_answered_with_a_gap() {
    let topic = unique("retention");
    let one = node_at(&topic, "partitions=1").await;
    let listener = Listener::new(&one, "/topic/a").await;
    for body in ["0", "1", "2"] {
        publish(&one, "/topic/a", body).await.unwrap();
    }
    let token = listener.until("2").await[0].token.clone();
    Program::new().truncate(&topic, 0, 2).await;
    let other = node_at(&topic, "").await;
    let again = Listener::reader(&other, "/topic/a", after(token.as_ref())).await.unwrap();
    let received = again.until("2").await;
    assert_eq!((texts(&received), received[0].gap), (vec!["2".to_owned()], true));
    let nonsense = HistoryRequest::After("1f-3".into());
    let refused = Listener::reader(&other, "/topic/a", nonsense).await.err();
    assert!(matches!(refused, Some(BrokerError::InvalidToken { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn what_is_in_kafka_already_is_there_to_subscribe() {
    let (program, orders) = (Program::new(), unique("orders"));
    program.create(&orders, 3).await;
    let record = |key, value| FutureRecord::to(&orders).key(key).payload(value);
    program.produce(record("17", "before")).await;
    let map = format!("map=/topic/orders/{{key}}:{orders}&map=/topic/all-orders:{orders}");
    let node = node_at(&unique("mapped"), &map).await;
    let one = HistoryRequest::Last(10);
    let order = Listener::reader(&node, "/topic/orders/17", one.clone()).await.unwrap();
    let all = Listener::new(&node, "/topic/all-orders").await;
    let pattern = Listener::new(&node, "/topic/orders/**").await;
    let header = Header { key: "x-note", value: Some("größer") };
    let record = record("17", "from a program").headers(OwnedHeaders::new().insert(header));
    program.produce(record).await;
    let received = order.until("from a program").await;
    assert_eq!(texts(&received), ["before", "from a program"]);
    assert_eq!(received[1].header("x-note"), Some("größer"));
    assert_eq!(received[1].header("destination"), Some("/topic/orders/17"));
    assert_eq!(texts(&all.until("from a program").await), ["from a program"]);
    assert_eq!(texts(&pattern.until("from a program").await), ["from a program"]);
    // Its messages have no order, so it has no history.
    let refused = Listener::reader(&node, "/topic/all-orders", one).await.err();
    assert!(matches!(refused, Some(BrokerError::NoHistory { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn what_is_published_is_a_record_for_other_programs() {
    let topic = unique("records");
    let node = node_at(&topic, "").await;
    let message = Message::builder("/topic/a/b".parse().unwrap())
        .header("content-type", "text/plain")
        .header("räume", "a: colon, a \n line");
    let sent = node.publish(message.body("hello"), &mut Turn::new(Instant::now()));
    sent.await.unwrap();
    let record = tokio::task::block_in_place(|| Program::new().first_record(&topic));
    let headers = [("content-type", "text/plain"), ("räume", "a: colon, a \n line")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    assert_eq!(record, ("/topic/a/b".to_owned(), headers, "hello".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn new_topics_and_partitions_are_noticed() {
    let (program, later) = (Program::new(), unique("later"));
    let node =
        node_at(&unique("own"), &format!("partitions=2&map=/topic/later/{{key}}:{later}")).await;
    assert_eq!(node.partitions(), 2);
    let listener = Listener::new(&node, "/topic/later/**").await;
    program.create(&later, 1).await;
    let record =
        |partition, value| FutureRecord::to(&later).key("a").payload(value).partition(partition);
    program.produce(record(0, "a new topic")).await;
    listener.until("a new topic").await;
    let more = NewPartitions::new(&later, 3);
    let made = program.admin().create_partitions([&more], &AdminOptions::new()).await;
    made.unwrap().remove(0).unwrap();
    program.produce(record(2, "a new partition")).await;
    let received = listener.until("a new partition").await;
    assert_eq!(texts(&received), ["a new topic", "a new partition"]);
    assert_eq!(node.partitions(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn a_topic_that_begins_anew_is_a_gap() {
    let (program, topic) = (Program::new(), unique("anew"));
    let node = node_at(&topic, "partitions=1").await;
    let listener = Listener::new(&node, "/topic/a").await;
    // More than come anew before the node looks: else it would go on behind them, and know of nothing.
    let sent: Vec<_> = (0..1000).map(|it| send(&node, "/topic/a", &it.to_string())).collect();
    for outcome in sent {
        outcome.await.unwrap();
    }
    listener.until("999").await;
    program.delete(&topic).await;
    program.create(&topic, 1).await;
    // Until the node has seen that its place is not there any more, what comes may be missed.
    let deadline = Instant::now() + 3 * PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "it goes on nowhere");
        drop(publish(&node, "/topic/a", "anew").await);
        let anew = |all: &[_]| texts(all).contains(&"anew".to_owned());
        if let Ok(all) = listener.mailbox.wait_until(Duration::from_millis(200), anew).await {
            assert!(all[1000].gap, "{:?}", all[1000]);
            return;
        }
    }
}
