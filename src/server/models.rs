//! Models of publishers that write to a connection while its task finishes what the socket did not
//! take, tried by loom in every order of their locks: `RUSTFLAGS="--cfg stompbox_loom" cargo test
//! --lib models`.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use loom::sync::Notify;
use loom::thread;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::broker::{Message, Outlet, Taken};
use crate::frame::{Command, Frame};
use crate::session::{AckMode, Delivery, SessionSettings, SubscribeFrame, SubscriptionKey};

use super::outlet::{ConnectionOutlet, Notice};
use super::socket::Socket;
use super::wire::Wire;

/// The server's end of a connection whose client reads when the model says so.
#[derive(Clone)]
struct Pipe {
    state: Arc<Mutex<PipeState>>,
    /// Told when so many frames were written as are expected.
    complete: Arc<Notify>,
}

#[derive(Default)]
struct PipeState {
    expected: usize,
    /// How many bytes it takes before it is full.
    room: usize,
    written: Vec<u8>,
    writer: Option<Waker>,
}

/// Wakes the thread that plays the connection's task. A wake-up that is lost leaves it waiting for
/// ever, which loom reports.
struct Woken(Notify);

impl Pipe {
    fn new(room: usize, expected: usize) -> Self {
        let state = PipeState { room, expected, ..PipeState::default() };
        Self { state: Arc::new(Mutex::new(state)), complete: Arc::new(Notify::new()) }
    }

    /// The client reads.
    fn make_room(&self, room: usize) {
        let writer = self.state(|state| {
            state.room += room;
            state.writer.take()
        });
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Waits until all frames that are expected were written.
    fn wait(&self) {
        // loom also wakes up for nothing.
        while self.bodies().len() < self.state(|state| state.expected) {
            self.complete.wait();
        }
    }

    /// The bodies of the whole frames that were written.
    fn bodies(&self) -> Vec<String> {
        let written = self.state(|state| String::from_utf8_lossy(&state.written).into_owned());
        let whole = written.split_inclusive('\0').filter_map(|frame| frame.strip_suffix('\0'));
        let body = |frame: &str| frame.split_once("\n\n").map(|(_, body)| body.to_owned());
        whole.filter_map(body).collect()
    }

    fn state<T>(&self, work: impl FnOnce(&mut PipeState) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let took = self.state(|state| {
            let took = state.room.min(bytes.len());
            if took == 0 {
                state.writer = Some(context.waker().clone());
                return None;
            }
            state.room -= took;
            state.written.extend_from_slice(bytes.get(..took).unwrap_or_default());
            let frames = state.written.iter().filter(|octet| **octet == 0).count();
            Some((took, frames == state.expected))
        });
        let Some((took, complete)) = took else { return Poll::Pending };
        if complete {
            self.complete.notify();
        }
        Poll::Ready(Ok(took))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

#[test]
fn what_the_socket_did_not_take_is_finished_by_the_connections_task() {
    model(|| {
        let (outlet, pipe, key) = connection(10, 2);
        let (publisher, owner) = (Arc::clone(&outlet), Arc::clone(&outlet));
        let publisher = thread::spawn(move || {
            for body in ["1", "2"] {
                assert_ne!(deliver(&publisher, key, body), Taken::Gone);
            }
        });
        let owner = thread::spawn(move || own(&owner));
        pipe.make_room(1_000);
        pipe.wait();
        assert_eq!(pipe.bodies(), ["1", "2"]);
        outlet.notify(Notice::Cut);
        assert!(publisher.join().is_ok() && owner.join().is_ok());
    });
}

#[test]
fn two_publishers_write_whole_frames() {
    model(|| {
        let (outlet, pipe, key) = connection(60, 2);
        let publisher = {
            let outlet = Arc::clone(&outlet);
            thread::spawn(move || assert_ne!(deliver(&outlet, key, "1"), Taken::Gone))
        };
        let owner = {
            let outlet = Arc::clone(&outlet);
            thread::spawn(move || own(&outlet))
        };
        assert_ne!(deliver(&outlet, key, "2"), Taken::Gone);
        pipe.make_room(1_000);
        pipe.wait();
        let mut bodies = pipe.bodies();
        bodies.sort();
        assert_eq!(bodies, ["1", "2"]);
        outlet.notify(Notice::Cut);
        assert!(publisher.join().is_ok() && owner.join().is_ok());
    });
}

#[test]
fn nothing_is_written_after_an_unsubscribe() {
    model(|| {
        let (outlet, pipe, key) = connection(1_000, 1);
        let publisher = {
            let outlet = Arc::clone(&outlet);
            thread::spawn(move || deliver(&outlet, key, "1"))
        };
        outlet.leaving(|leaving| leaving.unsubscribe(key));
        let before = pipe.bodies();
        let taken = publisher.join();
        assert_eq!(pipe.bodies(), before);
        assert_eq!(taken.ok() == Some(Taken::Gone), before.is_empty());
    });
}

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// A connection with one subscription, whose socket takes so many bytes at first, and so many frames
/// in all.
fn connection(room: usize, expected: usize) -> (Arc<ConnectionOutlet>, Pipe, SubscriptionKey) {
    let (pipe, now) = (Pipe::new(room, expected), Instant::now());
    let settings = Arc::new(SessionSettings::default());
    let outlet = ConnectionOutlet::new(Socket::new(pipe.clone()), Wire::Tcp, settings, now);
    let subscribe = SubscribeFrame {
        id: Some("0".into()),
        destination: "/topic/a".into(),
        ack: AckMode::Auto,
        prefetch: None,
        frame: Frame::new(Command::Subscribe),
        receipt: None,
    };
    let key = outlet.leaving(|leaving| {
        let key = leaving.subscribe(&subscribe).expect("a subscription");
        leaving.activate(key, None);
        key
    });
    (Arc::new(outlet), pipe, key)
}

fn deliver(outlet: &ConnectionOutlet, to: SubscriptionKey, body: &str) -> Taken {
    let message = Message::builder("/topic/a".parse().expect("a destination")).body(body);
    outlet.deliver(to, &[Delivery::new(message.into_shared())], Instant::now())
}

/// Plays the connection's task, until it is told that the connection ends.
fn own(outlet: &ConnectionOutlet) {
    let woken = Arc::new(Woken(Notify::new()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    while outlet.notice(&mut context).is_none() {
        let flushed = outlet.poll_flush(&mut context, Instant::now());
        assert!(!matches!(flushed, Poll::Ready(Err(_))), "{flushed:?}");
        woken.0.wait();
    }
}
