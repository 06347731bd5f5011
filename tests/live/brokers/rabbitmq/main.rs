//! The broker over RabbitMQ against a real RabbitMQ, which `tests/live/run brokers rabbitmq` starts.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails by panicking"
)]

#[path = "../client.rs"]
mod client;
mod cut;
mod engine;
mod exchanges;
mod faults;
mod leaving;
mod node;
mod plugin;
mod prefetch;
#[path = "../program.rs"]
mod program;
#[path = "../proxy.rs"]
mod proxy;
mod refusals;
mod replies;
mod returned;
mod taken_back;
mod tls;
mod upstreams;

use stompbox::broker::{BrokerOptions, RabbitMqBroker};
use stompbox::testkit::BrokerSuite;

async fn broker() -> RabbitMqBroker {
    RabbitMqBroker::connect(&engine::url(), BrokerOptions::default()).await.expect("a RabbitMQ")
}

#[tokio::test]
#[ignore = "needs rabbitmq"]
async fn it_conforms() {
    let report = BrokerSuite::new().run(broker).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.skipped().iter().all(|case| case.starts_with("history: ")), "{report}");
}
