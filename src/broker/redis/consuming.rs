use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::task::JoinSet;

use super::super::Destination;
use super::super::engine::{Backoff, Change};
use super::pushes::Pushes;
use super::{Lost, Node, names, taking};

/// Consumes from the queues that have consumers on this node, over one connection after the other.
/// There is none before anybody consumes.
pub(super) async fn consume(node: Arc<Node>) {
    let mut backoff = Backoff::new();
    let mut previous = None;
    loop {
        let first = if node.queues.abandoned().is_empty() {
            Some(node.queues.upstreams.change().await)
        } else {
            None
        };
        let mut tasks = JoinSet::new();
        let Err(Lost) = consume_over(&node, first, &mut tasks, &mut previous, &mut backoff).await;
        tasks.shutdown().await;
        node.queues.upstreams.lost();
        tokio::time::sleep(backoff.delay()).await;
    }
}

/// How often a node says that it is alive.
const BEAT: Duration = Duration::from_secs(4);

/// How long after that it counts as dead. Who is connected for less than this takes nobody for dead:
/// it may be Redis that was away.
const LIFETIME: Duration = Duration::from_secs(20);

/// Whether the node was known and not taken for dead, and the dead who consumed from queues.
type Alive = (bool, Vec<String>);

async fn consume_over(
    node: &Arc<Node>,
    first: Option<Change>,
    tasks: &mut JoinSet<Result<(), Lost>>,
    previous: &mut Option<u64>,
    backoff: &mut Backoff,
) -> Result<Infallible, Lost> {
    let (config, mut pushes) = Pushes::config();
    let mut connection = node.connect_with(config).await?;
    // What was asked over the one before and waits in it must not be handed to this node unseen.
    node.replace(&mut connection, previous).await;
    let (known, _) = alive(node, &mut connection, true, None).await?;
    if !known {
        node.queues.lost();
    }
    backoff.reset();
    tasks.spawn(stay_alive(Arc::clone(node), connection.clone()));
    for queue in node.queues.abandoned() {
        tasks.spawn(taking::leave(Arc::clone(node), connection.clone(), queue));
    }
    if let Some(first) = first {
        change(node, &connection, tasks, first);
    }
    loop {
        tokio::select! {
            push = pushes.next() => pushed(node, &push.ok_or(Lost)?)?,
            Some(ended) = tasks.join_next() => ended.map_err(|_| Lost)??,
            next = node.queues.upstreams.change() => change(node, &connection, tasks, next),
        }
    }
}

fn change(
    node: &Arc<Node>,
    connection: &MultiplexedConnection,
    tasks: &mut JoinSet<Result<(), Lost>>,
    change: Change,
) {
    match change {
        Change::Listen(queue) => {
            tasks.spawn(taking::take(Arc::clone(node), connection.clone(), queue));
        }
        Change::Stop(queue) => match node.queues.get(&queue) {
            Some(queue) => queue.consumers.stop(),
            None => node.queues.upstreams.stopped(&queue),
        },
    }
}

/// What is pushed says only that something came: who is slow to read it is not flooded.
fn pushed(node: &Node, push: &PushInfo) -> Result<(), Lost> {
    match (push.kind.clone(), push.data.first()) {
        (PushKind::Disconnection, _) => return Err(Lost),
        (PushKind::Message, Some(Value::BulkString(channel))) => {
            let queue = names::behind_prefix(channel).and_then(|it| Destination::new(it).ok());
            if let Some(queue) = queue.and_then(|it| node.queues.get(&it)) {
                queue.wake();
            }
        }
        _ => {}
    }
    Ok(())
}

/// Says that this node is alive, and gives back what the dead held.
///
/// Redis could go by how long each message is out (`XAUTOCLAIM`). Then every node would have to refresh
/// every message that a slow consumer holds; so it costs one command a node, whatever it holds.
async fn stay_alive(node: Arc<Node>, mut connection: MultiplexedConnection) -> Result<(), Lost> {
    let since = Instant::now();
    let mut beat = tokio::time::interval(BEAT);
    loop {
        beat.tick().await;
        let lifetime = (since.elapsed() > LIFETIME).then_some(LIFETIME);
        let (known, dead) = alive(&node, &mut connection, false, lifetime).await?;
        if !known {
            return Err(Lost);
        }
        for dead in dead {
            bury(&node, &mut connection, &dead).await?;
        }
    }
}

async fn alive(
    node: &Node,
    connection: &mut MultiplexedConnection,
    again: bool,
    lifetime: Option<Duration>,
) -> Result<Alive, Lost> {
    let lifetime = lifetime.map_or_else(String::new, |it| it.as_millis().to_string());
    let mut call = node.scripts.alive.prepare_invoke();
    call.key(names::NODES).arg(names::node(node.number)).arg(u8::from(again));
    call.arg(lifetime).arg(names::QUEUES_OF_NODE);
    Ok(call.invoke_async(connection).await?)
}

/// Leaves, for a node that is dead, the queues that it consumed from.
async fn bury(node: &Node, connection: &mut MultiplexedConnection, dead: &str) -> Result<(), Lost> {
    let key = format!("{}{dead}", names::QUEUES_OF_NODE);
    let queues: Vec<String> = redis::cmd("SMEMBERS").arg(&key).query_async(connection).await?;
    for queue in queues {
        let Ok(destination) = Destination::new(&queue) else { continue };
        let mut call = node.scripts.leave.prepare_invoke();
        call.key(names::queue(&destination)).key(&key).key(names::NODES);
        call.arg(dead).arg(&queue).arg(names::channel(&destination)).arg("1");
        call.invoke_async::<()>(connection).await?;
    }
    Ok(())
}
