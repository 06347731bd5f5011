use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};

use crate::websocket::{FrameHead, Incoming, Opcode, ReadError, Reader};

use super::lent::Lent;
use super::shared::Shared;
use super::socket::Socket;

/// The largest message that is echoed, in bytes: conformance suites send 16 MiB.
const MESSAGE_LIMIT: usize = 16 << 20;

/// A plain WebSocket that sends back what it is sent.
struct Echo {
    socket: Socket,
    reader: Reader,
    out: BytesMut,
    /// The last frame is in `out`: when it is written, the connection ends.
    last: bool,
}

/// Echoes until the client closes.
pub(super) async fn serve(
    socket: Socket,
    shared: &Shared,
    already_read: Vec<u8>,
) -> io::Result<()> {
    let reader = Reader::new(MESSAGE_LIMIT, already_read);
    let mut echo = Echo { socket, reader, out: BytesMut::new(), last: false };
    let mut draining = shared.connections.draining();
    tokio::select! {
        result = std::future::poll_fn(|context| echo.poll(context)) => result,
        _ = draining.wait_for(|draining| *draining) => Ok(()),
    }
}

impl Echo {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.out.is_empty() {
                ready!(self.socket.poll_writable(context))?;
                match self.socket.try_write(context, &self.out) {
                    Ok(written) => self.out.advance(written),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if self.last {
                return self.socket.poll_shutdown(context);
            }
            let out = &mut self.out;
            let answer = |frame: &[u8]| out.extend_from_slice(frame);
            let mut lent = Lent { socket: &self.socket, context, answer };
            match self.reader.read(&mut lent) {
                Ok(None) if self.out.is_empty() => return Poll::Pending,
                Ok(None | Some(Incoming::Control)) => {}
                Ok(Some(Incoming::Text(bytes))) => self.echo(Opcode::Text, &bytes),
                Ok(Some(Incoming::Binary(bytes))) => self.echo(Opcode::Binary, &bytes),
                Ok(Some(Incoming::Close)) => self.last = true,
                Err(error) => self.fail(error)?,
            }
        }
    }

    fn echo(&mut self, opcode: Opcode, bytes: &[u8]) {
        FrameHead::new(opcode, bytes.len()).write(&mut self.out);
        self.out.extend_from_slice(bytes);
    }

    fn fail(&mut self, error: ReadError) -> io::Result<()> {
        self.last = true;
        match (error.close_code(), error) {
            (Some(code), error) => {
                self.out.extend_from_slice(&FrameHead::close(code, &error.to_string()));
                Ok(())
            }
            (None, ReadError::Io(error)) => Err(error),
            (None, _) => Ok(()),
        }
    }
}
