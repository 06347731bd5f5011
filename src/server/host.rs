use std::sync::{Arc, OnceLock, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::runtime::Handle as Runtime;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::broker::{Broker, Host, Turn, Work};

use super::clock;

/// What a broker asks of this server: other hands for long flushes, and to be called back in time.
#[derive(Default)]
pub(super) struct ServerHost {
    runtime: OnceLock<Runtime>,
    deadline_changed: Notify,
    epoch: OnceLock<u64>,
    tasks: Mutex<JoinSet<()>>,
}

impl ServerHost {
    /// Starts calling the broker back, on the runtime of the caller; once.
    pub(super) fn start(self: &Arc<Self>, broker: &Arc<dyn Broker>) {
        self.runtime.get_or_init(|| {
            let runtime = Runtime::current();
            let keep_time = keep_time(Arc::downgrade(broker), Arc::downgrade(self));
            self.tasks.lock().spawn_on(keep_time, &runtime);
            runtime
        });
    }

    /// Ends all that runs here. What was handed over and is not done is taken up by whoever
    /// publishes at the same destination next.
    pub(super) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
    }
}

impl Host for ServerHost {
    fn hand_over(&self, work: Work) {
        // A server that serves nothing has no runtime, and no connections that could be held up.
        match self.runtime.get() {
            Some(runtime) => {
                let mut tasks = self.tasks.lock();
                while tasks.try_join_next().is_some() {}
                tasks.spawn_on(run(Some(work)), runtime);
            }
            None => {
                let mut work = Some(work);
                while let Some(more) = work {
                    work = more.run(clock::now());
                }
            }
        }
    }

    fn epoch(&self) -> u64 {
        // 32 bits are enough to tell the runs of a program apart, and every MESSAGE carries them.
        *self.epoch.get_or_init(|| getrandom::u32().map_or_else(|_| started(), u64::from))
    }

    fn deadline_changed(&self) {
        self.deadline_changed.notify_one();
    }
}

/// The time of day in nanoseconds: the next best to tell two runs apart.
fn started() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or_default()
}

async fn run(mut work: Option<Work>) {
    // Before the first part too: whoever is ready to publish there is taken along. After one turn
    // the runtime has looked which sockets are ready, and goes on with this task before theirs.
    tokio::task::yield_now().await;
    while let Some(more) = work {
        tokio::task::yield_now().await;
        work = more.run(clock::now());
    }
}

/// Calls the broker back at its deadlines, for as long as anybody else holds it.
async fn keep_time(broker: Weak<dyn Broker>, host: Weak<ServerHost>) {
    loop {
        let Some(next) = broker.upgrade().map(|broker| broker.next_deadline()) else { return };
        let Some(host) = host.upgrade() else { return };
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = host.deadline_changed.notified() => {}
            () = due => {
                let Some(broker) = broker.upgrade() else { return };
                broker.handle_deadline(&mut Turn::new(clock::now()));
            }
        }
    }
}
