//! `stompbox serve` on two nodes.

use std::time::Duration;

use crate::engine::url;
use crate::listener::unique;
use crate::program::{Client, Program};

/// Sends something, and waits until it is confirmed.
fn publish(client: &mut Client, to: &str, body: &str) {
    client.publish(to, body);
    assert!(client.receive().starts_with("RECEIPT\n"));
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\n\n").next()?;
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

#[test]
#[ignore = "needs kafka"]
fn two_programs_share_a_room() {
    let url = format!("{}?topic={}", url(), unique("programs"));
    let (here, there) = (Program::start(&url, &[]), Program::start(&url, &[]));
    let room = "/topic/room/5";
    let (mut one, mut other) = (here.connect(), there.connect());
    one.subscribe(room, "");
    publish(&mut other, room, "hello");
    let message = one.receive();
    assert!(message.starts_with("MESSAGE\n") && message.ends_with("\n\nhello"), "{message}");

    // Whoever goes on on another node, after the token that it had, misses nothing.
    let token = header(&message, "token").expect("a token").to_owned();
    drop((one, here));
    publish(&mut other, room, "meanwhile");
    let mut again = there.connect();
    again.subscribe(room, &format!("since:{token}\n"));
    let message = again.receive();
    assert!(message.ends_with("\n\nmeanwhile") && !message.contains("gap:"), "{message}");
    let mut refused = there.connect();
    refused.send("SUBSCRIBE\nid:0\ndestination:/queue/*\n\n");
    let error = refused.receive();
    assert!(error.starts_with("ERROR\n") && error.contains("not supported"), "{error}");
}

#[test]
#[ignore = "needs kafka"]
fn what_a_killed_program_had_comes_to_another() {
    let url = format!("{}?topic={}", url(), unique("killed"));
    let (dies, lives) = (Program::start(&url, &[]), Program::start(&url, &[]));
    let (mut works, mut sends) = (dies.connect(), lives.connect());
    works.subscribe("/queue/work", "ack:client-individual\n");
    for body in ["0", "1", "2"] {
        publish(&mut sends, "/queue/work", body);
    }
    let first = works.receive();
    assert!(first.ends_with("\n\n0") && header(&first, "redelivered").is_none(), "{first}");
    let acknowledged = header(&first, "ack").expect("an id").to_owned();
    works.send(&format!("ACK\nid:{acknowledged}\nreceipt:a\n\n"));
    while !works.receive().starts_with("RECEIPT\n") {}
    // It is committed a moment later.
    std::thread::sleep(Duration::from_secs(1));
    drop(dies);
    let mut takes_over = lives.connect();
    takes_over.subscribe("/queue/work", "ack:client-individual\n");
    for body in ["1", "2"] {
        let message = takes_over.receive();
        assert!(message.ends_with(&format!("\n\n{body}")), "{message}");
        assert_eq!(header(&message, "redelivered"), Some("true"), "{message}");
    }
}
