use std::task::{Context, Poll};

use super::socket::Socket;

/// How much is discarded at once, in bytes.
const DISCARDED: usize = 8 * 1024;

/// The end of a connection whose last word was said.
///
/// The writing side is shut down once everything is written; what the client still sends is read and
/// discarded, within bounds, until it closes too. Closing with unread input would send a reset, which
/// destroys what the client has not read yet: why it was closed.
pub(super) struct Linger {
    shut_down: bool,
    /// The client has closed its side. It may still be reading: it only listens any more.
    end_of_input: bool,
    left: usize,
}

impl Linger {
    /// Discards at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { shut_down: false, end_of_input: false, left: limit }
    }

    /// Ready when the connection may be dropped. `written` says that the last word is. The socket's
    /// owner only.
    pub(super) fn poll(
        &mut self,
        socket: &Socket,
        context: &mut Context<'_>,
        written: bool,
    ) -> Poll<()> {
        if written && !self.shut_down {
            match socket.poll_shutdown(context) {
                Poll::Ready(Ok(())) => self.shut_down = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        let mut discarded = [0; DISCARDED];
        while !self.end_of_input {
            match socket.poll_read(context, &mut discarded) {
                Poll::Ready(Ok(0)) => self.end_of_input = true,
                Poll::Ready(Ok(read)) if read <= self.left => self.left -= read,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.shut_down { Poll::Ready(()) } else { Poll::Pending }
    }
}
