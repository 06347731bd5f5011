//! A Kafka that ends, one that hangs, and one that refuses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stompbox::broker::{
    Broker, BrokerError, BrokerOptions, ConnectError, KafkaBroker, Message, Operation, Turn,
};
use stompbox::testkit::Received;

use crate::engine::{Engine, setting, url};
use crate::listener::{Listener, PATIENCE, publish, send, texts, unique};
use crate::node;

pub(crate) const ROOM: &str = "/topic/a";
pub(crate) const AWAY: BrokerError = BrokerError::Unavailable { engine: "Kafka" };

/// Publishes numbers until it is told to stop, up to 20 at a time. Returns those that were confirmed.
pub(crate) async fn load(node: &KafkaBroker, stop: &AtomicBool) -> Vec<u64> {
    let (mut next, mut confirmed) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let sent: Vec<_> = (next..next + 20).map(|it| send(node, ROOM, &it.to_string())).collect();
        for (number, outcome) in (next..).zip(sent) {
            let outcome = tokio::time::timeout(PATIENCE, outcome).await;
            match outcome.expect("it is complete in time") {
                Ok(()) => confirmed.push(number),
                Err(error) => assert_eq!(error, AWAY),
            }
        }
        next += 20;
    }
    confirmed
}

/// What was confirmed came once and in order, and nobody was told of a gap. A SEND that was given up
/// may have been done nevertheless, so more may have come.
pub(crate) fn check(received: &[Received], confirmed: &[u64]) {
    let numbers: Vec<u64> = received.iter().filter_map(|it| it.text().parse().ok()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let missing = confirmed.iter().filter(|it| numbers.binary_search(it).is_err());
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "{missing:?} are missing");
    assert!(received.iter().all(|it| !it.gap), "a gap is said where there is none");
}

/// Does something to the engine while one node publishes and both listen.
async fn under_load(engine: &Engine, fault: impl FnOnce(&Engine)) {
    let (one, other) = (node(&engine.url).await, node(&engine.url).await);
    let listeners = [
        Listener::new(&one, ROOM).await,
        Listener::new(&other, ROOM).await,
        Listener::new(&other, "/topic/**").await,
    ];
    let stop = AtomicBool::new(false);
    let disturb = async {
        listeners[1].until("100").await;
        tokio::task::block_in_place(|| fault(engine));
        // It goes on when something is confirmed again.
        let deadline = Instant::now() + 2 * PATIENCE;
        while publish(&one, ROOM, "again").await.is_err() {
            assert!(Instant::now() < deadline, "nothing is confirmed any more");
        }
        listeners[1].until("again").await;
        stop.store(true, Ordering::Relaxed);
    };
    let (confirmed, ()) = tokio::join!(load(&one, &stop), disturb);
    publish(&one, ROOM, "end").await.expect("it is confirmed");
    for listener in &listeners {
        check(&listener.until("end").await, &confirmed);
    }
    assert_eq!(one.outgoing(), 0, "nothing stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs kafka"]
async fn what_was_confirmed_survives_a_crash_of_the_engine() {
    let engine = Engine::start("kafka-crash");
    under_load(&engine, |engine| {
        engine.kill();
        engine.start_again();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs kafka"]
async fn an_engine_that_hangs_is_survived() {
    let engine = Engine::start("kafka-hang");
    under_load(&engine, |engine| {
        engine.pause();
        std::thread::sleep(Duration::from_secs(10));
        engine.resume();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn an_engine_that_goes_on_just_as_a_message_is_given_up_gets_the_others_once() {
    let engine = Engine::start("kafka-bound");
    let node = node(&engine.url).await;
    let listener = Listener::new(&node, ROOM).await;
    publish(&node, ROOM, "before").await.unwrap();
    engine.pause();
    // All of it is on the wire, and Kafka reads it when it goes on.
    let first = send(&node, ROOM, "0");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let others: Vec<_> = (1..5).map(|number| send(&node, ROOM, &number.to_string())).collect();
    assert_eq!(first.await, Err(AWAY));
    engine.resume();
    for outcome in others {
        tokio::time::timeout(PATIENCE, outcome).await.expect("an answer").expect("it is held");
    }
    while publish(&node, ROOM, "end").await.is_err() {}
    let received = listener.until("end").await;
    let mut numbers: Vec<_> = received.iter().filter_map(|it| it.text().parse().ok()).collect();
    // What was given up may have been done.
    numbers.retain(|number: &u64| *number > 0);
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn without_an_engine_clients_are_answered_in_time_and_nothing_stays() {
    let engine = Engine::start("kafka-away");
    let node = node(&engine.url).await;
    let listener = Listener::new(&node, ROOM).await;
    publish(&node, ROOM, "before").await.unwrap();
    let token = listener.until("before").await[0].token.clone().unwrap();
    engine.kill();
    let began = Instant::now();
    let history = stompbox::broker::HistoryRequest::After(token.as_str().into());
    let (sent, asked) =
        tokio::join!(publish(&node, ROOM, "lost"), Listener::reader(&node, ROOM, history.clone()),);
    assert_eq!((sent, asked.err()), (Err(AWAY), Some(AWAY)));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(node.router().subscribers(&ROOM.parse().unwrap()), 1);
    assert_eq!(node.outgoing(), 0);
    engine.start_again();
    while publish(&node, ROOM, "after").await.is_err() {
        assert!(began.elapsed() < 2 * PATIENCE, "nothing is confirmed any more");
    }
    let received = listener.until("after").await;
    assert!(received.iter().all(|it| !it.gap), "{received:?}");
    let again = Listener::reader(&node, ROOM, history).await.unwrap();
    assert!(!again.until("after").await[0].gap);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn a_message_that_the_engine_does_not_take_is_refused_alone() {
    let node = node(&url()).await;
    let listener = Listener::new(&node, ROOM).await;
    let large = send(&node, ROOM, &"x".repeat(2 << 20));
    let small = send(&node, ROOM, "small");
    assert!(matches!(large.await, Err(BrokerError::TooLarge { .. })));
    small.await.unwrap();
    listener.until("small").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn a_transaction_with_a_message_that_cannot_be_sent_publishes_nothing() {
    let (node, room) = (node(&url()).await, format!("/topic/{}", unique("refused")));
    let listener = Listener::new(&node, &room).await;
    let message = |to: &str, body: &str| Message::builder(to.parse().unwrap()).body(body);
    let refused = [
        message(&room, &"x".repeat(2 << 20)),
        message(&format!("/queue/{}", "x".repeat(300)), "its name is too long"),
        message("/topic/*", "a pattern"),
    ];
    for refused in refused {
        let operations = [message(&room, "never"), refused].map(Operation::Publish);
        let outcome = node.commit(operations.into(), &mut Turn::new(Instant::now()));
        outcome.await.unwrap_err();
    }
    publish(&node, &room, "after").await.unwrap();
    assert_eq!(texts(&listener.until("after").await), ["after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn one_logs_in_by_sasl_and_the_login_is_shown_to_nobody() {
    let address = setting("KAFKA_SASL");
    let with = |login: &str| format!("kafka://{login}@{address}");
    let secure = node(&with("login:secret")).await;
    let listener = Listener::new(&node(&url()).await, ROOM).await;
    publish(&secure, ROOM, "by sasl").await.unwrap();
    drop(listener);
    assert!(!format!("{secure:?}").contains("secret"));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let denied = with("nobody:secret");
    for url in [with("login:wrong-secret"), denied, format!("kafka://login:secret@{nobody}")] {
        let began = Instant::now();
        let error = KafkaBroker::connect(&url, BrokerOptions::default()).await.err().unwrap();
        assert!(matches!(error, ConnectError::Engine { .. }));
        let text = format!("{error} {error:?}");
        assert!(text.contains("127.0.0.1") && !text.contains("secret"), "{text}");
        assert!(began.elapsed() < Duration::from_secs(15));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn properties_of_librdkafka_can_be_set() {
    let builder = || KafkaBroker::builder(url()).setting("compression.type", "gzip");
    let node = builder().connect().await.unwrap();
    publish(&node, ROOM, "compressed").await.unwrap();
    let unknown = builder().setting("no.such.property", "secret").connect().await.err().unwrap();
    assert!(matches!(&unknown, ConnectError::Engine { .. }), "{unknown}");
    assert!(!format!("{:?}", builder().setting("sasl.password", "secret")).contains("secret"));
    // There is no TLS in this librdkafka.
    let error = builder().setting("security.protocol", "ssl").connect().await.err().unwrap();
    assert!(error.to_string().contains("security.protocol"), "{error}");
    let error = node_error(&format!("{}?tls=true", url())).await;
    assert!(matches!(&error, ConnectError::InvalidUrl { .. }), "{error}");
}

async fn node_error(url: &str) -> ConnectError {
    KafkaBroker::connect(url, BrokerOptions::default()).await.expect_err("no Kafka")
}
