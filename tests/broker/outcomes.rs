//! Outcomes: complete at once, or when somebody completes them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use stompbox::broker::{BrokerError, Outcome};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_ready_outcome_is_complete_without_a_context() {
    assert_eq!(Outcome::done().take_ready(), Some(Ok(())));
    let mut refused = Outcome::<u32>::from(BrokerError::Closed);
    assert_eq!(refused.take_ready(), Some(Err(BrokerError::Closed)));
    assert_eq!(refused.take_ready(), None, "a result is handed out once");
}

#[test]
fn a_pending_outcome_wakes_who_awaits_it() {
    let count = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    let (completer, mut outcome) = Outcome::pending();
    assert_eq!(outcome.take_ready(), None);
    assert_eq!(Pin::new(&mut outcome).poll(&mut context), Poll::Pending);
    completer.complete(Ok(7));
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert_eq!(Pin::new(&mut outcome).poll(&mut context), Poll::Ready(Ok(7)));
}

#[test]
fn an_outcome_completed_elsewhere_can_be_taken_without_a_context() {
    let (completer, mut outcome) = Outcome::pending();
    let other = std::thread::spawn(move || completer.complete(Ok("done")));
    other.join().unwrap();
    assert_eq!(outcome.take_ready(), Some(Ok("done")));
}

#[test]
fn outcomes_are_static_and_can_be_sent() {
    fn check<T: Send + Unpin + 'static>(_: &T) {}
    check(&Outcome::done());
}
