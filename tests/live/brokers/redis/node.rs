//! A node over Redis, and those who use it.

#[path = "../node.rs"]
mod any;

use stompbox::broker::{BrokerOptions, RedisBroker};

pub(crate) use any::{Consumer, PATIENCE, bodies, destination, unique, until};

pub(crate) type Node = any::Node<RedisBroker>;

impl Node {
    /// A node where what is below `/topic/kept` is kept.
    pub(crate) async fn start(url: &str) -> Self {
        let rule = "/topic/kept/**,history=10000,history-bytes=64MiB".parse().expect("a rule");
        let options = BrokerOptions::default().rule(rule);
        Self::new(RedisBroker::connect(url, options).await.expect("a Redis"))
    }
}
