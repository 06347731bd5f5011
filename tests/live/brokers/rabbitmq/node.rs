//! A node over RabbitMQ, and those who use it.

#[path = "../node.rs"]
mod any;

use stompbox::broker::{BrokerOptions, RabbitMqBroker};

pub(crate) use any::{Consumer, PATIENCE, bodies, unique, until};

pub(crate) type Node = any::Node<RabbitMqBroker>;

impl Node {
    pub(crate) async fn start(url: &str) -> Self {
        let broker = RabbitMqBroker::connect(url, BrokerOptions::default()).await;
        Self::new(broker.expect("a RabbitMQ"))
    }
}
