use std::ops::Deref;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;

/// A client of librdkafka, which ends on a thread of its own: to say goodbye to Kafka may block.
pub(super) struct Ending<T: Send + 'static> {
    client: Option<T>,
    /// Whether a program that ends waits for it.
    says_goodbye: bool,
}

/// How long a program that ends waits until Kafka has heard of it.
const GOODBYE: Duration = Duration::from_secs(2);

impl<T: Send + 'static> Ending<T> {
    pub(super) fn new(client: T) -> Self {
        Self { client: Some(client), says_goodbye: false }
    }

    /// One whose end Kafka would else notice only after a while.
    pub(super) fn with_goodbye(client: T) -> Self {
        Self { client: Some(client), says_goodbye: true }
    }
}

impl<T: Send + 'static> Deref for Ending<T> {
    type Target = T;

    #[allow(clippy::expect_used)] // It is taken by `drop` alone.
    fn deref(&self) -> &T {
        self.client.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Send + 'static> Drop for Ending<T> {
    fn drop(&mut self) {
        let client = self.client.take();
        let (ends, ended) = mpsc::channel::<()>();
        let end = move || {
            drop(client);
            drop(ends);
        };
        // Without a thread it ends here: then the closure is dropped, and the client with it.
        drop(thread::Builder::new().name("kafka-end".to_owned()).spawn(end));
        if self.says_goodbye
            && let Ok(runtime) = Handle::try_current()
        {
            let goodbye = Goodbye(ended);
            runtime.spawn_blocking(move || drop(goodbye));
        }
    }
}

/// Waits when it is dropped: on a thread that the runtime waits for when it ends, or, if it is ending
/// already and takes no more work, at once.
struct Goodbye(Receiver<()>);

impl Drop for Goodbye {
    fn drop(&mut self) {
        // Nothing is sent: that nobody is left who could is the end.
        _ = self.0.recv_timeout(GOODBYE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::runtime::Runtime;

    use super::*;

    /// One whose goodbye takes its time.
    struct Slow(Arc<AtomicBool>);

    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(50));
            self.0.store(true, Ordering::Release);
        }
    }

    #[test]
    fn who_says_goodbye_has_said_it_when_its_runtime_has_ended() {
        for while_it_ends in [false, true] {
            let (said, runtime) = (Arc::new(AtomicBool::new(false)), Runtime::new().unwrap());
            let client = Ending::with_goodbye(Slow(Arc::clone(&said)));
            if while_it_ends {
                runtime.spawn(async move {
                    std::future::pending::<()>().await;
                    drop(client);
                });
            } else {
                runtime.block_on(async move { drop(client) });
            }
            drop(runtime);
            assert!(said.load(Ordering::Acquire), "while it ends: {while_it_ends}");
        }
    }
}
