//! Two programs that share a room, as docs/brokers.md starts them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::engine::{setting, url};
use crate::node::{PATIENCE, unique};

/// A `stompbox serve`, which ends with this.
struct Program {
    process: Child,
    address: String,
}

impl Program {
    fn start(url: &str, environment: &[(&str, String)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stompbox"))
            .args(["serve", "--ws", "127.0.0.1:0", "--tcp", "127.0.0.1:0"])
            .env("STOMPBOX_BROKER", url)
            .envs(environment.iter().cloned())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.strip_prefix("tcp: ")?.to_owned()));
        Self { process, address: address.expect("the address that it listens on") }
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let status = kill.args(["-s", signal, &self.process.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
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

    fn subscribe(&mut self, room: &str, more: &str) {
        self.send(&format!("SUBSCRIBE\nid:0\nreceipt:r\ndestination:{room}\n{more}\n"));
        assert!(self.receive().starts_with("RECEIPT\n"));
    }

    fn publish(&mut self, room: &str, body: &str) {
        self.send(&format!("SEND\nreceipt:r\ndestination:{room}\n\n{body}"));
    }
}

#[test]
#[ignore = "needs redis"]
fn two_programs_share_a_room() {
    let (here, there) = (Program::start(&url(), &[]), Program::start(&url(), &[]));
    let room = unique("/topic/room");
    let (mut one, mut other) = (here.connect(), there.connect());
    one.subscribe(&room, "");
    other.publish(&room, "hello");
    assert!(other.receive().starts_with("RECEIPT\n"));
    let message = one.receive();
    assert!(message.starts_with("MESSAGE\n") && message.ends_with("\n\nhello"), "{message}");

    // Whoever goes on on another node, after the token that it had, misses nothing.
    let token =
        message.lines().find(|line| line.starts_with("token:")).expect("a token").to_owned();
    drop((one, here));
    other.publish(&room, "meanwhile");
    assert!(other.receive().starts_with("RECEIPT\n"));
    let mut again = there.connect();
    let since = token.replace("token:", "since:");
    again.subscribe(&room, &format!("{since}\n"));
    let message = again.receive();
    assert!(message.ends_with("\n\nmeanwhile") && !message.contains("gap:"), "{message}");
}

#[test]
#[ignore = "needs redis"]
fn what_a_program_that_is_killed_had_comes_to_another() {
    let (mut here, there) = (Program::start(&url(), &[]), Program::start(&url(), &[]));
    let queue = unique("/queue/work");
    let (mut one, mut other) = (here.connect(), there.connect());
    one.subscribe(&queue, "ack:client-individual\n");
    other.publish(&queue, "hello");
    assert!(other.receive().starts_with("RECEIPT\n"));
    let message = one.receive();
    assert!(message.ends_with("\n\nhello") && !message.contains("redelivered:"), "{message}");
    here.process.kill().expect("killed");
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
    other.publish(&queue, "hello");
    assert!(other.receive().starts_with("RECEIPT\n"));
    let first = one.receive();
    here.signal("STOP");
    other.subscribe(&queue, "");
    let message = other.receive();
    assert!(message.contains("redelivered:true\n") && message.ends_with("\n\nhello"), "{message}");
    other.send("UNSUBSCRIBE\nid:0\nreceipt:r\n\n");
    assert!(other.receive().starts_with("RECEIPT\n"));
    here.signal("CONT");
    // It is done already, and this says nothing against that.
    let ack = first.lines().find_map(|line| line.strip_prefix("ack:")).expect("an ack header");
    one.send(&format!("ACK\nid:{ack}\nreceipt:r\n\n"));
    assert!(one.receive().starts_with("RECEIPT\n"));
    other.publish(&queue, "next");
    assert!(other.receive().starts_with("RECEIPT\n"));
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
    let reply_to = question.lines().find_map(|line| line.strip_prefix("reply-to:"));
    let reply_to = reply_to.expect("an address for the reply");
    answers.publish(reply_to, "so");
    assert!(answers.receive().starts_with("RECEIPT\n"));
    let reply = asks.receive();
    assert!(reply.ends_with("\n\nso"), "{reply}");
    // A reply that comes too late costs nobody anything.
    drop((asks, here));
    answers.publish(reply_to, "late");
    assert!(answers.receive().starts_with("RECEIPT\n"));
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
    other.publish(&room, "hello");
    assert!(other.receive().starts_with("RECEIPT\n"));
    assert!(one.receive().ends_with("\n\nhello"));
}
