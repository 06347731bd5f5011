use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use stompbox::broker::{
    Broker, BrokerOptions, Destination, HistoryRequest, NatsBroker, Outlet, Subscriber,
    SubscriberId, Taken, Turn,
};
use stompbox::session::{Delivery, SubscriptionKey};
use stompbox::testkit::Received;

use crate::engine::Engine;
use crate::history::{numbers, publish_all};
use crate::listener::{Listener, PATIENCE, publish, texts};
use crate::proxy::Proxy;
use crate::rooms::{kept_room, room};
use crate::{keeping_node, url};

/// A node listens by a connection that is cut, while another one publishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn after_a_reconnect_what_was_missed_comes_from_the_stream() {
    let proxy = Proxy::start(&url()).await;
    let (one, other) = (keeping_node(&url()).await, keeping_node(&proxy.url).await);
    let room = kept_room();
    let place = format!("{room}/a");
    let stays = [
        Listener::new(&other, &place).await,
        Listener::new(&other, &format!("{room}/*")).await,
        Listener::new(&other, &format!("{room}/**")).await,
    ];
    let empty = Listener::new(&other, &format!("{room}/b")).await;
    for round in 0..3 {
        publish_all(&one, &place, round * 20..round * 20 + 10).await;
        if round == 1 {
            stays[0].until("29").await;
        }
        proxy.cut();
        publish_all(&one, &place, round * 20 + 10..round * 20 + 20).await;
        if round == 0 {
            publish(&one, &format!("{room}/b"), "b").await.unwrap();
        }
        proxy.mend();
        let last = (round * 20 + 19).to_string();
        for listener in &stays {
            listener.until(&last).await;
        }
    }
    for listener in &stays {
        let mut received = listener.mailbox.received();
        received.retain(|it| it.text() != "b");
        assert_eq!(texts(&received), numbers(0..60), "{}", listener.destination);
        assert!(!received.iter().any(|it| it.gap), "{}", listener.destination);
    }
    assert!(!empty.until("b").await[0].gap);
    // The history of the node has them, too.
    let reader = Listener::reader(&other, &place, HistoryRequest::Last(60)).await.unwrap();
    assert_eq!(texts(&reader.until("59").await), numbers(0..60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn what_the_stream_has_dropped_is_a_gap() {
    let engine = Engine::start("dropped");
    let proxy = Proxy::start(&engine.url).await;
    let few = |url: String| async move {
        let options = BrokerOptions::default().rule("/topic/**,history=5".parse().unwrap());
        NatsBroker::connect(&url, options).await.expect("a NATS")
    };
    let (one, other) = (few(engine.url.clone()).await, few(proxy.url.clone()).await);
    let room = room();
    let listener = Listener::new(&other, &room).await;
    let quiet = Listener::new(&other, &format!("{room}/quiet")).await;
    publish_all(&one, &room, 0..2).await;
    publish(&one, &format!("{room}/quiet"), "0").await.unwrap();
    let token = listener.until("1").await[0].token.clone().unwrap();
    quiet.until("0").await;
    proxy.cut();
    publish_all(&one, &room, 2..20).await;
    proxy.mend();
    let received = listener.until("19").await;
    let gaps: Vec<_> = received.iter().filter(|it| it.gap).map(Received::text).collect();
    assert_eq!((texts(&received)[2..].to_vec(), gaps), (numbers(15..20), vec!["15".to_owned()]));
    // Where nothing was dropped nothing is said.
    publish(&one, &format!("{room}/quiet"), "1").await.unwrap();
    assert!(!quiet.until("1").await[1].gap);

    let reader = Listener::reader(&one, &room, HistoryRequest::After(token.into())).await.unwrap();
    let received = reader.until("19").await;
    assert_eq!(texts(&received), numbers(15..20));
    assert!(received[0].gap);
}

/// Somebody who can take nothing, until it is told to.
#[derive(Default)]
struct Slow {
    is_full: AtomicBool,
    bodies: Mutex<Vec<(String, bool)>>,
}

impl Outlet for Slow {
    fn deliver(&self, _: SubscriptionKey, deliveries: &[Delivery], _: Instant) -> Taken {
        let bodies = deliveries
            .iter()
            .map(|it| (String::from_utf8_lossy(it.message().body()).into_owned(), it.has_gap()));
        self.bodies.lock().extend(bodies);
        if self.is_full.load(Ordering::Relaxed) { Taken::Full } else { Taken::Written }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn what_a_node_could_not_take_comes_from_the_stream() {
    // More than the client keeps for a subscription, which is 65,536.
    const COUNT: u32 = 70_000;
    let engine = Engine::start("slow");
    let keeping = async || {
        let rule = "/topic/**,history=100000,history-bytes=64MiB".parse().unwrap();
        NatsBroker::connect(&engine.url, BrokerOptions::default().rule(rule)).await.unwrap()
    };
    let (one, other) = (keeping().await, keeping().await);
    let (room, slow) = (room(), Arc::new(Slow::default()));
    let id = SubscriberId { connection: 1, subscription: SubscriptionKey::new(0, 0) };
    let topic: Destination = room.parse().unwrap();
    let mut turn = Turn::new(Instant::now());
    let outcome = other.subscribe(&topic, Subscriber::new(id, slow.clone()), &mut turn);
    drop(turn);
    outcome.await.unwrap();
    slow.is_full.store(true, Ordering::Relaxed);
    for thousand in 0..COUNT / 1000 {
        publish_all(&one, &room, thousand * 1000..(thousand + 1) * 1000).await;
    }
    slow.is_full.store(false, Ordering::Relaxed);
    let before = slow.bodies.lock().len();
    assert!(before < 4_466, "{before} were taken, so nothing was dropped");
    other.resume(&topic, id, &mut Turn::new(Instant::now()));
    let deadline = Instant::now() + PATIENCE;
    while slow.bodies.lock().len() < COUNT as usize && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let bodies = std::mem::take(&mut *slow.bodies.lock());
    assert!(bodies.iter().map(|(body, _)| body).eq(&numbers(0..COUNT)), "{}", bodies.len());
    assert!(!bodies.iter().any(|(_, gap)| *gap));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn a_stream_that_was_deleted_is_made_again_and_that_is_a_gap() {
    let engine = Engine::start("deleted");
    let (one, other) = (keeping_node(&engine.url).await, keeping_node(&engine.url).await);
    let room = kept_room();
    let listeners = [
        Listener::new(&one, &room).await,
        Listener::new(&other, &room).await,
        Listener::new(&other, "/topic/kept/*").await,
    ];
    publish_all(&one, &room, 0..3).await;
    listeners[1].until("2").await;
    let client = async_nats::connect(&engine.url).await.unwrap();
    async_nats::jetstream::new(client).delete_stream("stompbox-topics").await.unwrap();
    publish_all(&one, &room, 3..6).await;
    let token = listeners[0].until("5").await[0].token.clone().unwrap();
    let reader = Listener::reader(&one, &room, HistoryRequest::After(token.into())).await.unwrap();
    let received = reader.until("5").await;
    assert_eq!(texts(&received), numbers(3..6));
    assert!(received[0].gap);
    let received = listeners[0].mailbox.received();
    assert_eq!(texts(&received), numbers(0..6));
    assert!(received[3].gap);
    publish_all(&other, &room, 6..8).await;
    for listener in &listeners {
        let received = listener.until("7").await;
        let texts = texts(&received);
        assert_eq!((&texts[..4], texts.last()), (&numbers(0..4)[..], Some(&"7".to_owned())));
        assert!(received[3].gap, "{}: {received:?}", listener.destination);
    }
}
