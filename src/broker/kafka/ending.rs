use std::ops::Deref;
use std::thread;

/// A client of librdkafka, which ends on a thread of its own: to say goodbye to Kafka may block.
pub(super) struct Ending<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Ending<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> Deref for Ending<T> {
    type Target = T;

    #[allow(clippy::expect_used)] // It is taken by `drop` alone.
    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T: Send + 'static> Drop for Ending<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        // Without a thread it ends here: then the closure is dropped, and the client with it.
        drop(thread::Builder::new().name("kafka-end".to_owned()).spawn(move || drop(client)));
    }
}
