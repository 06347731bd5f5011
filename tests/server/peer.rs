//! A client that does exactly what a test says, byte for byte, and reads what comes back.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use stompbox::frame::{Command, Decoder, Frame, Leniency, Limits, Version};
use stompbox::server::{Server, ServerBuilder};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for what must come. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// One end of a connection.
pub(crate) struct Peer<T = TcpStream> {
    io: T,
    received: BytesMut,
    decoder: Decoder,
    web_socket: bool,
}

/// A WebSocket frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebSocketFrame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// A server that listens on a free port for WebSockets at `/ws`.
pub(crate) async fn listening(builder: ServerBuilder) -> (Server, SocketAddr) {
    let server = builder.build();
    let address = server.listen_websocket("127.0.0.1:0", "/ws").await.unwrap();
    (server, address)
}

/// An Upgrade request as a client that is no web page sends it.
pub(crate) fn upgrade_request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

impl Peer {
    /// Opens STOMP over TCP.
    pub(crate) async fn tcp(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), false)
    }

    /// Opens a WebSocket at `/ws`.
    pub(crate) async fn web_socket(address: SocketAddr) -> Self {
        Self::web_socket_with(address, "/ws", "Sec-WebSocket-Protocol: v12.stomp\r\n").await
    }

    /// Opens a WebSocket with more header lines in its request.
    pub(crate) async fn web_socket_with(address: SocketAddr, path: &str, more: &str) -> Self {
        let mut peer = Self::tcp(address).await;
        peer.write(upgrade_request(path, more).as_bytes()).await;
        let head = peer.http_head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer.web_socket = true;
        peer
    }

    /// Opens a WebSocket and connects a session of STOMP 1.2 without heart-beats.
    pub(crate) async fn connected(address: SocketAddr) -> Self {
        let mut peer = Self::web_socket(address).await;
        peer.connect("").await;
        peer
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Peer<T> {
    /// A peer at the end of a stream that is open already.
    pub(crate) fn over(io: T, web_socket: bool) -> Self {
        let limits = Limits::default().with_body(1 << 30);
        let mut decoder = Decoder::new(limits, Leniency::strict());
        decoder.set_version(Version::V1_2);
        Self { io, received: BytesMut::new(), decoder, web_socket }
    }

    pub(crate) fn io(&mut self) -> &mut T {
        &mut self.io
    }

    /// Writes bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Sends a STOMP frame, given without its NUL, in a message of text.
    pub(crate) async fn send(&mut self, frame: &str) {
        self.send_bytes(TEXT, format!("{frame}\0").as_bytes()).await;
    }

    /// Sends bytes in one WebSocket message, or as they are over TCP.
    pub(crate) async fn send_bytes(&mut self, opcode: u8, payload: &[u8]) {
        if self.web_socket {
            let frame = masked(0x80 | opcode, payload);
            self.write(&frame).await;
        } else {
            self.write(payload).await;
        }
    }

    /// Connects a session of STOMP 1.2; `more` are further header lines.
    pub(crate) async fn connect(&mut self, more: &str) {
        self.send(&format!("CONNECT\naccept-version:1.2\n{more}\n")).await;
        let connected = self.frame().await;
        assert_eq!(connected.command(), Command::Connected, "{connected:?}");
    }

    /// Subscribes, and waits until that is active.
    pub(crate) async fn subscribe(&mut self, id: &str, destination: &str) {
        let mut frame = String::new();
        write!(frame, "SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:sub-{id}\n\n")
            .unwrap();
        self.send(&frame).await;
        self.expect_receipt(&format!("sub-{id}")).await;
    }

    pub(crate) async fn expect_receipt(&mut self, id: &str) {
        let frame = self.frame().await;
        assert_eq!(frame.command(), Command::Receipt, "{frame:?}");
        assert_eq!(frame.header("receipt-id").as_deref(), Some(id));
    }

    /// The next frame must be a MESSAGE; returns its body.
    pub(crate) async fn message(&mut self) -> String {
        let frame = self.frame().await;
        assert_eq!(frame.command(), Command::Message, "{frame:?}");
        String::from_utf8(frame.body().to_vec()).unwrap()
    }

    /// The next frame must be an ERROR; returns its `message` header and its body.
    pub(crate) async fn error(&mut self) -> (String, String) {
        let frame = self.frame().await;
        assert_eq!(frame.command(), Command::Error, "{frame:?}");
        let body = String::from_utf8(frame.body().to_vec()).unwrap();
        (frame.header("message").unwrap_or_default().into_owned(), body)
    }

    /// The next STOMP frame. Over a WebSocket each must come in a message of its own.
    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return frame;
            }
            if self.web_socket {
                let frame = self.web_socket_frame().await;
                assert!(matches!(frame.opcode, TEXT | BINARY), "not a STOMP frame: {frame:?}");
                assert!(!self.decoder.is_mid_frame());
                self.decoder.feed_slice(&frame.payload);
            } else {
                assert!(self.read().await > 0, "closed; a frame was expected");
                self.decoder.feed_slice(&self.received);
                self.received.clear();
            }
        }
    }

    /// The next WebSocket frame.
    pub(crate) async fn web_socket_frame(&mut self) -> WebSocketFrame {
        loop {
            if let Some(frame) = self.parse() {
                return frame;
            }
            assert!(self.read().await > 0, "closed; a WebSocket frame was expected");
        }
    }

    /// The next WebSocket frame must be a Close, and the end of the stream must follow; returns the
    /// code.
    pub(crate) async fn closed(&mut self) -> u16 {
        let close = self.web_socket_frame().await;
        assert_eq!(close.opcode, CLOSE, "{close:?}");
        self.ended().await;
        u16::from_be_bytes([close.payload[0], close.payload[1]])
    }

    /// The stream must end, without anything else.
    pub(crate) async fn ended(&mut self) {
        let read = tokio::time::timeout(PATIENCE, self.io.read_buf(&mut self.received)).await;
        let read = read.expect("the stream goes on");
        assert!(matches!(read, Ok(0) | Err(_)), "{:?}", self.received);
        assert!(self.received.is_empty(), "{:?}", self.received);
    }

    /// The head of an HTTP response, up to its blank line.
    pub(crate) async fn http_head(&mut self) -> String {
        loop {
            let end = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                return String::from_utf8(self.received.split_to(end + 4).to_vec()).unwrap();
            }
            assert!(self.read().await > 0, "closed; a response was expected");
        }
    }

    async fn read(&mut self) -> usize {
        let read = self.io.read_buf(&mut self.received);
        tokio::time::timeout(PATIENCE, read).await.expect("nothing came").unwrap()
    }

    fn parse(&mut self) -> Option<WebSocketFrame> {
        let bytes = &self.received[..];
        let [first, second, ..] = *bytes else { return None };
        assert_eq!(first & 0x70, 0, "reserved bits");
        assert_eq!(second & 0x80, 0, "a server must not mask");
        let (head, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?))),
            127 => (10, u64::from_be_bytes(*bytes[2..].first_chunk()?).try_into().unwrap()),
            length => (2, usize::from(length)),
        };
        if bytes.len() < head + length {
            return None;
        }
        self.received.advance(head);
        let payload = self.received.split_to(length).to_vec();
        Some(WebSocketFrame { opcode: first & 0x0F, payload })
    }
}

/// A masked frame, as clients must send them (RFC 6455 §5.3).
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xFFFF => {
            frame.push(0x80 | 0x7E);
            frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 0x7F);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}
