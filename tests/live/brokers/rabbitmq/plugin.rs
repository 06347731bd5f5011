//! A client of RabbitMQ's own STOMP plugin, and one of a `stompbox serve` over RabbitMQ.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::engine::{plugin, url};
use crate::node::unique;

/// A `stompbox serve`, which ends with this.
struct Program {
    process: Child,
    address: String,
}

impl Program {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stompbox"))
            .args(["serve", "--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0"])
            .env("STOMPBOX_BROKER", url())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.strip_prefix("tcp: ")?.to_owned()));
        Self { process, address: address.expect("the address that it listens on") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A client that knows no more of STOMP than its frames.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        let mut client = Self(BufReader::new(stream));
        client.send("CONNECT\naccept-version:1.2\nhost:127.0.0.1\nlogin:guest\npasscode:guest\n\n");
        assert!(client.receive().starts_with("CONNECTED\n"));
        client
    }

    fn send(&mut self, frame: &str) {
        self.0.get_mut().write_all(format!("{frame}\0").as_bytes()).expect("sent");
    }

    fn receive(&mut self) -> String {
        let mut frame = Vec::new();
        self.0.read_until(0, &mut frame).expect("a frame in time");
        frame.pop();
        String::from_utf8(frame).expect("text").trim_start().to_owned()
    }

    fn subscribe(&mut self, destination: &str, more: &str) {
        self.send(&format!("SUBSCRIBE\nid:0\nreceipt:r\ndestination:{destination}\n{more}\n"));
        assert_eq!(self.receive(), "RECEIPT\nreceipt-id:r\n\n");
    }

    /// Sends, and waits until it is confirmed.
    fn publish(&mut self, destination: &str, more: &str, body: &str) {
        self.send(&format!("SEND\nreceipt:r\ndestination:{destination}\n{more}\n{body}"));
        assert_eq!(self.receive(), "RECEIPT\nreceipt-id:r\n\n");
    }

    /// Receives a message with this body and these headers.
    fn expect(&mut self, body: &str, headers: &[&str]) -> String {
        let message = self.receive();
        assert!(message.starts_with("MESSAGE\n"), "{message}");
        assert!(message.ends_with(&format!("\n\n{body}")), "{message}");
        for header in headers {
            assert!(message.lines().any(|line| line == *header), "{header}: {message}");
        }
        message
    }
}

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
    let program = Program::start();
    let room = unique("/topic/room");
    let key = room.trim_start_matches("/topic/").replace('/', ".");
    let theirs_is_called = format!("/topic/{key}");
    let mut ours = Client::connect(&program.address);
    let mut theirs = Client::connect(&plugin());
    ours.subscribe(&room, "");
    theirs.subscribe(&theirs_is_called, "");

    let headers = HEADERS.join("\n") + "\n";
    let mut our_publisher = Client::connect(&program.address);
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
    let program = Program::start();
    let exchange = unique("/exchange/amq.direct");
    let (mut ours, mut theirs) = (Client::connect(&program.address), Client::connect(&plugin()));
    ours.subscribe(&exchange, "");
    theirs.subscribe(&exchange, "");
    for (publisher, body) in [(&program.address, "from us"), (&plugin(), "from them")] {
        Client::connect(publisher).publish(&exchange, "", body);
        let destination = format!("destination:{exchange}");
        ours.expect(body, &[&destination]);
        theirs.expect(body, &[&destination]);
    }
}

#[test]
#[ignore = "needs rabbitmq"]
fn they_share_one_queue() {
    let program = Program::start();
    let queue = unique("/queue/work");
    let plugins_name =
        format!("/queue/{}", queue.trim_start_matches("/queue/").replace('/', "%2F"));
    let one_at_a_time = "ack:client-individual\nprefetch-count:1\n";
    let mut ours = Client::connect(&program.address);
    let mut theirs = Client::connect(&plugin());
    ours.subscribe(&queue, one_at_a_time);
    theirs.subscribe(&plugins_name, one_at_a_time);
    // Each holds one until it acknowledges it: so of two each gets one.
    let mut publisher = Client::connect(&program.address);
    publisher.publish(&queue, "", "work");
    publisher.publish(&queue, "", "work");
    let message = ours.expect("work", &[&format!("destination:{queue}"), "persistent:true"]);
    theirs.expect("work", &["persistent:true"]);
    // What they do not acknowledge comes to us once we have done ours.
    let ack = message.lines().find_map(|line| line.strip_prefix("ack:")).expect("an ack header");
    ours.send(&format!("ACK\nid:{ack}\n\n"));
    drop(theirs);
    ours.expect("work", &["redelivered:true"]);
}
