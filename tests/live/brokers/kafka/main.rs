//! The broker over Kafka against a real Kafka, which `tests/live/run brokers kafka` starts. The tests of
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
mod cut;
mod engine;
mod faults;
#[path = "../listener.rs"]
mod listener;
mod notes;
#[path = "../program.rs"]
mod program;
mod programs;
#[path = "../proxy.rs"]
mod proxy;
mod queues;
#[path = "../sharing.rs"]
mod sharing;
mod topics;

use stompbox::broker::{BrokerOptions, KafkaBroker};
use stompbox::testkit::BrokerSuite;

use engine::url;

fn options() -> BrokerOptions {
    BrokerOptions::default().rule("/topic/**,history=1000".parse().expect("a rule"))
}

async fn node(url: &str) -> KafkaBroker {
    KafkaBroker::connect(url, options()).await.expect("a Kafka")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kafka"]
async fn it_conforms() {
    let url = url();
    let suite = BrokerSuite::new().with_connections(1_000);
    let report = suite.run(async || node(&url).await).await;
    assert!(report.failures().is_empty(), "{report}");
}
