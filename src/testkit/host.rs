use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::broker::{Broker, Host, Turn, Work};

/// What a broker asks of the server, done by tasks of the test's runtime.
pub(super) struct TestHost {
    runtime: Handle,
    deadline_changed: Arc<Notify>,
    timekeeper: AbortHandle,
}

impl TestHost {
    /// Runs `broker`, and calls it back at its deadlines for as long as it is held by anybody else.
    pub(super) fn attach(broker: &Arc<dyn Broker>) {
        let deadline_changed = Arc::<Notify>::default();
        let keep_time = keep_time(Arc::downgrade(broker), Arc::clone(&deadline_changed));
        let timekeeper = tokio::spawn(keep_time).abort_handle();
        broker.attach(Arc::new(Self { runtime: Handle::current(), deadline_changed, timekeeper }));
    }
}

impl Host for TestHost {
    fn hand_over(&self, work: Work) {
        self.runtime.spawn(async {
            let mut work = Some(work);
            while let Some(more) = work {
                work = more.run(now());
                tokio::task::yield_now().await;
            }
        });
    }

    fn deadline_changed(&self) {
        self.deadline_changed.notify_one();
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        self.timekeeper.abort();
    }
}

async fn keep_time(broker: Weak<dyn Broker>, deadline_changed: Arc<Notify>) {
    loop {
        let Some(next) = broker.upgrade().map(|broker| broker.next_deadline()) else { return };
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {
                let Some(broker) = broker.upgrade() else { return };
                broker.handle_deadline(&mut Turn::new(now()));
            }
            () = deadline_changed.notified() => {}
        }
    }
}

/// The instant by tokio's clock, which a test may pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
