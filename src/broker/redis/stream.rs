use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoStreamReply;

use crate::session::{Delivery, Token};

use super::super::Destination;
use super::{Lost, StreamId, names, payload};

/// Reads from the stream of a destination.
pub(super) async fn read(
    connection: &mut MultiplexedConnection,
    command: &str,
    room: &Destination,
    [from, to]: [&str; 2],
    most: usize,
) -> Result<Vec<(StreamId, Vec<u8>)>, Lost> {
    let mut command = redis::cmd(command);
    command.arg(names::stream(room)).arg(from).arg(to).arg("COUNT").arg(most);
    let entries: Vec<(String, Vec<Vec<u8>>)> = command.query_async(connection).await?;
    let read = entries.into_iter().filter_map(|(id, mut fields)| {
        // The value of its first field.
        Some((id.parse().ok()?, (fields.len() > 1).then(|| fields.swap_remove(1))?))
    });
    Ok(read.collect())
}

/// The last message that a stream ever had, if there is a stream.
pub(super) async fn last(
    connection: &mut MultiplexedConnection,
    room: &Destination,
) -> Result<Option<StreamId>, Lost> {
    let mut command = redis::cmd("XINFO");
    command.arg("STREAM").arg(names::stream(room));
    let info: RedisResult<StreamInfoStreamReply> = command.query_async(connection).await;
    match info {
        Ok(info) => Ok(info.last_generated_id.parse().ok()),
        Err(error) if error.code() == Some("ERR") => Ok(None),
        Err(_) => Err(Lost),
    }
}

/// A message as it was kept, to be delivered.
pub(super) fn delivery(room: &Destination, id: StreamId, payload: &[u8]) -> Option<Delivery> {
    let token = Token::new(&id.to_string()).ok()?;
    Some(Delivery::new(payload::read_kept(room, payload)).with_token(token))
}

/// When a message was added to its stream, by this node's clock.
pub(super) fn instant(id: StreamId) -> Instant {
    let now = Instant::now();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ago = since.saturating_sub(Duration::from_millis(id.milliseconds));
    now.checked_sub(ago).unwrap_or(now)
}
