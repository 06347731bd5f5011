use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::cluster::Kind;
use crate::engine::Engine;

pub(crate) const KIND: Kind =
    Kind { script: "kafka", url: "KAFKA_URL", upstreams, sent_bytes, reads_all: true };

/// The nodes that consume from queues. For topics there is nothing to count: each node reads all of
/// them, whoever listens.
fn upstreams(engine: &Engine) -> usize {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", engine.url.replace("kafka://", ""));
    let client: BaseConsumer = config.create().expect("a client");
    let groups = client.fetch_group_list(Some("stompbox-queues"), Duration::from_secs(10));
    let groups = groups.expect("the groups");
    groups.groups().iter().map(|group| group.members().len()).sum()
}

/// What it has written, to its log as well: a message once, and once to each node.
fn sent_bytes(engine: &Engine) -> u64 {
    let process = std::fs::read_to_string(engine.file("process")).expect("its process");
    let said = std::fs::read_to_string(format!("/proc/{}/io", process.trim())).expect("it runs");
    let written = said.lines().find_map(|line| line.strip_prefix("wchar: "));
    written.and_then(|bytes| bytes.parse().ok()).expect("how much it has written")
}
