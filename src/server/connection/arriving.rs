use std::cell::RefCell;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;

use crate::session::{Leaving, Limit, Refusal};
use crate::websocket::{Incoming, ReadError, Reader};

use super::super::lent::Lent;
use super::super::outlet::ConnectionOutlet;
use super::super::wire::Wire;
use super::Connection;

/// How much is read from a TCP connection at once, in bytes.
const TCP_READ: usize = 16 * 1024;

thread_local! {
    /// Where TCP connections are read to: one a thread, not one a connection.
    static TCP_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; TCP_READ].into());
}

/// How a connection is read.
pub(super) enum Transport {
    WebSocket(Reader),
    Tcp,
}

impl Transport {
    pub(super) fn wire(&self) -> Wire {
        match self {
            Self::WebSocket(_) => Wire::WebSocket,
            Self::Tcp => Wire::Tcp,
        }
    }

    /// Sets how large messages may be from now on, in bytes.
    pub(super) fn set_limit(&mut self, limit: usize) {
        match self {
            Self::WebSocket(reader) => reader.set_limit(limit),
            Self::Tcp => {}
        }
    }

    /// Says that nothing will be read for a while: what was read takes no more room than it has.
    pub(super) fn pause(&mut self) {
        match self {
            Self::WebSocket(reader) => reader.pause(),
            Self::Tcp => {}
        }
    }

    /// Reads the next message, and whether any byte of it or of another came.
    pub(super) fn poll_read(
        &mut self,
        outlet: &ConnectionOutlet,
        context: &mut Context<'_>,
    ) -> (Poll<Result<Incoming, ReadError>>, bool) {
        match self {
            Self::WebSocket(reader) => {
                let answer = |frame: &[u8]| outlet.answer(frame);
                let mut lent = Lent { socket: outlet.socket(), context, answer, read: 0 };
                let read = reader.read(&mut lent).transpose();
                (read.map_or(Poll::Pending, Poll::Ready), lent.read > 0)
            }
            Self::Tcp => {
                let read = poll_read_tcp(outlet, context);
                let heard = read.is_ready();
                (read, heard)
            }
        }
    }
}

fn poll_read_tcp(
    outlet: &ConnectionOutlet,
    context: &mut Context<'_>,
) -> Poll<Result<Incoming, ReadError>> {
    TCP_BUFFER.with_borrow_mut(|buffer| match ready!(outlet.socket().poll_read(context, buffer))? {
        0 => Poll::Ready(Err(ReadError::Closed)),
        read => {
            let bytes = Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default());
            Poll::Ready(Ok(Incoming::Binary(bytes)))
        }
    })
}

impl Connection {
    /// Gives the session the next message. Returns whether the socket was read for it.
    pub(super) fn poll_arrived(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<bool> {
        let (arrived, heard) = self.transport.poll_read(&self.outlet, context);
        if heard {
            // Any byte counts as a beat: in the middle of a large message on a slow line there is
            // nothing else, and not even a Ping can be answered.
            self.pinged = false;
            self.session.heard(now);
        }
        match ready!(arrived) {
            Ok(Incoming::Text(bytes)) => {
                self.session.receive(bytes, now);
                self.session.end_of_message();
            }
            Ok(Incoming::Binary(bytes)) => {
                if self.wire == Wire::WebSocket {
                    self.outlet.leaving(Leaving::set_binary);
                }
                self.session.receive(bytes, now);
            }
            Ok(Incoming::Control) => {}
            // The reader has answered it, so nothing may follow.
            Ok(Incoming::Close) => self.depart(now),
            Err(error) => self.on_read_error(&error, now),
        }
        Poll::Ready(heard)
    }

    fn on_read_error(&mut self, error: &ReadError, now: Instant) {
        let Some(code) = error.close_code() else {
            self.depart(now);
            return;
        };
        if let ReadError::TooBig { .. } = error {
            self.shared.counters.reached(Limit::Message);
        }
        let refusal = Refusal::new("WebSocket error", error.to_string());
        self.shared.counters.refused(&refusal);
        self.outlet.leaving(|leaving| leaving.refuse(&refusal));
        self.end(code, &error.to_string(), now);
    }
}
