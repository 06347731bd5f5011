//! Two programs that share a room, as docs/brokers.md starts them.

use crate::client::header;
use crate::engine::{setting, url};
use crate::node::unique;
use crate::program::Program;
use crate::sharing::two_programs_share;

#[test]
#[ignore = "needs redis"]
fn two_programs_share_a_room() {
    two_programs_share(&url(), &unique("/topic/room"));
}

#[test]
#[ignore = "needs redis"]
fn what_a_program_that_is_killed_had_comes_to_another() {
    let (mut here, there) = (Program::start(&url(), &[]), Program::start(&url(), &[]));
    let queue = unique("/queue/work");
    let (mut one, mut other) = (here.connect(), there.connect());
    one.subscribe(&queue, "ack:client-individual\n");
    other.publish(&queue, "", "hello");
    let message = one.receive();
    assert!(message.ends_with("\n\nhello") && !message.contains("redelivered:"), "{message}");
    here.kill();
    other.subscribe(&queue, "");
    let message = other.receive();
    assert!(message.ends_with("\n\nhello"), "{message}");
    assert!(message.contains("redelivered:true\ndelivery-count:2\n"), "{message}");
}

/// It is taken for dead, and is not.
#[test]
#[ignore = "needs redis"]
fn what_a_program_that_hangs_had_comes_to_another_and_it_goes_on_afterwards() {
    let (here, there) = (Program::start(&url(), &[]), Program::start(&url(), &[]));
    let queue = unique("/queue/work");
    let (mut one, mut other) = (here.connect(), there.connect());
    one.subscribe(&queue, "ack:client-individual\n");
    other.publish(&queue, "", "hello");
    let first = one.receive();
    here.signal("STOP");
    other.subscribe(&queue, "");
    let message = other.receive();
    assert!(message.contains("redelivered:true\n") && message.ends_with("\n\nhello"), "{message}");
    other.send("UNSUBSCRIBE\nid:0\nreceipt:r\n\n");
    assert!(other.receive().starts_with("RECEIPT\n"));
    here.signal("CONT");
    // It is done already, and this says nothing against that.
    one.send(&format!("ACK\nid:{}\nreceipt:r\n\n", header(&first, "ack")));
    assert!(one.receive().starts_with("RECEIPT\n"));
    other.publish(&queue, "", "next");
    let message = one.receive();
    assert!(message.ends_with("\n\nnext") && !message.contains("redelivered:"), "{message}");
}

#[test]
#[ignore = "needs redis"]
fn a_reply_reaches_a_client_of_another_program() {
    let (here, there) = (Program::start(&url(), &[]), Program::start(&url(), &[]));
    let queue = unique("/queue/questions");
    let (mut asks, mut answers) = (here.connect(), there.connect());
    answers.subscribe(&queue, "");
    asks.send(&format!("SEND\ndestination:{queue}\nreply-to:/temp-queue/answers\n\nhow?"));
    let question = answers.receive();
    let reply_to = header(&question, "reply-to");
    answers.publish(reply_to, "", "so");
    let reply = asks.receive();
    assert!(reply.ends_with("\n\nso"), "{reply}");
    // A reply that comes too late costs nobody anything.
    drop((asks, here));
    answers.publish(reply_to, "", "late");
}

#[test]
#[ignore = "needs redis"]
fn one_of_them_may_speak_tls() {
    let trusted = [("SSL_CERT_FILE", setting("REDIS_CERTIFICATE"))];
    let secure = Program::start(&setting("REDIS_TLS_URL"), &trusted);
    let plain = Program::start(&url(), &[]);
    let room = unique("/topic/room");
    let (mut one, mut other) = (secure.connect(), plain.connect());
    one.subscribe(&room, "");
    other.publish(&room, "", "hello");
    assert!(one.receive().ends_with("\n\nhello"));
}
