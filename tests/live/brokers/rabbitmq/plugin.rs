//! A client of RabbitMQ's own STOMP plugin, and one of a `stompbox serve` over RabbitMQ.

use crate::client::{Client, header};
use crate::engine::{plugin, url};
use crate::node::unique;
use crate::program::Program;

/// The headers that both ends are to show.
const HEADERS: [&str; 9] = [
    "content-type:text/plain",
    "correlation-id:c-1",
    "reply-to:/queue/answers",
    "priority:4",
    "expiration:60000",
    "persistent:true",
    "type:greeting",
    "app-id:chat",
    "x-colour:blue",
];

#[test]
#[ignore = "needs rabbitmq"]
fn they_chat_in_one_room() {
    let program = Program::start(&url(), &[]);
    let room = unique("/topic/room");
    let key = room.trim_start_matches("/topic/").replace('/', ".");
    let theirs_is_called = format!("/topic/{key}");
    let mut ours = program.connect();
    let mut theirs = Client::connect(&plugin());
    ours.subscribe(&room, "");
    theirs.subscribe(&theirs_is_called, "");

    let headers = HEADERS.join("\n") + "\n";
    let mut our_publisher = program.connect();
    our_publisher.publish(&room, &headers, "from us");
    let mut their_publisher = Client::connect(&plugin());
    let mut received = vec![format!("destination:{room}")];
    received.extend(HEADERS.map(str::to_owned));
    let of_ours: Vec<_> = received.iter().map(String::as_str).collect();
    ours.expect("from us", &of_ours);
    let destination = format!("destination:{theirs_is_called}");
    let of_theirs: Vec<_> = HEADERS.iter().copied().chain([&*destination]).collect();
    theirs.expect("from us", &of_theirs);

    their_publisher.publish(&theirs_is_called, &headers, "from them");
    ours.expect("from them", &of_ours);
    theirs.expect("from them", &of_theirs);
}

#[test]
#[ignore = "needs rabbitmq"]
fn they_listen_to_one_exchange() {
    let program = Program::start(&url(), &[]);
    let exchange = unique("/exchange/amq.direct");
    let (mut ours, mut theirs) = (program.connect(), Client::connect(&plugin()));
    ours.subscribe(&exchange, "");
    theirs.subscribe(&exchange, "");
    for (publisher, body) in [(&program.tcp, "from us"), (&plugin(), "from them")] {
        Client::connect(publisher).publish(&exchange, "", body);
        let destination = format!("destination:{exchange}");
        ours.expect(body, &[&destination]);
        theirs.expect(body, &[&destination]);
    }
}

#[test]
#[ignore = "needs rabbitmq"]
fn they_share_one_queue() {
    let program = Program::start(&url(), &[]);
    let queue = unique("/queue/work");
    let plugins_name =
        format!("/queue/{}", queue.trim_start_matches("/queue/").replace('/', "%2F"));
    let one_at_a_time = "ack:client-individual\nprefetch-count:1\n";
    let mut ours = program.connect();
    let mut theirs = Client::connect(&plugin());
    ours.subscribe(&queue, one_at_a_time);
    theirs.subscribe(&plugins_name, one_at_a_time);
    // Each holds one until it acknowledges it: so of two each gets one.
    let mut publisher = program.connect();
    publisher.publish(&queue, "", "work");
    publisher.publish(&queue, "", "work");
    let message = ours.expect("work", &[&format!("destination:{queue}"), "persistent:true"]);
    theirs.expect("work", &["persistent:true"]);
    // What they do not acknowledge comes to us once we have done ours.
    ours.send(&format!("ACK\nid:{}\n\n", header(&message, "ack")));
    drop(theirs);
    ours.expect("work", &["redelivered:true"]);
}
