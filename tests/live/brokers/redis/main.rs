//! The broker over Redis against a real Redis, which `tests/live/run brokers redis` starts.
#![allow(clippy::expect_used, clippy::panic, reason = "a helper of a test fails by panicking")]

#[path = "../client.rs"]
mod client;
mod engine;
mod faults;
mod node;
mod nodes;
#[path = "../program.rs"]
mod program;
mod queue_faults;
mod queues;
#[path = "../sharing.rs"]
mod sharing;
mod upstreams;

use stompbox::broker::{BrokerOptions, RedisBroker};
use stompbox::testkit::BrokerSuite;

use engine::url;

#[tokio::test]
#[ignore = "needs redis"]
async fn it_conforms() {
    let url = url();
    let make = async || {
        let rule = "/topic/**,history=1000".parse().expect("a rule");
        let options = BrokerOptions::default().rule(rule);
        RedisBroker::connect(&url, options).await.expect("a Redis")
    };
    let report = BrokerSuite::new().run(make).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.skipped().is_empty(), "{report}");
}

#[tokio::test]
#[ignore = "needs redis"]
async fn without_history_that_is_refused() {
    let url = url();
    let make =
        async || RedisBroker::connect(&url, BrokerOptions::default()).await.expect("a Redis");
    let report = BrokerSuite::new().with_connections(100).run(make).await;
    assert!(report.failures().is_empty(), "{report}");
}
