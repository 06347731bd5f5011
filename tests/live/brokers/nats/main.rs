//! The broker over NATS against a real NATS, which `tests/live/run brokers nats` starts. The tests of
//! faults start one of their own, which they may kill.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking"
)]

#[path = "../client.rs"]
mod client;
mod cluster;
mod engine;
mod faults;
mod held;
mod history;
#[path = "../listener.rs"]
mod listener;
mod missed;
#[path = "../nats_monitor.rs"]
mod nats_monitor;
mod nodes;
mod patterns;
#[path = "../program.rs"]
mod program;
mod programs;
#[path = "../proxy.rs"]
mod proxy;
mod queues;
mod rooms;
#[path = "../sharing.rs"]
mod sharing;

use stompbox::broker::{BrokerOptions, NatsBroker};
use stompbox::testkit::BrokerSuite;

use engine::url;

async fn node(url: &str) -> NatsBroker {
    NatsBroker::connect(url, BrokerOptions::default()).await.expect("a NATS")
}

#[tokio::test]
#[ignore = "needs nats"]
async fn it_conforms() {
    let url = url();
    // A queue that is left waits for what it has asked for, at most a second in each of the rounds.
    let suite = BrokerSuite::new().with_connections(1_000);
    let report = suite.run(async || node(&url).await).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.skipped().iter().all(|case| case.starts_with("history: ")), "{report}");
}

/// A node where what is below `/topic/kept` is kept.
async fn keeping_node(url: &str) -> NatsBroker {
    let rule = "/topic/kept/**,history=1000,history-bytes=16MiB".parse().expect("a rule");
    let options = BrokerOptions::default().rule(rule);
    NatsBroker::connect(url, options).await.expect("a NATS")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nats"]
async fn it_conforms_where_topics_are_kept() {
    let url = url();
    let suite = BrokerSuite::new().with_topics("/topic/kept").with_connections(1_000);
    let report = suite.run(async || keeping_node(&url).await).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.skipped().is_empty(), "{report}");
}

#[tokio::test]
#[ignore = "needs nats"]
async fn it_conforms_below_a_prefix() {
    let url = format!("{}/?prefix=some.where", url());
    let suite = BrokerSuite::new().with_topics("/topic/kept").with_connections(100);
    let report = suite.run(async || keeping_node(&url).await).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.skipped().is_empty(), "{report}");
}
