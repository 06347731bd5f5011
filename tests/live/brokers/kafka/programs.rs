//! `stompbox serve` on two nodes.

use std::time::{Duration, Instant};

use crate::client::header;
use crate::engine::url;
use crate::listener::unique;
use crate::program::Program;
use crate::sharing::two_programs_share;

#[test]
#[ignore = "needs kafka"]
fn two_programs_share_a_room() {
    let url = format!("{}?topic={}", url(), unique("programs"));
    two_programs_share(&url, "/topic/room/5");
    let program = Program::start(&url, &[]);
    let mut refused = program.connect();
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
        sends.publish("/queue/work", "", body);
    }
    let first = works.expect("0", &[]);
    assert!(!first.contains("\nredelivered:"), "{first}");
    works.send(&format!("ACK\nid:{}\nreceipt:a\n\n", header(&first, "ack")));
    while !works.receive().starts_with("RECEIPT\n") {}
    drop(dies);
    let mut takes_over = lives.connect();
    takes_over.subscribe("/queue/work", "ack:client-individual\n");
    let mut message = takes_over.receive();
    // It died so soon after its ACK that this may not have been committed.
    if message.ends_with("\n\n0") {
        assert_eq!(header(&message, "redelivered"), "true", "{message}");
        message = takes_over.receive();
    }
    assert!(message.ends_with("\n\n1"), "{message}");
    assert_eq!(header(&message, "redelivered"), "true", "{message}");
    takes_over.expect("2", &["redelivered:true"]);
}

#[test]
#[ignore = "needs kafka"]
fn what_a_program_had_that_is_interrupted_comes_to_another_at_once() {
    /// After this time Kafka would notice by itself.
    const SESSION: Duration = Duration::from_secs(10);
    let url = format!("{}?topic={}", url(), unique("interrupted"));
    let (mut ends, stays) = (Program::start(&url, &[]), Program::start(&url, &[]));
    let (mut works, mut sends) = (ends.connect(), stays.connect());
    works.subscribe("/queue/work", "ack:client-individual\n");
    for body in ["0", "1"] {
        sends.publish("/queue/work", "", body);
    }
    let first = works.expect("0", &[]);
    works.send(&format!("ACK\nid:{}\nreceipt:a\n\n", header(&first, "ack")));
    while !works.receive().starts_with("RECEIPT\n") {}
    drop(works);
    ends.terminate();
    let ended = Instant::now();
    let mut takes_over = stays.connect();
    takes_over.subscribe("/queue/work", "ack:client-individual\n");
    takes_over.expect("1", &["redelivered:true"]);
    assert!(ended.elapsed() < SESSION / 2, "after {:?}", ended.elapsed());
}
