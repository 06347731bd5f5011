use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_channel::oneshot;

use super::BrokerError;

/// What becomes of a call to a [`Broker`](super::Broker): complete at once for the in-memory
/// broker, pending for one that waits for an engine.
///
/// It completes when the broker has taken responsibility; only then does the server send a RECEIPT
/// (STOMP 1.2, "RECEIPT"). The call has taken effect in its order when it returns, so dropping an
/// outcome cancels nothing.
///
/// A concrete `'static` future: nothing is boxed, and nothing is allocated for one that is complete.
///
/// ```
/// use stompbox::broker::{BrokerError, Outcome};
///
/// let mut done: Outcome<u32> = Outcome::ready(Ok(7));
/// assert!(matches!(done.take_ready(), Some(Ok(7))));
///
/// let (completer, mut pending) = Outcome::<u32>::pending();
/// assert!(pending.take_ready().is_none());
/// completer.complete(Err(BrokerError::Unavailable { engine: "redis" }));
/// assert!(matches!(pending.take_ready(), Some(Err(BrokerError::Unavailable { .. }))));
/// ```
#[must_use = "an outcome says whether the broker took the call"]
#[derive(Debug)]
pub struct Outcome<T = ()>(State<T>);

#[derive(Debug)]
enum State<T> {
    /// `None` once the result was handed out.
    Ready(Option<Result<T, BrokerError>>),
    Pending(Receiver<T>),
    /// All of these, the last one first.
    Several(Vec<Receiver<T>>),
}

type Receiver<T> = oneshot::Receiver<Result<T, BrokerError>>;

/// Completes an [`Outcome`]. Dropped without that, it completes it with [`BrokerError::Closed`].
#[derive(Debug)]
pub struct Completer<T = ()>(oneshot::Sender<Result<T, BrokerError>>);

impl<T> Outcome<T> {
    /// An outcome that is known already.
    pub fn ready(result: Result<T, BrokerError>) -> Self {
        Self(State::Ready(Some(result)))
    }

    /// An outcome that somebody else completes later.
    pub fn pending() -> (Completer<T>, Self) {
        let (sender, receiver) = oneshot::channel();
        (Completer(sender), Self(State::Pending(receiver)))
    }

    /// The result, if it is there: lets a caller go on without a context to poll with. After it was
    /// taken the outcome must not be asked again.
    pub fn take_ready(&mut self) -> Option<Result<T, BrokerError>> {
        match &mut self.0 {
            State::Ready(result) => result.take(),
            State::Pending(receiver) => answer(receiver),
            State::Several(receivers) => {
                let mut result = None;
                while let Some(receiver) = receivers.last_mut() {
                    result = Some(answer(receiver)?);
                    receivers.pop();
                    if let Some(Err(_)) = result {
                        break;
                    }
                }
                result
            }
        }
    }
}

impl Outcome {
    /// The outcome of a call that succeeded and has nothing to say.
    pub fn done() -> Self {
        Self::ready(Ok(()))
    }

    /// The outcome of several calls: it completes when all of them have, or one with an error. All of
    /// them are made, whichever fails.
    pub(super) fn all(outcomes: impl IntoIterator<Item = Self>) -> Self {
        let mut receivers = Vec::new();
        let mut failed = None;
        for outcome in outcomes {
            match outcome.0 {
                State::Ready(Some(Err(error))) => failed = failed.or(Some(error)),
                State::Ready(_) => {}
                State::Pending(receiver) => receivers.push(receiver),
                State::Several(several) => receivers.extend(several),
            }
        }
        if let Some(error) = failed {
            return error.into();
        }
        match receivers.pop() {
            None => Self::done(),
            Some(only) if receivers.is_empty() => Self(State::Pending(only)),
            Some(last) => {
                receivers.push(last);
                Self(State::Several(receivers))
            }
        }
    }
}

/// What came, if something did.
fn answer<T>(receiver: &mut Receiver<T>) -> Option<Result<T, BrokerError>> {
    receiver.try_recv().unwrap_or(Some(Err(BrokerError::Closed)))
}

fn poll_answer<T>(
    receiver: &mut Receiver<T>,
    context: &mut Context<'_>,
) -> Poll<Result<T, BrokerError>> {
    let came = Pin::new(receiver).poll(context);
    came.map(|came| came.unwrap_or(Err(BrokerError::Closed)))
}

impl<T> From<Result<T, BrokerError>> for Outcome<T> {
    fn from(result: Result<T, BrokerError>) -> Self {
        Self::ready(result)
    }
}

impl<T> From<BrokerError> for Outcome<T> {
    fn from(error: BrokerError) -> Self {
        Self::ready(Err(error))
    }
}

impl<T: Unpin> Future for Outcome<T> {
    type Output = Result<T, BrokerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // A finished future may not be polled again; pending is the answer that harms nobody.
            State::Ready(result) => result.take().map_or(Poll::Pending, Poll::Ready),
            State::Pending(receiver) => poll_answer(receiver, context),
            State::Several(receivers) => {
                while let Some(receiver) = receivers.last_mut() {
                    let result = ready!(poll_answer(receiver, context));
                    receivers.pop();
                    if result.is_err() || receivers.is_empty() {
                        return Poll::Ready(result);
                    }
                }
                // It is finished, as above.
                Poll::Pending
            }
        }
    }
}

impl<T> Completer<T> {
    /// Completes the outcome. If it was dropped meanwhile, nothing happens.
    pub fn complete(self, result: Result<T, BrokerError>) {
        // The receiver's absence is no error: dropping an outcome cancels nothing.
        drop(self.0.send(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn a_dropped_completer_closes_the_outcome() {
        let (completer, mut outcome) = Outcome::<()>::pending();
        drop(completer);
        let mut context = Context::from_waker(Waker::noop());
        let polled = Pin::new(&mut outcome).poll(&mut context);
        assert!(matches!(polled, Poll::Ready(Err(BrokerError::Closed))));
    }

    #[test]
    fn a_dropped_outcome_cancels_nothing() {
        let (completer, outcome) = Outcome::<()>::pending();
        drop(outcome);
        completer.complete(Ok(()));
    }

    #[test]
    fn several_complete_with_the_last_of_them() {
        let (completers, outcomes): (Vec<_>, Vec<_>) = (0..3).map(|_| Outcome::pending()).unzip();
        let mut all = Outcome::all(outcomes.into_iter().chain([Outcome::done()]));
        let mut context = Context::from_waker(Waker::noop());
        for completer in completers {
            assert!(Pin::new(&mut all).poll(&mut context).is_pending());
            assert!(all.take_ready().is_none());
            completer.complete(Ok(()));
        }
        assert!(matches!(Pin::new(&mut all).poll(&mut context), Poll::Ready(Ok(()))));
        assert!(matches!(Outcome::all([]).take_ready(), Some(Ok(()))));
    }

    #[test]
    fn one_of_several_fails_all() {
        let (completers, outcomes): (Vec<_>, Vec<_>) = (0..2).map(|_| Outcome::pending()).unzip();
        let mut all = Outcome::all(outcomes);
        drop(completers);
        assert!(matches!(all.take_ready(), Some(Err(BrokerError::Closed))));
        let mut made = 0;
        let calls = [Outcome::done(), BrokerError::Closed.into(), Outcome::done()];
        let failed = Outcome::all(calls.into_iter().inspect(|_| made += 1)).take_ready();
        assert!(matches!(failed, Some(Err(BrokerError::Closed))));
        assert_eq!(made, 3, "an error does not end the others");
    }
}
