use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisResult, Value};

use crate::session::{Delivery, Token};

use super::super::engine::{Backoff, Change};
use super::super::{Destination, Turn};
use super::asking::{Asking, Question};
use super::missed::Missed;
use super::names::{self, Glob};
use super::pushes::Pushes;
use super::windows::Window;
use super::{Lost, Node, StreamId, payload, stream};

/// Listens to what the subscribers of this node have subscribed to, over one connection after the
/// other.
pub(super) async fn listen(node: Arc<Node>) {
    let mut listener = Listener::new(node);
    let mut backoff = Backoff::new();
    loop {
        let Err(Lost) = listener.listen_once(&mut backoff).await;
        listener.lost();
        tokio::time::sleep(backoff.delay()).await;
    }
}

/// How often a Redis that says nothing is asked whether it is there.
const ASKED: Duration = Duration::from_secs(2);

/// How many messages are taken in one turn.
const AT_ONCE: usize = 1_000;

/// How many messages are read from a stream at once.
const READ_AT_ONCE: usize = 1_000;

/// The one task that knows what Redis sends at present.
struct Listener {
    node: Arc<Node>,
    /// The destinations that Redis has confirmed.
    rooms: HashSet<Destination>,
    /// The globs that Redis has confirmed, in that order. A message that several of them match, or
    /// a room as well, comes once for each, and counts once.
    globs: Vec<Glob>,
    missed: Missed,
}

/// What a connection brings next.
enum Next {
    Push(PushInfo),
    Answered((Question, RedisResult<()>)),
    Rooms(Change),
    Globs(Change),
    Ask,
}

impl Listener {
    fn new(node: Arc<Node>) -> Self {
        let (rooms, globs) = (HashSet::new(), Vec::new());
        Self { node, rooms, globs, missed: Missed::default() }
    }

    async fn listen_once(&mut self, backoff: &mut Backoff) -> Result<Infallible, Lost> {
        let (config, mut pushes) = Pushes::config();
        let mut connection = self.node.connect_with(config).await?;
        self.forget_unwanted();
        backoff.reset();
        let mut asking = Asking::new(connection.clone());
        let mut ask = tokio::time::interval(ASKED);
        let node = Arc::clone(&self.node);
        loop {
            let next = tokio::select! {
                push = pushes.next() => Next::Push(push.ok_or(Lost)?),
                Some(answered) = asking.next() => Next::Answered(answered?),
                change = node.rooms.change() => Next::Rooms(change),
                change = node.globs.change() => Next::Globs(change),
                _ = ask.tick() => Next::Ask,
            };
            match next {
                Next::Push(push) => self.handle(push, &mut pushes, &mut connection).await?,
                Next::Answered(answered) => asking.heed(&node, answered)?,
                Next::Rooms(first) => asking.change_rooms(first, || node.rooms.try_change()),
                Next::Globs(first) => asking.change_globs(first, || node.globs.try_change()),
                Next::Ask => asking.ping(),
            }
        }
    }

    /// Takes what was pushed, and what else is there, in one turn.
    async fn handle(
        &mut self,
        first: PushInfo,
        pushes: &mut Pushes,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), Lost> {
        let mut turn = Turn::new(Instant::now());
        let mut next = Some(first);
        let mut left = AT_ONCE;
        while let Some(PushInfo { kind, data }) = next {
            let mut data = data.into_iter().map_while(|value| match value {
                Value::BulkString(bytes) => Some(bytes),
                _ => None,
            });
            let (name, second, third) = (data.next(), data.next(), data.next());
            let named = name.as_deref().and_then(names::behind_prefix);
            match (kind, named, second, third) {
                (PushKind::Disconnection, ..) => return Err(Lost),
                (PushKind::Message, Some(room), Some(payload), _) => {
                    self.message(room, &payload, &mut turn);
                }
                (PushKind::PMessage, Some(glob), Some(channel), Some(payload)) => {
                    self.glob_message(&Glob::named(glob), &channel, &payload, &mut turn);
                }
                (PushKind::Subscribe, Some(room), ..) => {
                    self.subscribed(room, connection, &mut turn).await?;
                }
                (PushKind::Unsubscribe, Some(room), ..) => self.unsubscribed(room),
                (PushKind::PSubscribe, Some(glob), ..) => {
                    self.glob_subscribed(Glob::named(glob), connection, &mut turn).await?;
                }
                (PushKind::PUnsubscribe, Some(glob), ..) => {
                    self.glob_unsubscribed(&Glob::named(glob));
                }
                // Nobody here has asked for it.
                _ => {}
            }
            left -= 1;
            next = if left > 0 { pushes.try_next() } else { None };
        }
        Ok(())
    }

    /// A message came by the subscription to its destination.
    fn message(&mut self, room: &str, payload: &[u8], turn: &mut Turn) {
        if let Ok(room) = Destination::new(room) {
            self.route(&room, payload, turn);
        }
    }

    /// A message came by a glob. It counts if it comes by nothing else, or by this glob first.
    fn glob_message(&mut self, glob: &Glob, channel: &[u8], payload: &[u8], turn: &mut Turn) {
        let named = names::behind_prefix(channel).and_then(|room| Destination::new(room).ok());
        let Some(room) = named else { return };
        let first = self.globs.iter().find(|glob| glob.matches(room.as_str()));
        if !self.rooms.contains(&room) && first == Some(glob) {
            self.route(&room, payload, turn);
        }
    }

    fn route(&mut self, room: &Destination, payload: &[u8], turn: &mut Turn) {
        let (message, token) = payload::read(room, payload);
        let mut delivery = Delivery::new(message);
        let id = token.as_ref().and_then(Token::as_text).and_then(|it| it.parse::<StreamId>().ok());
        if let Some(id) = id.filter(|_| self.node.keeps_history(room)) {
            let window = self.node.windows.get(room);
            // It was read from the stream already.
            if window.is_some_and(|window| id <= window.last) {
                return;
            }
            let first = window.and_then(|window| window.first).or(Some(id));
            let complete = window.is_some_and(|window| window.complete);
            self.node.windows.set(room, Window { first, last: id, complete });
        }
        if let Some(token) = token {
            delivery = delivery.with_token(token);
        }
        delivery = delivery.with_gap(self.missed.at(room));
        // What it waits for is in this node: the next messages wait meanwhile in the connection.
        drop(self.node.router.route(room, delivery, turn));
    }

    async fn subscribed(
        &mut self,
        room: &str,
        connection: &mut MultiplexedConnection,
        turn: &mut Turn,
    ) -> Result<(), Lost> {
        let Ok(room) = Destination::new(room) else { return Ok(()) };
        if self.node.keeps_history(&room) {
            self.read_stream(&room, connection, turn).await?;
        }
        self.node.rooms.listening_with(&room, &self.node.router, turn);
        self.rooms.insert(room);
        Ok(())
    }

    fn unsubscribed(&mut self, room: &str) {
        let Ok(room) = Destination::new(room) else { return };
        self.rooms.remove(&room);
        self.missed.rooms.remove(&room);
        if self.node.keeps_history(&room) {
            self.drop_windows();
        }
        self.node.rooms.stopped(&room);
    }

    async fn glob_subscribed(
        &mut self,
        glob: Glob,
        connection: &mut MultiplexedConnection,
        turn: &mut Turn,
    ) -> Result<(), Lost> {
        // What came by it before a loss of the connection goes on without a gap.
        for room in self.node.windows.destinations() {
            if glob.matches(room.as_str()) && !self.rooms.contains(&room) {
                self.read_missed(&room, connection, turn).await?;
            }
        }
        if let Ok(upstream) = glob.upstream() {
            self.node.globs.listening_with(&upstream, &self.node.router, turn);
        }
        if !self.globs.contains(&glob) {
            self.globs.push(glob);
        }
        Ok(())
    }

    fn glob_unsubscribed(&mut self, glob: &Glob) {
        self.globs.retain(|other| other != glob);
        self.missed.globs.retain(|other| other != glob);
        self.drop_windows();
        if let Ok(upstream) = glob.upstream() {
            self.node.globs.stopped(&upstream);
        }
    }

    /// What is not followed any more is not known any more either.
    fn drop_windows(&self) {
        let (rooms, globs) = (&self.rooms, &self.globs);
        let gone = |room: &Destination| {
            !rooms.contains(room) && !globs.iter().any(|glob| glob.matches(room.as_str()))
        };
        self.node.windows.drop_where(gone, &self.node.router);
    }

    /// Reads what this node does not have of a stream: what was published since the last message that
    /// came, and what was there before the first.
    async fn read_stream(
        &mut self,
        room: &Destination,
        connection: &mut MultiplexedConnection,
        turn: &mut Turn,
    ) -> Result<(), Lost> {
        self.read_missed(room, connection, turn).await?;
        let window = self.node.windows.get(room);
        if window.is_some_and(|window| window.complete) {
            return Ok(());
        }
        let retention = self.node.rules.policy(room).retention;
        let behind = window.and_then(|window| window.first).map(|id| format!("({id}"));
        let mut older = VecDeque::new();
        let mut end = behind.unwrap_or_else(|| "+".to_owned());
        loop {
            let most = READ_AT_ONCE.min(retention.messages - older.len());
            let read = stream::read(connection, "XREVRANGE", room, [&end, "-"], most).await?;
            let count = read.len();
            for (id, payload) in read {
                older.push_front((id, payload));
            }
            let Some((first, _)) = older.front().filter(|_| count == READ_AT_ONCE) else { break };
            end = format!("({first}");
        }
        let end = older.back().map_or(StreamId::ZERO, |(id, _)| *id);
        let first = older.front().map(|(id, _)| *id).or(window.and_then(|window| window.first));
        let whole = older.len() < retention.messages;
        let older = older.iter().filter_map(|(id, payload)| {
            Some((stream::instant(*id), stream::delivery(room, *id, payload)?))
        });
        let now = Instant::now();
        // Nobody knows of what the stream has dropped for its age.
        let gone = if whole { now.checked_sub(retention.age) } else { first.map(stream::instant) };
        let older: Vec<_> = older.collect();
        self.node.router.prepend(room, &older, gone.unwrap_or(now), now);
        let last = window.map_or(end, |window| window.last.max(end));
        let window = Window { first, last, complete: true };
        self.node.windows.set(room, window);
        Ok(())
    }

    /// Routes what was published since the last message that came.
    async fn read_missed(
        &mut self,
        room: &Destination,
        connection: &mut MultiplexedConnection,
        turn: &mut Turn,
    ) -> Result<(), Lost> {
        let Some(mut window) = self.node.windows.get(room) else { return Ok(()) };
        let mut contiguous = window.last == StreamId::ZERO;
        let mut start = window.last.to_string();
        loop {
            let missed =
                stream::read(connection, "XRANGE", room, [&start, "+"], READ_AT_ONCE).await?;
            let count = missed.len();
            for (id, payload) in missed {
                contiguous |= id == window.last;
                if id <= window.last {
                    continue;
                }
                let Some(delivery) = stream::delivery(room, id, &payload) else { continue };
                let gap = !std::mem::replace(&mut contiguous, true);
                drop(self.node.router.route(room, delivery.with_gap(gap), turn));
                window.first = window.first.or(Some(id));
                window.last = id;
            }
            if count < READ_AT_ONCE {
                break;
            }
            start = format!("({}", window.last);
        }
        if contiguous || stream::last(connection, room).await? == Some(window.last) {
            self.missed.told(room);
        } else {
            // Something was there, and is gone.
            self.missed.rooms.insert(room.clone());
        }
        self.node.windows.set(room, window);
        Ok(())
    }

    /// The connection is gone, and whatever was published since may be missed.
    fn lost(&mut self) {
        self.missed.lost(self.rooms.drain(), self.globs.drain(..));
        self.node.rooms.lost();
        self.node.globs.lost();
        self.forget_unwanted();
    }

    /// Who has left meanwhile is told of nothing, and what nobody follows is dropped.
    fn forget_unwanted(&mut self) {
        let node = &self.node;
        self.missed.rooms.retain(|room| node.rooms.is_wanted(room));
        self.missed
            .globs
            .retain(|glob| glob.upstream().is_ok_and(|upstream| node.globs.is_wanted(&upstream)));
        let missed = &self.missed;
        let gone = |room: &Destination| {
            let by_glob = missed.globs.iter().any(|glob| glob.matches(room.as_str()));
            !missed.rooms.contains(room) && !by_glob
        };
        node.windows.drop_where(gone, &node.router);
    }
}
