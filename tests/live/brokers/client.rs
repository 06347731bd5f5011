//! A client of STOMP over TCP.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::program::Program;

/// A client that knows no more of STOMP than its frames.
pub(crate) struct Client(BufReader<TcpStream>);

#[allow(dead_code, reason = "not every engine's tests do everything with it")]
impl Client {
    /// Connects to a server, which may be RabbitMQ's own STOMP plugin: hence a login.
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        let mut client = Self(BufReader::new(stream));
        client.send("CONNECT\naccept-version:1.2\nhost:127.0.0.1\nlogin:guest\npasscode:guest\n\n");
        assert!(client.receive().starts_with("CONNECTED\n"));
        client
    }

    pub(crate) fn send(&mut self, frame: &str) {
        self.0.get_mut().write_all(format!("{frame}\0").as_bytes()).expect("sent");
    }

    pub(crate) fn receive(&mut self) -> String {
        let mut frame = Vec::new();
        self.0.read_until(0, &mut frame).expect("a frame in time");
        frame.pop();
        String::from_utf8(frame).expect("text").trim_start().to_owned()
    }

    pub(crate) fn subscribe(&mut self, destination: &str, more: &str) {
        self.send(&format!("SUBSCRIBE\nid:0\nreceipt:r\ndestination:{destination}\n{more}\n"));
        assert_eq!(self.receive(), "RECEIPT\nreceipt-id:r\n\n");
    }

    /// Sends, and waits until it is confirmed.
    pub(crate) fn publish(&mut self, destination: &str, more: &str, body: &str) {
        self.send(&format!("SEND\nreceipt:r\ndestination:{destination}\n{more}\n{body}"));
        assert_eq!(self.receive(), "RECEIPT\nreceipt-id:r\n\n");
    }

    /// Receives a message with this body and these headers.
    pub(crate) fn expect(&mut self, body: &str, headers: &[&str]) -> String {
        let message = self.receive();
        assert!(message.starts_with("MESSAGE\n"), "{message}");
        assert!(message.ends_with(&format!("\n\n{body}")), "{message}");
        for header in headers {
            assert!(message.lines().any(|line| line == *header), "{header}: {message}");
        }
        message
    }
}

impl Program {
    /// Connects a client over TCP.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(&self.tcp)
    }
}

/// The value of a header of a frame.
#[allow(dead_code, reason = "not every engine's tests look at one")]
pub(crate) fn header<'a>(frame: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    frame.lines().find_map(value).unwrap_or_else(|| panic!("no {name}: {frame}"))
}
