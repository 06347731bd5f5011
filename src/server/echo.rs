use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};

use crate::websocket::{CloseCode, FrameHead, Incoming, Opcode, ReadError, Reader};

use super::connections::{Admission, Phase};
use super::lent::Lent;
use super::linger::Linger;
use super::shared::Shared;
use super::socket::Socket;

/// The largest message that is echoed, in bytes: conformance suites send 16 MiB.
const MESSAGE_LIMIT: usize = 16 << 20;

/// A plain WebSocket that sends back what it is sent.
struct Echo {
    socket: Socket,
    reader: Reader,
    out: BytesMut,
}

/// Echoes until the client closes, or the server stops. `admission` is given back then.
pub(super) async fn serve(
    socket: Socket,
    shared: Arc<Shared>,
    already_read: Vec<u8>,
    admission: Admission,
) {
    let reader = Reader::new(MESSAGE_LIMIT, already_read);
    let mut echo = Echo { socket, reader, out: BytesMut::new() };
    let mut phases = shared.connections.phases();
    tokio::select! {
        served = poll_fn(|context| echo.poll(context)) => {
            if served.is_err() {
                return;
            }
        }
        () = phases.reach(Phase::Draining) => {
            echo.close(CloseCode::Restart, "server restart");
        }
    }
    let mut linger = Linger::new(shared.settings.linger_bytes);
    let ended = poll_fn(|context| echo.poll_ended(&mut linger, context));
    // A client that takes longer does without.
    tokio::select! {
        ended = tokio::time::timeout(shared.settings.linger, ended) => drop(ended),
        () = phases.reach(Phase::Cut) => {}
    }
    drop(admission);
}

impl Echo {
    /// Reads and answers. Ready when the last frame is in `out`.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.poll_written(context)?.is_pending() {
                self.reader.pause();
                return Poll::Pending;
            }
            let out = &mut self.out;
            let answer = |frame: &[u8]| out.extend_from_slice(frame);
            let mut lent = Lent { socket: &self.socket, context, answer, read: 0 };
            match self.reader.read(&mut lent) {
                Ok(None) if self.out.is_empty() => return Poll::Pending,
                Ok(None | Some(Incoming::Control)) => {}
                Ok(Some(Incoming::Text(bytes))) => self.echo(Opcode::Text, &bytes),
                Ok(Some(Incoming::Binary(bytes))) => self.echo(Opcode::Binary, &bytes),
                Ok(Some(Incoming::Close)) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(self.fail(error)),
            }
        }
    }

    /// Writes what waits. Ready when nothing does.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            ready!(self.socket.poll_writable(context))?;
            match self.socket.try_write(context, &self.out) {
                Ok(written) => self.out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the client has read the last frame, or has gone.
    fn poll_ended(&mut self, linger: &mut Linger, context: &mut Context<'_>) -> Poll<()> {
        match self.poll_written(context) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            written => linger.poll(&self.socket, context, written.is_ready()),
        }
    }

    fn echo(&mut self, opcode: Opcode, bytes: &[u8]) {
        FrameHead::new(opcode, bytes.len()).write(&mut self.out);
        self.out.extend_from_slice(bytes);
    }

    fn fail(&mut self, error: ReadError) -> io::Result<()> {
        match (error.close_code(), error) {
            (Some(code), error) => self.close(code, &error.to_string()),
            (None, ReadError::Io(error)) => return Err(error),
            (None, _) => {}
        }
        Ok(())
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        self.out.extend_from_slice(&FrameHead::close(code, reason));
    }
}
