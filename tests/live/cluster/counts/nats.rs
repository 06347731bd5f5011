use crate::cluster::Kind;
use crate::engine::Engine;
use crate::nats_monitor;

pub(crate) const KIND: Kind =
    Kind { script: "nats", url: "NATS_URL", upstreams, sent_bytes, reads_all: false };

/// The subjects of topics, each for each node, and the nodes that wait for messages of queues.
fn upstreams(engine: &Engine) -> usize {
    let connections = nats_monitor::ask(&engine.settings, "/connz?subs=1");
    let topics = connections.lines().filter(|line| line.trim().starts_with("\"topic."));
    let streams = nats_monitor::ask(&engine.settings, "/jsz?consumers=1");
    topics.count() + numbers(&streams, "num_waiting").sum::<usize>()
}

fn sent_bytes(engine: &Engine) -> u64 {
    let all = nats_monitor::ask(&engine.settings, "/varz");
    numbers(&all, "out_bytes").next().expect("how much it has sent") as u64
}

/// The values of all members of this name.
fn numbers<'a>(json: &'a str, name: &str) -> impl Iterator<Item = usize> + use<'a> {
    let before = format!("\"{name}\": ");
    json.lines().filter_map(move |line| {
        let value = line.trim().strip_prefix(&before)?;
        value.trim_end_matches(',').parse().ok()
    })
}
