//! `stompbox serve` on two nodes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::listener::unique;
use crate::url;

/// A `stompbox serve`, which ends with this as a crash would end it.
struct Program {
    process: Child,
    address: String,
}

impl Program {
    fn start(url: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stompbox"))
            .args(["serve", "--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--broker", url])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.strip_prefix("tcp: ")?.to_owned()));
        Self { process, address: address.expect("the address that it listens on") }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(40))).expect("a time-out");
        let mut client = Client(BufReader::new(stream));
        client.send("CONNECT\naccept-version:1.2\nhost:localhost\nheart-beat:0,0\n\n");
        assert!(client.receive().starts_with("CONNECTED\n"));
        client
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn send(&mut self, frame: &str) {
        self.0.get_mut().write_all(format!("{frame}\0").as_bytes()).expect("sent");
    }

    fn receive(&mut self) -> String {
        let mut frame = Vec::new();
        self.0.read_until(0, &mut frame).expect("a frame in time");
        let frame = String::from_utf8(frame).expect("text");
        frame.trim_start().trim_end_matches('\0').to_owned()
    }

    fn subscribe(&mut self, to: &str, more: &str) {
        self.send(&format!("SUBSCRIBE\nid:0\nreceipt:r\ndestination:{to}\n{more}\n"));
        assert!(self.receive().starts_with("RECEIPT\n"));
    }

    fn publish(&mut self, to: &str, body: &str) {
        self.send(&format!("SEND\nreceipt:r\ndestination:{to}\n\n{body}"));
        assert!(self.receive().starts_with("RECEIPT\n"));
    }
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\n\n").next()?;
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

#[test]
#[ignore = "needs kafka"]
fn two_programs_share_a_room() {
    let url = format!("{}?topic={}", url(), unique("programs"));
    let (here, there) = (Program::start(&url), Program::start(&url));
    let room = "/topic/room/5";
    let (mut one, mut other) = (here.connect(), there.connect());
    one.subscribe(room, "");
    other.publish(room, "hello");
    let message = one.receive();
    assert!(message.starts_with("MESSAGE\n") && message.ends_with("\n\nhello"), "{message}");

    // Whoever goes on on another node, after the token that it had, misses nothing.
    let token = header(&message, "token").expect("a token").to_owned();
    drop((one, here));
    other.publish(room, "meanwhile");
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
    let (dies, lives) = (Program::start(&url), Program::start(&url));
    let (mut works, mut sends) = (dies.connect(), lives.connect());
    works.subscribe("/queue/work", "ack:client-individual\n");
    for body in ["0", "1", "2"] {
        sends.publish("/queue/work", body);
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
