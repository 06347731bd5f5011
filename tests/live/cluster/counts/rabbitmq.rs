use crate::cluster::Kind;
use crate::engine::Engine;

pub(crate) const KIND: Kind =
    Kind { script: "rabbitmq", url: "RABBITMQ_AMQP", upstreams, sent_bytes, reads_all: false };

/// The bindings of topics, each for each node, and the nodes' consumers of queues.
fn upstreams(engine: &Engine) -> usize {
    let bindings = asked(engine, ["list_bindings", "source_name"]);
    let topics = bindings.lines().filter(|line| line.trim() == "amq.topic").count();
    // Those of the nodes themselves, for all of their topics, have names that RabbitMQ has made.
    let consumers = asked(engine, ["list_consumers", "queue_name"]);
    let queues = consumers.lines().filter(|line| !line.starts_with("amq.gen-"));
    topics + queues.filter(|line| !line.is_empty()).count()
}

fn sent_bytes(engine: &Engine) -> u64 {
    let connections = asked(engine, ["list_connections", "send_oct"]);
    connections.lines().filter_map(|line| line.trim().parse::<u64>().ok()).sum()
}

fn asked(engine: &Engine, [command, column]: [&str; 2]) -> String {
    // The virtual host of the script has the name of its address.
    engine.call(&["ctl", command, "--vhost", "127.0.0.1", "--no-table-headers", column])
}
