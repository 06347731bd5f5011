//! The floor: a server that does nothing but move bytes, on one thread and one epoll loop.
//!
//! It validates nothing, finds headers by substring, knows neither limits nor slow consumers nor ACK,
//! and gives the messages of a queue to its consumers in turn. What it does is real: one copy a
//! delivery into the subscriber's buffer, one write a connection and turn of the loop.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use sha1::{Digest, Sha1};

use crate::stomp::{body, header};
use crate::websocket::{self, CLOSE, put_text_head, unmask};

/// Serves on this address, for ever.
pub fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut floor = Floor { epoll, ..Floor::new()? };
    let mut events = vec![EpollEvent::empty(); 1024];
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match floor.epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(nix::Error::EINTR) => 0,
            result => result?,
        };
        for event in &events[..count] {
            match event.data() {
                LISTENER => floor.accept(&listener)?,
                number => floor.ready(number as usize, event.events(), &mut buffer)?,
            }
        }
        for number in std::mem::take(&mut floor.touched) {
            floor.flush(number)?;
        }
    }
}

/// Stands for the listener among the connections.
const LISTENER: u64 = u64::MAX;

struct Floor {
    epoll: Epoll,
    /// By their number; `None` where one has ended.
    connections: Vec<Option<Connection>>,
    destinations: HashMap<Vec<u8>, Destination>,
    /// Who has something to be written.
    touched: Vec<usize>,
    /// Buffers that nobody needs now: idle connections have none.
    spare: Vec<Vec<u8>>,
    /// What all copies of a message share.
    shared: Vec<u8>,
    messages: u64,
}

struct Connection {
    stream: TcpStream,
    upgraded: bool,
    /// What was read of a frame that is not complete.
    input: Vec<u8>,
    output: Vec<u8>,
    /// Whether `output` waits for the socket.
    blocked: bool,
}

#[derive(Default)]
struct Destination {
    /// The connection, and what its MESSAGE frames begin with.
    subscribers: Vec<(usize, Vec<u8>)>,
    turn: usize,
}

impl Floor {
    fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            connections: Vec::new(),
            destinations: HashMap::new(),
            touched: Vec::new(),
            spare: Vec::new(),
            shared: Vec::new(),
            messages: 0,
        })
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let number = self.connections.len() as u64;
            self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
            let (input, output) = (Vec::new(), Vec::new());
            let connection = Connection { stream, upgraded: false, input, output, blocked: false };
            self.connections.push(Some(connection));
        }
    }

    fn ready(&mut self, number: usize, flags: EpollFlags, buffer: &mut [u8]) -> io::Result<()> {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.flush(number)?;
        }
        let Some(connection) = &mut self.connections[number] else { return Ok(()) };
        if (flags - EpollFlags::EPOLLOUT).is_empty() {
            return Ok(());
        }
        let length = match connection.stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Ok(0) | Err(_) => {
                self.end(number);
                return Ok(());
            }
            Ok(length) => length,
        };
        let mut input = std::mem::take(&mut connection.input);
        if input.is_empty() {
            let used = self.bytes(number, &mut buffer[..length]);
            input.extend_from_slice(&buffer[used..length]);
        } else {
            input.extend_from_slice(&buffer[..length]);
            let used = self.bytes(number, &mut input);
            input.drain(..used);
        }
        if let Some(connection) = &mut self.connections[number] {
            connection.input = input;
        }
        Ok(())
    }

    /// Does all complete frames; returns how many bytes that were.
    fn bytes(&mut self, number: usize, bytes: &mut [u8]) -> usize {
        let mut used = 0;
        if let Some(connection) = &mut self.connections[number]
            && !connection.upgraded
        {
            let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return 0 };
            connection.upgraded = true;
            self.output(number).extend_from_slice(&response(&bytes[..end]));
            used = end + 4;
        }
        while let Some(head) = websocket::head(&bytes[used..]) {
            let payload = &mut bytes[used + head.start..used + head.end];
            unmask(payload, head.key.unwrap_or_default());
            if head.opcode < CLOSE && payload.len() > 1 {
                self.frame(number, payload);
            }
            used += head.end;
        }
        used
    }

    fn frame(&mut self, number: usize, frame: &[u8]) {
        if frame.starts_with(b"SEND") {
            self.publish(frame);
        } else if frame.starts_with(b"SUBSCRIBE")
            && let Some(destination) = header(frame, "\ndestination:")
            && let Some(id) = header(frame, "\nid:")
        {
            let begin = [b"MESSAGE\nsubscription:", id, b"\n"].concat();
            let destination = self.destinations.entry(destination.to_vec()).or_default();
            destination.subscribers.push((number, begin));
        } else if frame.starts_with(b"CONNECT") {
            self.reply(number, b"CONNECTED\nversion:1.2\n\n\0");
        }
        if let Some(receipt) = header(frame, "\nreceipt:") {
            self.reply(number, &[b"RECEIPT\nreceipt-id:", receipt, b"\n\n\0"].concat());
        }
    }

    fn reply(&mut self, number: usize, frame: &[u8]) {
        let output = self.output(number);
        put_text_head(output, frame.len());
        output.extend_from_slice(frame);
    }

    fn publish(&mut self, frame: &[u8]) {
        let Some(name) = header(frame, "\ndestination:") else { return };
        let Some(destination) = self.destinations.get_mut(name) else { return };
        let all = destination.subscribers.len();
        let mut to = 0..all;
        self.messages += 1;
        let shared = &mut self.shared;
        shared.clear();
        if name.starts_with(b"/queue/") && all > 0 {
            to = destination.turn % all..destination.turn % all + 1;
            destination.turn += 1;
            shared.extend_from_slice(format!("ack:{}\n", self.messages).as_bytes());
        }
        let body = body(frame); // With its NUL.
        let lines = format!("message-id:{}\ncontent-length:{}\n", self.messages, body.len() - 1);
        for part in [lines.as_bytes(), b"destination:", name, b"\n\n", body] {
            shared.extend_from_slice(part);
        }
        for (number, begin) in &destination.subscribers[to] {
            if let Some(connection) = &mut self.connections[*number] {
                let output = connection.output(*number, &mut self.touched, &mut self.spare);
                put_text_head(output, begin.len() + shared.len());
                output.extend_from_slice(begin);
                output.extend_from_slice(shared);
            }
        }
    }

    fn output(&mut self, number: usize) -> &mut Vec<u8> {
        let connection = self.connections[number].as_mut().expect("it was just read from");
        connection.output(number, &mut self.touched, &mut self.spare)
    }

    fn flush(&mut self, number: usize) -> io::Result<()> {
        let Some(connection) = &mut self.connections[number] else { return Ok(()) };
        match connection.stream.write(&connection.output) {
            Ok(written) if written == connection.output.len() => {
                connection.output.clear();
                self.spare.push(std::mem::take(&mut connection.output));
            }
            Ok(written) => drop(connection.output.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {
                self.end(number);
                return Ok(());
            }
        }
        let blocked = !connection.output.is_empty();
        if connection.blocked != blocked {
            connection.blocked = blocked;
            let flags = if blocked { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            let mut event = EpollEvent::new(flags | EpollFlags::EPOLLIN, number as u64);
            self.epoll.modify(&connection.stream, &mut event)?;
        }
        Ok(())
    }

    fn end(&mut self, number: usize) {
        self.connections[number] = None;
        for destination in self.destinations.values_mut() {
            destination.subscribers.retain(|(other, _)| *other != number);
        }
    }
}

impl Connection {
    fn output(
        &mut self,
        number: usize,
        touched: &mut Vec<usize>,
        spare: &mut Vec<Vec<u8>>,
    ) -> &mut Vec<u8> {
        // What is blocked is flushed when its socket says so.
        if self.output.is_empty() {
            touched.push(number);
            self.output = spare.pop().unwrap_or_default();
        }
        &mut self.output
    }
}

/// The response to an Upgrade request (RFC 6455 §4.2.2).
fn response(request: &[u8]) -> Vec<u8> {
    let key = header_of_request(request, b"Sec-WebSocket-Key: ");
    let accept = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(accept.finalize());
    let lines = [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        "Sec-WebSocket-Protocol: v12.stomp\r\nSec-WebSocket-Accept: ",
        &accept,
        "\r\n\r\n",
    ];
    lines.concat().into_bytes()
}

fn header_of_request<'a>(request: &'a [u8], name: &[u8]) -> &'a [u8] {
    let value = memmem::find(request, name).map(|at| &request[at + name.len()..]);
    let value = value.unwrap_or_default();
    &value[..memmem::find(value, b"\r\n").unwrap_or(value.len())]
}
