use std::collections::HashMap;
use std::sync::Arc;

use async_nats::client::{Request, RequestError, RequestErrorKind};
use async_nats::jetstream;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, Stream};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use super::super::{BrokerError, Destination};
use super::node::ENGINE;
use super::stream::{self, answer, refused};

/// The streams of JetStream over one connection: each is found, or made, when it is first needed.
pub(super) struct Streams {
    context: Context,
    opened: Mutex<HashMap<String, Arc<OnceCell<Stream>>>>,
    readers: Semaphore,
}

/// How many read at once, however many listen: JetStream bounds the requests that wait.
const READERS: usize = 32;

/// What JetStream says that is not enabled: on the server, and for the account.
const NOT_ENABLED: [&str; 2] = ["\"err_code\":10076", "\"err_code\":10039"];

impl Streams {
    pub(super) fn new(client: async_nats::Client) -> Self {
        let (opened, readers) = (Mutex::default(), Semaphore::new(READERS));
        Self { context: jetstream::new(client), opened, readers }
    }

    /// A stream, on behalf of a destination.
    pub(super) async fn open(
        &self,
        wanted: &Config,
        destination: &Destination,
    ) -> Result<Stream, BrokerError> {
        let cell = Arc::clone(self.opened.lock().entry(wanted.name.clone()).or_default());
        // What making one takes is large, and rarely needed.
        cell.get_or_try_init(|| Box::pin(self.find_or_make(wanted, destination))).await.cloned()
    }

    /// The next one that needs a stream finds it again: it may be another one.
    pub(super) fn forget(&self, name: &str) {
        self.opened.lock().remove(name);
    }

    async fn find_or_make(
        &self,
        wanted: &Config,
        destination: &Destination,
    ) -> Result<Stream, BrokerError> {
        let found = answer(destination, self.context.get_or_create_stream(wanted)).await?;
        let config = &found.cached_info().config;
        let fits = wanted.republish == config.republish
            && wanted.retention == config.retention
            && wanted.subjects.iter().all(|subject| config.subjects.contains(subject));
        if !fits {
            let reason = format!("there is another stream that is called {}", wanted.name);
            return Err(refused(destination, reason));
        }
        if wanted.republish.is_some()
            && let Some(raised) = stream::raised(config, wanted)
        {
            answer(destination, self.context.update_stream(raised)).await?;
            return answer(destination, self.context.get_stream(&wanted.name)).await;
        }
        Ok(found)
    }

    /// Waits until one more may read.
    pub(super) async fn reader(&self) -> Result<SemaphorePermit<'_>, BrokerError> {
        // It is never closed.
        self.readers.acquire().await.map_err(|_| BrokerError::Unavailable { engine: ENGINE })
    }
}

/// Whether there is JetStream. The error is that this is not known.
pub(super) async fn are_there(client: &async_nats::Client) -> Result<bool, RequestError> {
    let request = Request::new().timeout(Some(stream::PATIENCE));
    match client.send_request("$JS.API.INFO", request).await {
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.payload);
            Ok(!NOT_ENABLED.iter().any(|code| text.contains(code)))
        }
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(false),
        Err(error) => Err(error),
    }
}
