//! A session of STOMP over a WebSocket.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use stompbox::session::{
    ClientEvent, ClientSession, ConnectOptions, Envelope, HeartBeat, PayloadKind,
};
use stompbox::websocket::{FrameHead, Opcode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::web_socket::{CLOSE, PING, PONG, head, put_masked};

const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n";

/// A connection, and the session that it is for.
pub(crate) struct Connection {
    stream: TcpStream,
    received: BytesMut,
    pub(crate) session: ClientSession<Masked>,
}

/// One WebSocket message around each frame, masked as a client must (RFC 6455 §5.3).
pub(crate) struct Masked;

impl Envelope for Masked {
    fn open(&self, kind: PayloadKind, length: usize, out: &mut BytesMut) {
        let opcode = match kind {
            PayloadKind::Text => Opcode::Text,
            PayloadKind::Binary => Opcode::Binary,
        };
        let second = out.len() + 1;
        FrameHead::new(opcode, length).write(out);
        out[second] |= 0x80;
        // The key that changes nothing: what follows goes out as it is.
        out.extend_from_slice(&[0; 4]);
    }
}

impl Connection {
    /// Connects the socket and the session. An error is a connection that was refused, or lost before
    /// it was one.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(REQUEST).await?;
        let mut options = ConnectOptions::new("localhost");
        options.heart_beat = HeartBeat::NONE;
        let session = ClientSession::connect(Masked, options, Instant::now()).expect("a CONNECT");
        let mut connection = Self { stream, received: BytesMut::new(), session };
        connection.skip_response().await?;
        connection.write().await?;
        loop {
            match connection.next_event()? {
                Some(ClientEvent::Connected(_)) => return Ok(connection),
                Some(other) => panic!("in answer to CONNECT came {other:?}"),
                None => connection.read().await?,
            }
        }
    }

    /// What the server said next, of what was read; an error if it was that nothing more comes.
    pub(crate) fn next_event(&mut self) -> io::Result<Option<ClientEvent>> {
        loop {
            let event = self.session.next_event().expect("a server that keeps to the rules");
            if event.is_some() {
                return Ok(event);
            }
            let Some(frame) = head(&self.received) else { return Ok(None) };
            let whole = self.received.split_to(frame.end);
            let payload = &whole[frame.start..];
            match frame.opcode {
                CLOSE => return Err(io::ErrorKind::ConnectionAborted.into()),
                PING => {
                    let mut pong = Vec::new();
                    put_masked(&mut pong, PONG, payload);
                    self.session.raw(&pong);
                }
                _ => self.session.receive(payload.to_vec(), Instant::now()),
            }
        }
    }

    /// Reads what comes next. Nothing is lost when this is given up.
    pub(crate) async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Writes all that waits to be written.
    pub(crate) async fn write(&mut self) -> io::Result<()> {
        let mut out = BytesMut::new();
        self.session.take(&mut out, usize::MAX, Instant::now());
        self.stream.write_all(&out).await
    }

    async fn skip_response(&mut self) -> io::Result<()> {
        loop {
            let end = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                assert!(self.received.starts_with(b"HTTP/1.1 101 "), "{:?}", self.received);
                self.received.advance(end + 4);
                return Ok(());
            }
            self.read().await?;
        }
    }
}
