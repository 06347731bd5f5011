use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::super::engine::{self, Backoff};
use super::super::url::redacted;
use super::super::{BrokerOptions, ConnectError};
use super::address::Address;
use super::asking::blocking;
use super::consuming::Consuming;
use super::making::{MADE, make};
use super::node::Node;
use super::reading::Reader;
use super::{ENGINE, KafkaBroker, producing, replay, watching};

/// Settings of a [`KafkaBroker`] beyond those of its URL.
///
/// ```no_run
/// # async fn run() -> Result<(), stompbox::broker::ConnectError> {
/// use stompbox::broker::KafkaBroker;
///
/// let broker = KafkaBroker::builder("kafka://127.0.0.1:9092?topic=chat")
///     .setting("compression.type", "gzip")
///     .connect()
///     .await?;
/// # let _ = broker;
/// # Ok(())
/// # }
/// ```
pub struct KafkaBrokerBuilder {
    url: String,
    options: BrokerOptions,
    settings: Vec<(String, String)>,
}

impl KafkaBrokerBuilder {
    pub(super) fn new(url: String) -> Self {
        Self { url, options: BrokerOptions::default(), settings: Vec::new() }
    }

    /// Sets what every broker is told.
    #[must_use]
    pub fn options(mut self, options: BrokerOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets a property of librdkafka, for all of its clients that the node has. Those that the broker
    /// depends on, such as `enable.idempotence`, it sets itself.
    ///
    /// So a program that builds rdkafka with its feature `ssl` can set `security.protocol` to `ssl` or
    /// `sasl_ssl`, and what else that takes.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Connects: [`KafkaBroker::connect`]. A property that librdkafka does not know is an error.
    pub async fn connect(self) -> Result<KafkaBroker, ConnectError> {
        let Self { url, options, settings } = self;
        let address = Address::parse(&url)?;
        engine::check_rules(&options.rules, &[], ENGINE)?;
        let mapping = address.mapping(options.prefixes, &url)?;
        let mut config = address.config();
        for (name, value) in settings {
            config.set(name, value);
        }
        let failed = |error: KafkaError| ConnectError::Engine {
            url: redacted(&url),
            source: error.to_string().into(),
        };
        let node = Node::new(config, &address, mapping, options.rules, options.history_bytes);
        let (node, asked) = node.map_err(failed)?;
        let node = Arc::new(node);
        begin(&node).await.map_err(failed)?;
        start(node, asked).map_err(failed)
    }
}

/// Without the URL and the settings, which may hold secrets.
impl std::fmt::Debug for KafkaBrokerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaBrokerBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Begins to read and to consume.
fn start(node: Arc<Node>, asked: mpsc::UnboundedReceiver<u64>) -> KafkaResult<KafkaBroker> {
    // Of what stands before what this node reads nothing is known.
    node.router.lost_until(long_ago());
    let (consumer, consuming) = (Reader::consumer(&node)?, Consuming::new(Arc::clone(&node))?);
    let (news, heard) = mpsc::unbounded_channel();
    let (replays, wanted) = mpsc::unbounded_channel();
    let reader = Reader::new(Arc::clone(&node), replays);
    let tasks = vec![
        tokio::spawn(reader.run(consumer, heard)).abort_handle(),
        tokio::spawn(replay::replay(Arc::clone(&node), wanted, news.clone())).abort_handle(),
        tokio::spawn(watching::watch(Arc::clone(&node), news)).abort_handle(),
        tokio::spawn(watching::find_ends(Arc::clone(&node), asked)).abort_handle(),
        tokio::spawn(consuming.run()).abort_handle(),
        tokio::spawn(producing::expire(Arc::clone(&node))).abort_handle(),
    ];
    Ok(KafkaBroker { node, runtime: Handle::current(), tasks })
}

/// Makes the topic that is this broker's own, if it is not there, and notes what is to be read.
async fn begin(node: &Arc<Node>) -> KafkaResult<()> {
    let (asks, topic) = (Arc::clone(node), node.mapping.topic().to_owned());
    // That Kafka cannot be asked at all is said at once.
    if blocking(move || asks.asking.partitions(&topic)).await? == 0 {
        make(node, node.mapping.topic()).await?;
    }
    let (deadline, mut backoff) = (Instant::now() + MADE, Backoff::new());
    loop {
        let asks = Arc::clone(node);
        match blocking(move || asks.look_for_partitions(true)).await {
            // A new partition may be without a leader for a moment.
            Err(_) if Instant::now() < deadline => sleep(backoff.delay()).await,
            looked => return looked.map(|_| ()),
        }
    }
}

fn long_ago() -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(100 * 365 * 24 * 60 * 60)).unwrap_or(now)
}
