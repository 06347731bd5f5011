use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};

use super::super::BrokerError;
use super::super::engine::{Backoff, Item};
use super::request::Request;
use super::{ENGINE, Lost, Node, names};

/// What a batch is made of at the most, so that it takes a Redis no longer than others can wait.
const BATCH_REQUESTS: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// How long what is sent waits at the most for a subscription before it.
const AWAITED: Duration = Duration::from_secs(1);

/// How long a Redis remembers how far a node had come that is gone, in seconds.
const PROGRESS_SECONDS: u64 = 3600;

/// Takes what is in the outbox to the Redis, in its order, over one connection after the other.
pub(super) async fn send(node: Arc<Node>, first: MultiplexedConnection) {
    tokio::join!(send_over_connections(&node, first), give_up_in_time(&node));
}

async fn send_over_connections(node: &Node, first: MultiplexedConnection) {
    let mut connection = Some(first);
    let mut backoff = Backoff::new();
    let mut previous = None;
    loop {
        if let Some(connected) = connection.take() {
            let Err(Lost) = send_over(node, connected, &mut previous, &mut backoff).await;
            node.outbox.lost();
        }
        tokio::time::sleep(backoff.delay()).await;
        connection = node.connect().await.ok();
    }
}

/// What has waited too long for a Redis that does not answer is answered in its place.
async fn give_up_in_time(node: &Node) {
    loop {
        let now = Instant::now();
        let soon = now + Duration::from_secs(1);
        node.rooms.expire(ENGINE, now);
        node.globs.expire(ENGINE, now);
        let given_up = |request: &Request| node.queues.answered(request, false);
        let next = node.outbox.expire_each(now, given_up).unwrap_or(soon).min(soon);
        tokio::time::sleep_until(next.into()).await;
    }
}

/// Finds out how far this node has come over connections before. What was sent over the `previous` one
/// and waits in it must not be done after that.
async fn progress(
    node: &Node,
    connection: &mut MultiplexedConnection,
    previous: &mut Option<u64>,
) -> Result<u64, Lost> {
    node.replace(connection, previous).await;
    let mut ask = redis::cmd("GET");
    ask.arg(names::progress(node.number));
    let done: Option<u64> = ask.query_async(connection).await?;
    Ok(done.unwrap_or_default())
}

/// Sends batch after batch. Each is one transaction that also notes how far this node has come: so it
/// is known after a loss of the connection whether the last one was done, and nothing is done twice.
async fn send_over(
    node: &Node,
    mut connection: MultiplexedConnection,
    previous: &mut Option<u64>,
    backoff: &mut Backoff,
) -> Result<Infallible, Lost> {
    let done = progress(node, &mut connection, previous).await?;
    backoff.reset();
    let mut most = BATCH_REQUESTS;
    let mut batch: Vec<Item<Request>> = Vec::new();
    loop {
        if batch.is_empty() {
            fill(node, &mut batch, done).await;
            continue;
        }
        let sent = batch.len().min(most);
        let part = batch.get(..sent).unwrap_or_default();
        let mut answers = send_batch(node, &mut connection, part, true).await?;
        if answers.is_none() && !publishes(part) {
            // A Redis without memory takes no transactions, but these take messages out of it.
            answers = send_batch(node, &mut connection, part, false).await?;
        }
        match answers {
            Some(answers) => {
                for (item, answered) in batch.drain(..sent).zip(answers) {
                    answer(node, &item, answered);
                }
            }
            // One of them was refused before any was done: which one is seen when each is alone.
            None if sent > 1 => most = 1,
            None => {
                for item in batch.drain(..sent) {
                    let error = refused(&item.what, "its transaction was aborted".to_owned());
                    answer(node, &item, Err(error));
                }
            }
        }
        if batch.is_empty() {
            most = BATCH_REQUESTS;
        }
    }
}

/// Waits for something to send, and takes what is there with it. What was done already is answered.
async fn fill(node: &Node, batch: &mut Vec<Item<Request>>, done: u64) {
    let mut bytes = 0;
    let mut next = Some(node.outbox.next().await);
    while let Some(item) = next.take() {
        if item.again && item.number <= done {
            answer(node, &item, Ok(()));
        } else {
            if let Some(outcome) = item.what.awaited() {
                drop(tokio::time::timeout(AWAITED, outcome).await);
            }
            bytes += item.what.bytes();
            batch.push(item);
        }
        if batch.len() < BATCH_REQUESTS && bytes < BATCH_BYTES {
            next = node.outbox.try_next();
        }
    }
}

/// Sends a batch, as one transaction or one after the other, and returns what became of each request
/// in it; `None` if the whole was refused.
async fn send_batch(
    node: &Node,
    connection: &mut MultiplexedConnection,
    batch: &[Item<Request>],
    transaction: bool,
) -> Result<Option<Vec<Result<(), BrokerError>>>, Lost> {
    let Some(last) = batch.last() else { return Ok(Some(Vec::new())) };
    let mut pipeline = Pipeline::new();
    load_scripts(node, &mut pipeline, batch);
    let mut first = pipeline.len();
    if transaction {
        pipeline.cmd("MULTI");
    }
    for step in batch.iter().flat_map(|item| item.what.steps()) {
        step.add(node, &mut pipeline);
    }
    if transaction {
        // What settles messages may be done twice.
        if publishes(batch) {
            let progress = names::progress(node.number);
            pipeline.cmd("SET").arg(progress).arg(last.number).arg("EX").arg(PROGRESS_SECONDS);
        }
        // Only its answer is looked at: it has those of all the others.
        first = pipeline.len();
        pipeline.cmd("EXEC");
    }
    let count = pipeline.len() - first;
    let answers = connection.send_packed_commands(&pipeline, first, count).await;
    let mut answers = answers.map_err(|_| Lost)?;
    if transaction {
        answers = match answers.pop() {
            Some(Value::Array(answers)) => answers,
            Some(Value::ServerError(_) | Value::Nil) => return Ok(None),
            _ => return Err(Lost),
        };
    }
    let mut answers = answers.into_iter();
    let of_request = |item: &Item<Request>| {
        let mut reason = None;
        for answer in answers.by_ref().take(item.what.commands(node)) {
            if let Value::ServerError(error) = answer {
                reason = Some(error.code().to_owned());
            }
        }
        reason.map_or(Ok(()), |reason| Err(refused(&item.what, reason)))
    };
    Ok(Some(batch.iter().map(of_request).collect()))
}

/// Whether any of it must not be done twice.
fn publishes(batch: &[Item<Request>]) -> bool {
    batch.iter().any(|item| item.what.publishes())
}

/// Adds what loads the scripts that a batch calls.
fn load_scripts(node: &Node, pipeline: &mut Pipeline, batch: &[Item<Request>]) {
    let mut loaded: Vec<&str> = Vec::new();
    let steps = batch.iter().flat_map(|item| item.what.steps());
    for script in steps.filter_map(|step| step.script(node)) {
        let hash = script.script.get_hash();
        if !loaded.contains(&hash) {
            loaded.push(hash);
            script.load(pipeline);
        }
    }
}

/// What was asked for was done, or refused.
fn answer(node: &Node, item: &Item<Request>, answer: Result<(), BrokerError>) {
    node.queues.answered(&item.what, answer.is_ok());
    node.outbox.answer(item.number, answer);
}

fn refused(request: &Request, reason: String) -> BrokerError {
    BrokerError::Refused { destination: request.destination(), reason, engine: ENGINE }
}
