use std::any::Any;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::locks::Mutex;

/// Whether a read that does not fill its buffer shows that the socket has no more at present: so it
/// is where readiness is told by its changes (epoll, kqueue).
const SHORT_READ_EMPTIES: bool = cfg!(all(
    not(mio_unsupported_force_poll_poll),
    any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd")
));

/// The two ends of one connection's bytes. Reading is the owner's; writing is anybody's, under the
/// lock of the connection's outlet.
pub(super) enum Socket {
    /// A socket of the operating system: publishers write to it directly, without a context.
    Tcp(TcpStream),
    /// Anything else: TLS, an upgraded stream of an HTTP server, a Unix socket.
    Stream(Mutex<Generic>),
}

pub(super) struct Generic {
    stream: Pin<Box<dyn Stream>>,
    /// Whether the stream may hold bytes that were written and not flushed.
    unflushed: bool,
}

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

impl Socket {
    /// Finds out whether `io` is a `TcpStream`, which is then written to directly.
    pub(super) fn new<T: AsyncRead + AsyncWrite + Send + 'static>(io: T) -> Self {
        let mut io = Some(io);
        let any: &mut dyn Any = &mut io;
        if let Some(tcp) = any.downcast_mut::<Option<TcpStream>>().and_then(Option::take) {
            return Self::tcp(tcp);
        }
        let stream: Pin<Box<dyn Stream>> = match io {
            Some(io) => Box::pin(io),
            // Only a `TcpStream` is taken out above, and it has returned.
            None => Box::pin(tokio::io::empty()),
        };
        Self::Stream(Mutex::new(Generic { stream, unflushed: false }))
    }

    pub(super) fn tcp(stream: TcpStream) -> Self {
        // Small frames must not wait for the acknowledgement of the one before; where the option
        // cannot be set, they do.
        drop(stream.set_nodelay(true));
        Self::Tcp(stream)
    }

    /// Reads what is there; 0 at the end. The owner only.
    pub(super) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => loop {
                ready!(tcp.poll_read_ready(context))?;
                match try_read(tcp, buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Stream(generic) => {
                let mut buffer = ReadBuf::new(buffer);
                let stream = &mut generic.lock().stream;
                ready!(stream.as_mut().poll_read(context, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    /// Writes what is taken at once. `context` is the owner's, also where a publisher writes: a
    /// generic stream wakes it when it takes more; a `TcpStream` does so through
    /// [`poll_writable`](Self::poll_writable).
    pub(super) fn try_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_write(bytes),
            Self::Stream(generic) => generic.lock().try_write(context, bytes),
        }
    }

    /// Waits until a write may succeed. The owner only.
    pub(super) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_write_ready(context),
            Self::Stream(_) => Poll::Ready(Ok(())),
        }
    }

    /// Goes on flushing what a generic stream holds. The owner only.
    pub(super) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Stream(generic) => generic.lock().poll_flush(context),
        }
    }

    /// Shuts the writing side down. The owner only.
    pub(super) fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // tokio's own shutdown wants the stream mutably, and publishers share it.
            Self::Tcp(tcp) => Poll::Ready(SockRef::from(tcp).shutdown(Shutdown::Write)),
            Self::Stream(generic) => generic.lock().stream.as_mut().poll_shutdown(context),
        }
    }
}

/// Reads what is there. A read that has emptied the socket makes it not ready, so that the next one
/// waits for more and does not ask the operating system in vain. tokio's own `poll_read` does so too,
/// but wants the stream mutably, and publishers share it.
fn try_read(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut last = None;
    let read = tcp.try_io(Interest::READABLE, || {
        let read = tcp.try_read(buffer)?;
        if SHORT_READ_EMPTIES && read > 0 && read < buffer.len() {
            last = Some(read);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(read)
    });
    last.map_or(read, Ok)
}

impl Generic {
    fn try_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let Poll::Ready(written) = self.stream.as_mut().poll_write(context, bytes)? else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.unflushed = true;
        match self.poll_flush(context) {
            Poll::Ready(Err(error)) => Err(error),
            // A flush that is under way is the owner's to finish: it was registered.
            Poll::Ready(Ok(())) | Poll::Pending => Ok(written),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(self.stream.as_mut().poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
