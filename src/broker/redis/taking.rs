use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use redis::RedisError;
use redis::aio::MultiplexedConnection;

use super::super::{BrokerError, Destination};
use super::queue::Queue;
use super::{Lost, Node, StreamId, names, refused};

/// Takes messages of one queue for its consumers on this node, over one connection.
struct Taking {
    node: Arc<Node>,
    connection: MultiplexedConnection,
    destination: Destination,
    stream: String,
    queue: Arc<Queue>,
}

/// The most messages that are asked for at once.
const AT_ONCE: usize = 256;

/// After how many bytes no more messages are handed out at once.
const BYTES_AT_ONCE: usize = 1 << 20;

/// How many messages that this node may hold are looked at at once.
const HELD_AT_ONCE: usize = 1_000;

/// A message as the script hands it out: its place, how often it may have reached a consumer, itself.
type HandedOut = (String, u32, Vec<u8>);

/// A message that Redis has down as this node's: its place, whose it is, for how long, and how often it
/// was handed out.
type Pending = (String, String, u64, u32);

/// Takes messages until the queue has no consumers here.
pub(super) async fn take(
    node: Arc<Node>,
    connection: MultiplexedConnection,
    destination: Destination,
) -> Result<(), Lost> {
    let Some(queue) = node.queues.get(&destination) else {
        node.queues.upstreams.stopped(&destination);
        return Ok(());
    };
    let _at_work = queue.at_work.lock().await;
    if !node.queues.has(&destination, &queue) {
        // It was left and forgotten meanwhile: whoever has come since is asked for again.
        node.queues.upstreams.stopped(&destination);
        return Ok(());
    }
    // Before anybody can say that it is to stop.
    queue.consumers.begin();
    let mut taking = Taking::new(node, connection, destination, Arc::clone(&queue));
    if let Err(error) = taking.begin().await? {
        taking.node.queues.refused(&taking.destination, &error);
        return Ok(());
    }
    taking.node.queues.upstreams.listening(&taking.destination);
    taking.run().await?;
    taking.node.queues.forget_if_empty(&taking.destination);
    taking.node.queues.upstreams.stopped(&taking.destination);
    Ok(())
}

/// Leaves a queue that had its last consumer here when the connection was lost.
pub(super) async fn leave(
    node: Arc<Node>,
    connection: MultiplexedConnection,
    destination: Destination,
) -> Result<(), Lost> {
    let Some(queue) = node.queues.get(&destination) else { return Ok(()) };
    let _at_work = queue.at_work.lock().await;
    // So that whoever comes now is handed nothing that is given back.
    queue.consumers.stop();
    if queue.is_abandoned() {
        let mut taking = Taking::new(node, connection, destination, Arc::clone(&queue));
        taking.leave().await?;
        taking.node.queues.forget_if_empty(&taking.destination);
    }
    Ok(())
}

impl Taking {
    fn new(
        node: Arc<Node>,
        connection: MultiplexedConnection,
        destination: Destination,
        queue: Arc<Queue>,
    ) -> Self {
        let stream = names::queue(&destination);
        Self { node, connection, destination, stream, queue }
    }

    /// Has Redis tell of messages that come, joins the queue's group, and finds out what this node
    /// holds already. The inner error is that Redis refuses.
    async fn begin(&mut self) -> Result<Result<(), BrokerError>, Lost> {
        let channel = names::channel(&self.destination);
        let begun = async {
            self.connection.subscribe(channel).await?;
            self.join().await
        };
        if let Err(error) = begun.await {
            let code = error.code().filter(|it| ["NOPERM", "WRONGTYPE", "OOM"].contains(it));
            return Ok(Err(refused(&self.destination, code.ok_or(Lost)?)));
        }
        self.find_held().await?;
        self.queue.wake();
        Ok(Ok(()))
    }

    async fn join(&mut self) -> Result<(), RedisError> {
        self.queue.joined.store(true, Ordering::Release);
        let mut call = self.node.scripts.join.prepare_invoke();
        call.key(&self.stream).key(self.node.queues_key()).arg(self.destination.as_str());
        call.invoke_async(&mut self.connection).await
    }

    async fn run(&mut self) -> Result<(), Lost> {
        loop {
            let queue = Arc::clone(&self.queue);
            self.settle();
            if queue.consumers.is_stopping() {
                return self.leave().await;
            }
            if queue.take_stale() {
                self.find_held().await?;
            }
            self.give_back().await?;
            queue.consumers.dispatch(Instant::now());
            let wanted = queue.consumers.wanted().min(AT_ONCE);
            if wanted > 0 && !queue.is_giving_back() && queue.take_more() {
                self.read(wanted).await?;
            } else {
                queue.changed().await;
            }
        }
    }

    /// Takes messages that nobody has.
    async fn read(&mut self, most: usize) -> Result<(), Lost> {
        let mut call = self.node.scripts.read.prepare_invoke();
        call.key(&self.stream).key(names::NODES).arg(names::node(self.node.number));
        call.arg(most).arg(BYTES_AT_ONCE);
        let read = call.invoke_async(&mut self.connection).await;
        let (messages, more): (Vec<HandedOut>, bool) = match read {
            Ok(read) => read,
            // Somebody has deleted the stream.
            Err(error) if error.code() == Some("NOGROUP") => {
                self.join().await?;
                (Vec::new(), true)
            }
            Err(_) => return Err(Lost),
        };
        for (id, attempts, payload) in messages {
            if let Ok(id) = id.parse() {
                self.queue.arrived(id, &payload, attempts);
            }
        }
        if more {
            self.queue.wake();
        }
        Ok(())
    }

    /// Takes what Redis has down as this node's and the node does not know: the answer that had it
    /// was lost, or it was settled here and Redis could not be told.
    async fn find_held(&mut self) -> Result<(), Lost> {
        let known = self.queue.held();
        let mut start = "-".to_owned();
        loop {
            let mut ask = redis::cmd("XPENDING");
            ask.arg(&self.stream).arg("nodes").arg(&start).arg("+").arg(HELD_AT_ONCE);
            ask.arg(names::node(self.node.number));
            let pending: Vec<Pending> = ask.query_async(&mut self.connection).await?;
            for (id, _, _, attempts) in &pending {
                if let Ok(id) = id.parse()
                    && !known.contains(&id)
                {
                    self.find(id, *attempts).await?;
                }
            }
            match pending.last() {
                Some((last, ..)) if pending.len() == HELD_AT_ONCE => start = format!("({last}"),
                _ => return Ok(()),
            }
        }
    }

    /// Takes one message that is this node's.
    async fn find(&mut self, id: StreamId, attempts: u32) -> Result<(), Lost> {
        let mut ask = redis::cmd("XRANGE");
        ask.arg(&self.stream).arg(id.to_string()).arg(id.to_string());
        let found: Vec<(String, Vec<Vec<u8>>)> = ask.query_async(&mut self.connection).await?;
        if let Some((_, fields)) = found.first()
            && let Some(payload) = fields.get(1)
        {
            self.queue.arrived(id, payload, attempts);
        }
        Ok(())
    }

    /// Tells Redis what has settled itself.
    fn settle(&self) {
        // What becomes of it is noted where it is answered.
        drop(self.node.push_settled(self.queue.take_settled(), Instant::now()));
    }

    /// Gives back what nobody here has credit for.
    async fn give_back(&mut self) -> Result<(), Lost> {
        let surplus = self.queue.take_surplus();
        if surplus.is_empty() {
            return Ok(());
        }
        let mut call = self.node.scripts.give_back.script.prepare_invoke();
        call.key(&self.stream).arg(names::node(self.node.number));
        call.arg(names::channel(&self.destination));
        for (id, attempts) in surplus {
            call.arg(id.to_string()).arg(attempts);
        }
        Ok(call.invoke_async(&mut self.connection).await?)
    }

    /// Gives back everything, once what was settled is done.
    async fn leave(&mut self) -> Result<(), Lost> {
        let queue = Arc::clone(&self.queue);
        self.settle();
        while queue.is_settling() {
            queue.changed().await;
            self.settle();
        }
        self.give_back().await?;
        let channel = names::channel(&self.destination);
        let mut call = self.node.scripts.leave.prepare_invoke();
        call.key(&self.stream).key(self.node.queues_key()).key(names::NODES);
        call.arg(names::node(self.node.number)).arg(self.destination.as_str()).arg(&channel);
        call.arg("");
        call.invoke_async::<()>(&mut self.connection).await?;
        queue.lost();
        queue.joined.store(false, Ordering::Release);
        Ok(self.connection.unsubscribe(channel).await?)
    }
}
