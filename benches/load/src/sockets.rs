use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::incoming::{Incoming, Piece};
use crate::websocket::{TEXT, put_masked};

/// The WebSocket connections of the driver, on one epoll and one thread.
pub struct Sockets {
    epoll: Epoll,
    /// epoll itself waits in whole milliseconds only.
    timer: TimerFd,
    /// By number.
    all: Vec<Socket>,
    pub outgoing: Outgoing,
    buffer: Vec<u8>,
    events: Vec<EpollEvent>,
    /// How many reads have brought something.
    pub reads: u64,
}

struct Socket {
    /// `None` once it is closed.
    stream: Option<TcpStream>,
    incoming: Incoming,
    /// Whether epoll tells when it takes more.
    waits: bool,
}

/// What is to be written to each connection before the next wait.
#[derive(Default)]
pub struct Outgoing {
    buffers: Vec<Vec<u8>>,
    touched: Vec<usize>,
}

/// Something that happened on a connection.
pub struct Event<'a> {
    pub connection: usize,
    /// When it was read.
    pub at: Instant,
    pub what: What<'a>,
}

/// What happened.
pub enum What<'a> {
    Piece(Piece<'a>),
    /// The connection ended, for this reason.
    Ended(String),
}

/// Stands for the timer among the connections.
const TIMER: u64 = u64::MAX;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Sockets {
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Self {
            epoll,
            timer,
            all: Vec::new(),
            outgoing: Outgoing::default(),
            buffer: vec![0; 256 * 1024],
            events: vec![EpollEvent::empty(); 1024],
            reads: 0,
        })
    }

    /// Connects, and asks for the Upgrade. Returns the connection's number: they count up from 0.
    pub fn open(&mut self, to: SocketAddr, path: &str) -> io::Result<usize> {
        let stream = TcpStream::connect_timeout(&to, CONNECT_TIMEOUT)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let number = self.all.len();
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        let incoming = Incoming::default();
        self.all.push(Socket { stream: Some(stream), incoming, waits: false });
        self.outgoing.open();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: v12.stomp\r\n\r\n"
        );
        self.outgoing.touch(number).extend_from_slice(request.as_bytes());
        Ok(number)
    }

    /// Stops reading from a connection, or goes on with it.
    pub fn read_from(&mut self, number: usize, read: bool) -> io::Result<()> {
        let Some(stream) = &self.all[number].stream else { return Ok(()) };
        if read {
            self.epoll.add(stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        } else {
            self.epoll.delete(stream)?;
        }
        Ok(())
    }

    /// Writes what is outgoing, waits until something happens or `at_most` has passed, and reads.
    pub fn turn(
        &mut self,
        at_most: Duration,
        mut take: impl FnMut(Event<'_>, &mut Outgoing),
    ) -> io::Result<()> {
        let touched = std::mem::take(&mut self.outgoing.touched);
        for number in &touched {
            self.flush(*number, &mut take)?;
        }
        self.outgoing.recycle(touched);
        // A timer of 0 would be none at all.
        let at_most = TimeSpec::from_duration(at_most.max(Duration::from_nanos(1)));
        self.timer.set(Expiration::OneShot(at_most), TimerSetTimeFlags::empty())?;
        let count = match self.epoll.wait(&mut self.events, EpollTimeout::NONE) {
            Err(nix::Error::EINTR) => 0,
            result => result?,
        };
        for place in 0..count {
            let (number, flags) = (self.events[place].data(), self.events[place].events());
            if number == TIMER {
                // Setting it again clears it.
                continue;
            }
            let number = number as usize;
            if flags.contains(EpollFlags::EPOLLOUT) {
                self.flush(number, &mut take)?;
            }
            if !(flags - EpollFlags::EPOLLOUT).is_empty() {
                self.read(number, &mut take);
            }
        }
        Ok(())
    }

    fn read(&mut self, number: usize, take: &mut impl FnMut(Event<'_>, &mut Outgoing)) {
        let Socket { stream: Some(stream), incoming, .. } = &mut self.all[number] else {
            return;
        };
        let ended = match stream.read(&mut self.buffer) {
            Ok(0) => "it ended".to_owned(),
            Ok(length) => {
                let (at, outgoing) = (Instant::now(), &mut self.outgoing);
                self.reads += 1;
                return incoming.feed(&self.buffer[..length], |piece| {
                    take(Event { connection: number, at, what: What::Piece(piece) }, outgoing);
                });
            }
            Err(error) if is_transient(&error) => return,
            Err(error) => error.to_string(),
        };
        self.end(number, ended, take);
    }

    fn flush(
        &mut self,
        number: usize,
        take: &mut impl FnMut(Event<'_>, &mut Outgoing),
    ) -> io::Result<()> {
        let Socket { stream: Some(stream), waits, .. } = &mut self.all[number] else {
            return Ok(());
        };
        let buffer = &mut self.outgoing.buffers[number];
        match stream.write(buffer) {
            Ok(written) if written == buffer.len() => buffer.clear(),
            Ok(written) => drop(buffer.drain(..written)),
            Err(error) if is_transient(&error) => {}
            Err(error) => {
                self.end(number, error.to_string(), take);
                return Ok(());
            }
        }
        if *waits == buffer.is_empty() {
            *waits = !buffer.is_empty();
            let flags = if *waits { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            let mut event = EpollEvent::new(flags | EpollFlags::EPOLLIN, number as u64);
            self.epoll.modify(&*stream, &mut event)?;
        }
        Ok(())
    }

    fn end(&mut self, number: usize, why: String, take: &mut impl FnMut(Event<'_>, &mut Outgoing)) {
        self.all[number].stream = None;
        let event = Event { connection: number, at: Instant::now(), what: What::Ended(why) };
        take(event, &mut self.outgoing);
    }
}

impl Outgoing {
    /// There is one more connection.
    pub fn open(&mut self) {
        self.buffers.push(Vec::new());
    }

    /// Sends a frame of STOMP, which ends with its NUL.
    pub fn stomp(&mut self, to: usize, frame: &[u8]) {
        self.put(to, TEXT, frame);
    }

    /// Sends a WebSocket frame.
    pub fn put(&mut self, to: usize, opcode: u8, payload: &[u8]) {
        put_masked(self.touch(to), opcode, payload);
    }

    fn touch(&mut self, number: usize) -> &mut Vec<u8> {
        let buffer = &mut self.buffers[number];
        // Where something is left, epoll tells when it can be written.
        if buffer.is_empty() {
            self.touched.push(number);
        }
        buffer
    }

    /// Takes the list back for its room.
    fn recycle(&mut self, mut spent: Vec<usize>) {
        spent.clear();
        spent.append(&mut self.touched);
        self.touched = spent;
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
