use std::process::Command;

use crate::cluster::Kind;
use crate::engine::Engine;

pub(crate) const KIND: Kind =
    Kind { script: "redis", url: "REDIS_URL", upstreams, sent_bytes, reads_all: false };

/// Each channel counts for each node, and so does each pattern; of queues those who wait for more.
fn upstreams(engine: &Engine) -> usize {
    let channels = ask(engine, &["PUBSUB", "CHANNELS", "stompbox:/*"]);
    let mut listeners = 0;
    for channel in channels.lines() {
        let counted = ask(engine, &["PUBSUB", "NUMSUB", channel]);
        listeners += number(counted.lines().nth(1).expect("a number"));
    }
    let patterns = ask(engine, &["PUBSUB", "NUMPAT"]);
    listeners + number(patterns.trim())
}

fn sent_bytes(engine: &Engine) -> u64 {
    let said = ask(engine, &["INFO", "stats"]);
    let sent = said.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    number(sent.expect("how much it has sent").trim()) as u64
}

fn ask(engine: &Engine, command: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-u", &engine.url]).args(command).output();
    let output = output.expect("redis-cli");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}
