//! A Redis that ends, and one that hangs.

use std::sync::Arc;
use std::time::Duration;

use stompbox::broker::{BrokerError, BrokerOptions, RedisBroker};
use stompbox::testkit::{Mailbox, Received};

use crate::engine::Engine;
use crate::node::{Node, bodies, until};

/// Two nodes, and subscribers on one of them to a topic that is kept and one that is not.
struct Rooms {
    engine: Engine,
    here: Arc<Node>,
    kept: Arc<Mailbox>,
    by_pattern: Arc<Mailbox>,
    live: Arc<Mailbox>,
    _there: Node,
}

const KEPT: &str = "/topic/kept/a";
const LIVE: &str = "/topic/live/a";

impl Rooms {
    async fn new(name: &str) -> Self {
        let engine = Engine::start(name);
        let here = Arc::new(Node::start(&engine.url).await);
        let there = Node::start(&engine.url).await;
        let [kept, by_pattern, live] = [Mailbox::new(), Mailbox::new(), Mailbox::new()];
        there.subscribe(KEPT, &kept).await;
        there.subscribe("/topic/kept/*", &by_pattern).await;
        there.subscribe(LIVE, &live).await;
        Self { engine, here, kept, by_pattern, live, _there: there }
    }

    /// Publishes numbers to both until `act` is done. Returns those that were confirmed.
    async fn publish_during(&self, act: impl FnOnce(&Engine) + Send) -> Vec<u64> {
        let (done, mut ended) = tokio::sync::oneshot::channel::<()>();
        let here = Arc::clone(&self.here);
        let publishing = tokio::spawn(async move {
            let (mut number, mut outcomes) = (0, Vec::new());
            while ended.try_recv().is_err() {
                outcomes.push((number, here.send(KEPT, number.to_string())));
                drop(here.send(LIVE, number.to_string()));
                number += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let mut confirmed = Vec::new();
            for (number, outcome) in outcomes {
                if here.answer(outcome).await.is_ok() {
                    confirmed.push(number);
                }
            }
            confirmed
        });
        tokio::task::block_in_place(|| act(&self.engine));
        done.send(()).expect("it publishes");
        publishing.await.expect("it publishes")
    }

    /// What was confirmed is there once and in order, without a gap; what is not kept says so.
    async fn check(&self, confirmed: &[u64]) {
        // A SEND that was given up may have been done nevertheless, so more may come.
        for mailbox in [&self.kept, &self.by_pattern] {
            self.here.publish(KEPT, "end").await;
            let came = until(mailbox, "end").await;
            let numbers = numbers(&came);
            assert!(numbers.is_sorted_by(|one, next| one < next), "{:?}", bodies(&came));
            let missing: Vec<_> =
                confirmed.iter().filter(|it| numbers.binary_search(it).is_err()).collect();
            assert!(missing.is_empty(), "{missing:?} are missing");
            assert!(!came.iter().any(|it| it.gap), "a gap is said where there is none");
        }
        self.here.publish(LIVE, "end").await;
        let came = until(&self.live, "end").await;
        let numbers = numbers(&came);
        assert!(numbers.is_sorted_by(|one, next| one < next), "{:?}", bodies(&came));
        assert_eq!(came.iter().filter(|it| it.gap).count(), 1, "{:?}", bodies(&came));
        assert_eq!(self.here.broker.outgoing_bytes(), 0, "nothing stays");
    }
}

fn numbers(received: &[Received]) -> Vec<u64> {
    received.iter().filter_map(|it| it.text().parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn what_was_confirmed_survives_a_crash_of_the_engine() {
    let rooms = Rooms::new("crash").await;
    let confirmed = rooms
        .publish_during(|engine| {
            std::thread::sleep(Duration::from_millis(500));
            engine.kill();
            std::thread::sleep(Duration::from_secs(1));
            engine.start_again();
            std::thread::sleep(Duration::from_millis(500));
        })
        .await;
    assert!(confirmed.len() > 100, "{} were confirmed", confirmed.len());
    rooms.check(&confirmed).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn an_engine_that_hangs_holds_up_nobody_for_ever() {
    let rooms = Rooms::new("hang").await;
    let confirmed = rooms
        .publish_during(|engine| {
            std::thread::sleep(Duration::from_millis(500));
            engine.pause();
            std::thread::sleep(Duration::from_secs(10));
            engine.resume();
            std::thread::sleep(Duration::from_millis(500));
        })
        .await;
    assert!(confirmed.len() > 100, "{} were confirmed", confirmed.len());
    rooms.check(&confirmed).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn what_an_engine_does_not_take_in_time_is_refused() {
    let engine = Engine::start("away");
    let node = Node::start(&engine.url).await;
    engine.kill();
    let refused = node.answer(node.send(LIVE, "never")).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(node.broker.outgoing_bytes(), 0);
    engine.start_again();
    let mailbox = Mailbox::new();
    node.subscribe(LIVE, &mailbox).await;
    node.publish(LIVE, "again").await;
    assert_eq!(bodies(&until(&mailbox, "again").await), ["again"]);
}

/// An ACL may allow a node less than its clients ask for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis"]
async fn what_an_acl_forbids_is_refused_and_disturbs_nobody() {
    let engine = Engine::start("acl");
    let client = redis::Client::open(engine.url.as_str()).expect("a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("a Redis");
    let mut user = redis::cmd("ACL");
    for word in ["SETUSER", "node", "on", ">secret", "~stompbox:*", "&stompbox:/topic/live/a"] {
        user.arg(word);
    }
    for word in ["+@pubsub", "+@transaction", "+@connection", "+@scripting", "+get", "+set"] {
        user.arg(word);
    }
    user.query_async::<()>(&mut redis).await.expect("a user");
    let node = Node::start(&engine.url.replace("//", "//node:secret@")).await;
    let mailbox = Mailbox::new();
    node.subscribe(LIVE, &mailbox).await;
    for forbidden in ["/topic/live/b", "/topic/**", KEPT] {
        let refused = node.try_subscribe(forbidden, &mailbox).await;
        assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{forbidden}: {refused:?}");
        let refused = node.answer(node.send("/topic/live/b", "never")).await;
        assert!(matches!(refused, Err(BrokerError::Refused { .. })), "{refused:?}");
    }
    node.publish(LIVE, "allowed").await;
    let came = until(&mailbox, "allowed").await;
    assert_eq!((bodies(&came), came[0].gap), (vec!["allowed".to_owned()], false));
    assert_eq!(node.broker.upstreams(), 1);

    let wrong = engine.url.replace("//", "//node:wrong-secret@");
    let error = RedisBroker::connect(&wrong, BrokerOptions::default()).await.expect_err("refused");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}
