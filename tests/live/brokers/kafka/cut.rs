//! A node whose connections to Kafka are cut, while Kafka goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stompbox::broker::KafkaBroker;
use tokio::net::TcpListener;

use crate::engine::Engine;
use crate::faults::{AWAY, ROOM, check, load};
use crate::listener::{Listener, PATIENCE, publish, send, texts};
use crate::node;
use crate::proxy::Proxy;
use crate::queues::{acknowledge, work, work_at_both, work_until};

const QUEUE: &str = "/queue/work";

/// A Kafka and two nodes, of which the second one has only the proxy.
async fn start(name: &str) -> (Engine, Proxy, [KafkaBroker; 2]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (engine, proxied) = tokio::task::block_in_place(|| Engine::start_behind(name, port));
    let proxy = Proxy::listen(listener, &proxied);
    let nodes = [node(&engine.url).await, node(&proxy.url).await];
    (engine, proxy, nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs kafka"]
async fn a_topic_loses_nothing_and_what_is_sent_meanwhile_goes_out() {
    const CUTS: usize = 5;
    let (_engine, proxy, [here, there]) = start("kafka-cut-topic").await;
    let listeners = [
        Listener::new(&there, ROOM).await,
        Listener::new(&there, "/topic/**").await,
        Listener::new(&here, ROOM).await,
    ];
    let stop = AtomicBool::new(false);
    let disturb = async {
        for cut in 0..CUTS {
            publish(&there, ROOM, &format!("before {cut}")).await.unwrap();
            listeners[0].until(&format!("before {cut}")).await;
            proxy.cut();
            proxy.ended().await;
            let mut held = send(&there, ROOM, &format!("held {cut}"));
            publish(&here, ROOM, &format!("missed {cut}")).await.unwrap();
            proxy.refuses().await;
            assert_eq!(held.take_ready(), None, "it cannot be confirmed");
            proxy.mend();
            tokio::time::timeout(PATIENCE, held).await.expect("an answer").expect("it is held");
            listeners[0].until(&format!("missed {cut}")).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (confirmed, ()) = tokio::join!(load(&there, &stop), disturb);
    publish(&there, ROOM, "end").await.unwrap();
    let last = confirmed.last().copied().unwrap_or_default();
    assert_eq!(confirmed, (0..=last).collect::<Vec<_>>(), "nothing was refused");
    for listener in &listeners {
        let received = listener.until("end").await;
        check(&received, &confirmed);
        let mut others = texts(&received);
        others.retain(|body| body.parse::<u64>().is_err());
        let mut expected: Vec<_> = (0..CUTS)
            .flat_map(|cut| ["before", "held", "missed"].map(|it| format!("{it} {cut}")))
            .chain(["end".to_owned()])
            .collect();
        others.sort_unstable();
        expected.sort_unstable();
        assert_eq!(others, expected, "each came once");
    }
    assert_eq!(there.outgoing(), 0, "nothing stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs kafka"]
async fn a_queue_loses_nothing_and_goes_on_where_it_was() {
    let (_engine, proxy, [here, there]) = start("kafka-cut-queue").await;
    let consumer = Listener::consumer(&there, QUEUE, 5).await;
    for number in 0..10 {
        publish(&here, QUEUE, &number.to_string()).await.unwrap();
    }
    let first = consumer.mailbox.wait_for(5, PATIENCE).await.unwrap();
    proxy.cut();
    proxy.ended().await;
    // What is settled now is committed later.
    acknowledge(&there, &consumer, &first[..3]);
    for number in 10..20 {
        publish(&here, QUEUE, &number.to_string()).await.unwrap();
    }
    let held = send(&there, QUEUE, "held");
    proxy.refuses().await;
    proxy.mend();
    tokio::time::timeout(PATIENCE, held).await.expect("an answer").expect("it is held");
    let all = work_until(&there, &consumer, |came| came.len() == 21).await;
    let mut known = std::collections::HashSet::new();
    for it in all {
        let new = known.insert(it.text());
        assert!(new || it.attempt > 1, "{} came twice and does not say so", it.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs kafka"]
async fn what_a_node_had_that_is_cut_off_for_long_comes_to_another() {
    let (_engine, proxy, nodes) = start("kafka-cut-long").await;
    let [here, there] = &nodes;
    let first = Listener::consumer(there, QUEUE, 3).await;
    let listener = Listener::new(there, ROOM).await;
    for number in 0..10 {
        publish(here, QUEUE, &number.to_string()).await.unwrap();
    }
    let had = first.mailbox.wait_for(3, PATIENCE).await.unwrap();
    proxy.cut();
    proxy.ended().await;
    let began = Instant::now();
    let second = Listener::consumer(here, QUEUE, 20).await;
    publish(here, ROOM, "missed").await.unwrap();
    let refused = tokio::join!(publish(there, QUEUE, "late"), publish(there, ROOM, "late"));
    assert_eq!(refused, (Err(AWAY), Err(AWAY)));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());

    let all = work(here, &second, 10).await;
    assert_eq!(texts(&all), (0..10).map(|it| it.to_string()).collect::<Vec<_>>());
    assert!(all[..3].iter().all(|it| it.attempt > 1), "{all:?}");
    // It is the other one's now, whatever is said of it here.
    acknowledge(there, &first, &had);
    proxy.mend();
    let deadline = Instant::now() + PATIENCE;
    while publish(there, ROOM, "after").await.is_err() {
        assert!(Instant::now() < deadline, "nothing is confirmed any more");
    }
    let received = listener.until("after").await;
    // What was refused may be done all the same, once.
    let mut came = texts(&received);
    came.retain(|body| body != "after");
    assert!(came == ["missed"] || came == ["missed", "late"], "{came:?}");
    assert!(received.iter().all(|it| !it.gap), "{received:?}");
    // And it is given its part of the queue again.
    work_at_both(&nodes, &[second, first], QUEUE).await;
}
