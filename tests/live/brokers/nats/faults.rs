use std::time::{Duration, Instant};

use stompbox::broker::{BrokerError, BrokerOptions, ConnectError, HistoryRequest, NatsBroker};
use stompbox::testkit::Received;
use tokio::runtime::Handle;

use crate::engine::Engine;
use crate::listener::{Listener, PATIENCE, publish, send, texts};
use crate::rooms::{kept_room, room};
use crate::{keeping_node, node};

/// Publishes numbers until it is told to stop, as fast as they are confirmed, up to 20 at a time.
/// Returns how many there were; each was confirmed.
async fn load(node: &NatsBroker, room: &str, stop: &std::sync::atomic::AtomicBool) -> u64 {
    let mut number = 0;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let sent: Vec<_> =
            (number..number + 20).map(|it| send(node, room, &it.to_string())).collect();
        number += 20;
        for outcome in sent {
            let outcome = tokio::time::timeout(PATIENCE, outcome).await;
            outcome.expect("it is complete in time").expect("it is confirmed");
        }
    }
    number
}

/// Whether they are in order, none twice, and wherever some are missing the next one says so.
fn check(received: &[Received]) {
    let mut expected = 0;
    for it in received {
        let Ok(number) = it.text().parse::<u64>() else { continue };
        assert!(number >= expected, "{number} came where {expected} was next");
        assert!(number == expected || it.gap, "{expected} is missing and {number} does not say so");
        expected = number + 1;
    }
}

/// As [`under_load`], where what is published is kept: nothing is missing anywhere.
async fn under_load_where_it_is_kept(engine: &Engine, fault: impl AsyncFnOnce(&Engine)) {
    let (one, other) = (keeping_node(&engine.url).await, keeping_node(&engine.url).await);
    let room = kept_room();
    let listeners = [
        Listener::new(&one, &room).await,
        Listener::new(&other, &room).await,
        Listener::new(&other, "/topic/kept/*").await,
    ];
    let stop = std::sync::atomic::AtomicBool::new(false);
    let disturb = async {
        listeners[1].until("100").await;
        fault(engine).await;
        let now = listeners[0].mailbox.count() + 200;
        listeners[0].mailbox.wait_for(now, PATIENCE).await.expect("it goes on");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (published, ()) = tokio::join!(load(&one, &room, &stop), disturb);
    publish(&one, &room, "end").await.expect("it is confirmed");
    let mut expected: Vec<_> = (0..published).map(|number| number.to_string()).collect();
    expected.push("end".to_owned());
    for listener in &listeners {
        let received = listener.until("end").await;
        assert_eq!(texts(&received), expected, "{}", listener.destination);
        assert!(!received.iter().any(|it| it.gap), "a gap is said where there is none");
    }
    let late = keeping_node(&engine.url).await;
    let reader = Listener::reader(&late, &room, HistoryRequest::Last(1000)).await.expect("history");
    let kept = expected.len().min(1000);
    assert_eq!(texts(&reader.until("end").await), expected[expected.len() - kept..]);
}

/// Does something to the engine while one node publishes and both listen.
async fn under_load(engine: &Engine, fault: impl AsyncFnOnce(&Engine)) {
    let (one, other) = (node(&engine.url).await, node(&engine.url).await);
    let room = room();
    let listeners = [Listener::new(&one, &room).await, Listener::new(&other, &room).await];
    let stop = std::sync::atomic::AtomicBool::new(false);
    let disturb = async {
        listeners[1].until("100").await;
        fault(engine).await;
        // Both listen again when each has heard of what the other has sent since.
        for number in 0.. {
            let name = format!("again-{number}");
            publish(&one, &room, &name).await.expect("it is confirmed");
            let heard = |all: &[Received]| all.iter().any(|it| it.text() == name);
            let soon = Duration::from_secs(1);
            let [here, there] = &listeners;
            let heard = (
                here.mailbox.wait_until(soon, heard).await.is_ok(),
                there.mailbox.wait_until(soon, heard).await.is_ok(),
            );
            if heard == (true, true) {
                break;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (published, ()) = tokio::join!(load(&one, &room, &stop), disturb);
    publish(&one, &room, "end").await.expect("it is confirmed");
    for listener in &listeners {
        let received = listener.until("end").await;
        check(&received);
        assert!(received.iter().any(|it| it.gap), "nobody was told of a gap");
        let last = (published - 1).to_string();
        assert!(received.iter().any(|it| it.text() == last), "{last} is missing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn after_a_crash_of_the_engine_all_goes_on() {
    let engine = Engine::start("crash");
    under_load(&engine, async |engine| {
        engine.kill();
        engine.start_again();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn after_a_crash_of_the_engine_nothing_is_missing_that_is_kept() {
    let engine = Engine::start("kept-crash");
    under_load_where_it_is_kept(&engine, async |engine| {
        engine.kill();
        engine.start_again();
    })
    .await;
}

/// For less long than publishers are held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn after_an_engine_hung_nothing_is_missing_that_is_kept() {
    let engine = Engine::start("kept-hang");
    under_load_where_it_is_kept(&engine, async |engine| {
        engine.pause();
        tokio::time::sleep(Duration::from_secs(7)).await;
        engine.resume();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn an_engine_that_hangs_is_survived() {
    let engine = Engine::start("hang");
    let (one, other) = (node(&engine.url).await, node(&engine.url).await);
    let room = room();
    let listener = Listener::new(&other, &room).await;
    publish(&one, &room, "0").await.unwrap();
    engine.pause();
    let began = Instant::now();
    let mut held = Vec::new();
    // One a second; each is confirmed later or refused in time.
    for number in 1..10 {
        held.push((number, send(&one, &room, &number.to_string())));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    engine.resume();
    for (number, outcome) in held {
        let outcome = tokio::time::timeout(PATIENCE, outcome).await;
        let outcome = outcome.expect("it is complete in time");
        let refused = matches!(outcome, Err(BrokerError::Unavailable { .. }));
        assert!(outcome.is_ok() || refused, "{number}: {outcome:?}");
    }
    assert!(began.elapsed() < PATIENCE);
    for number in 10.. {
        publish(&one, &room, &number.to_string()).await.unwrap();
        let last = |all: &[Received]| all.iter().any(|it| it.text() == number.to_string());
        if listener.mailbox.wait_until(Duration::from_secs(1), last).await.is_ok() {
            break;
        }
        assert!(began.elapsed() < 2 * PATIENCE, "nothing comes any more");
    }
    check(&listener.mailbox.received());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn without_an_engine_publishers_are_refused_in_time_and_nothing_stays() {
    let engine = Engine::start("away");
    let node = node(&engine.url).await;
    let room = room();
    let listener = Listener::new(&node, &room).await;
    publish(&node, &room, "before").await.unwrap();
    listener.until("before").await;
    let tasks = Handle::current().metrics().num_alive_tasks();
    engine.kill();
    let refused = publish(&node, &room, "lost").await;
    assert_eq!(refused, Err(BrokerError::Unavailable { engine: "NATS" }));
    let refused = Listener::try_new(&node, &crate::rooms::room()).await.err();
    assert_eq!(refused, Some(BrokerError::Unavailable { engine: "NATS" }));
    assert_eq!(node.upstreams(), 1);
    engine.start_again();
    publish(&node, &room, "after").await.unwrap();
    let received = listener.until("after").await;
    assert!(received.last().is_some_and(|it| it.gap));
    // The clients that were given up end by themselves.
    let deadline = Instant::now() + PATIENCE;
    while Handle::current().metrics().num_alive_tasks() > tasks {
        assert!(Instant::now() < deadline, "tasks are left over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
#[ignore = "needs nats"]
async fn a_message_that_the_engine_does_not_take_is_refused_alone() {
    let engine = Engine::start("large");
    let node = node(&engine.url).await;
    let room = room();
    let listener = Listener::new(&node, &room).await;
    let large = send(&node, &room, &"x".repeat(2 << 20));
    let small = send(&node, &room, "small");
    assert!(matches!(large.await, Err(BrokerError::TooLarge { .. })));
    small.await.unwrap();
    assert!(!listener.until("small").await[0].gap);
}

#[tokio::test]
#[ignore = "needs nats"]
async fn an_engine_that_is_not_there_is_named_without_its_login() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("nats://login:secret@127.0.0.1:{port}");
    let error = NatsBroker::connect(&url, BrokerOptions::default()).await.err().unwrap();
    assert!(matches!(error, ConnectError::Engine { .. }));
    let text = format!("{error} {error:?}");
    assert!(text.contains("127.0.0.1") && !text.contains("secret"), "{text}");
}
