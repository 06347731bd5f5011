use tokio::runtime::Handle;

use super::super::Outcome;

/// The second half of a transaction whose SENDs are on their way: settles what it settles once the
/// engine has taken responsibility for all of them. If it does not, what caused them stays unsettled
/// and comes again.
pub(in super::super) fn settle_after(
    runtime: &Handle,
    mut sent: Outcome,
    settle: impl FnOnce() + Send + 'static,
) -> Outcome {
    if let Some(result) = sent.take_ready() {
        return Outcome::ready(result.map(|()| settle()));
    }
    let (completer, outcome) = Outcome::pending();
    runtime.spawn(async move { completer.complete(sent.await.map(|()| settle())) });
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::super::BrokerError;
    use super::*;

    /// Whether it was settled, and what came of it.
    async fn after(result: Result<(), BrokerError>) -> (bool, Result<(), BrokerError>) {
        let settled = Arc::new(AtomicBool::new(false));
        let (completer, sent) = Outcome::pending();
        let seen = Arc::clone(&settled);
        let settle = move || seen.store(true, Ordering::Relaxed);
        let outcome = settle_after(&Handle::current(), sent, settle);
        tokio::task::yield_now().await;
        assert!(!settled.load(Ordering::Relaxed));
        completer.complete(result);
        let result = outcome.await;
        (settled.load(Ordering::Relaxed), result)
    }

    #[tokio::test]
    async fn only_what_was_sent_is_settled() {
        assert_eq!(after(Ok(())).await, (true, Ok(())));
        assert_eq!(after(Err(BrokerError::Closed)).await, (false, Err(BrokerError::Closed)));
    }

    #[tokio::test]
    async fn where_nothing_is_on_its_way_nothing_is_waited_for() {
        let settled = |sent| settle_after(&Handle::current(), sent, || ()).take_ready();
        assert_eq!(settled(Outcome::done()), Some(Ok(())));
        assert_eq!(settled(BrokerError::Closed.into()), Some(Err(BrokerError::Closed)));
    }
}
