use std::io::{self, Read, Write};
use std::task::{Context, Poll};

use super::socket::Socket;

/// A socket, lent to tungstenite for one read. Its read side is the socket. What tungstenite writes
/// never goes to the socket: its answers, each a whole frame, are taken by somebody else.
pub(super) struct Lent<'a, 'c, F> {
    pub(super) socket: &'a Socket,
    pub(super) context: &'a mut Context<'c>,
    /// Takes one whole frame.
    pub(super) answer: F,
    /// How many bytes were read.
    pub(super) read: usize,
}

impl<F> Read for Lent<'_, '_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.socket.poll_read(self.context, buffer) {
            Poll::Ready(result) => {
                self.read += result.as_ref().copied().unwrap_or_default();
                result
            }
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<F: FnMut(&[u8])> Write for Lent<'_, '_, F> {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        (self.answer)(frame);
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
