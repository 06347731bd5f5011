use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use super::super::Destination;
use super::super::engine::Change;
use super::names::{self, Glob};
use super::{Lost, Node};

/// How many subscriptions one command asks for.
pub(super) const AT_ONCE: usize = 1_000;

/// What Redis was asked over the connection that listens, and has not answered.
///
/// That a subscription begins or ends is also pushed, in its place among the messages; here is looked
/// only at whether Redis refuses.
pub(super) struct Asking {
    connection: MultiplexedConnection,
    asked: JoinSet<(Question, RedisResult<()>)>,
}

/// What Redis is asked.
pub(super) struct Question {
    what: What,
    /// The destinations, or the globs, as the upstream subscriptions name them.
    upstreams: Vec<Destination>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Ping,
    Subscribe,
    Unsubscribe,
    PatternSubscribe,
    PatternUnsubscribe,
}

impl Asking {
    pub(super) fn new(connection: MultiplexedConnection) -> Self {
        Self { connection, asked: JoinSet::new() }
    }

    /// Whether Redis is there.
    pub(super) fn ping(&mut self) {
        self.ask(Question { what: What::Ping, upstreams: Vec::new() });
    }

    /// To begin and to end subscriptions to destinations.
    pub(super) fn change_rooms(&mut self, first: Change, next: impl Fn() -> Option<Change>) {
        self.change(first, next, [What::Subscribe, What::Unsubscribe]);
    }

    /// To begin and to end subscriptions to globs.
    pub(super) fn change_globs(&mut self, first: Change, next: impl Fn() -> Option<Change>) {
        self.change(first, next, [What::PatternSubscribe, What::PatternUnsubscribe]);
    }

    /// Waits for the next answer; there is none while nothing is asked.
    pub(super) async fn next(&mut self) -> Option<Result<(Question, RedisResult<()>), Lost>> {
        Some(self.asked.join_next().await?.map_err(|_| Lost))
    }

    /// Looks at an answer. What Redis refuses is refused, and only that: an ACL may allow this node
    /// one destination and not the next.
    pub(super) fn heed(
        &mut self,
        node: &Node,
        (question, answer): (Question, RedisResult<()>),
    ) -> Result<(), Lost> {
        let Err(error) = answer else { return Ok(()) };
        let Some(reason) = error.code().filter(|code| *code == "NOPERM") else {
            return Err(Lost);
        };
        match question.upstreams.as_slice() {
            [] => return Err(Lost),
            [only] => match question.what {
                What::Subscribe => node.refuse_room(only, reason),
                What::PatternSubscribe => node.refuse_glob(only, reason),
                What::Ping | What::Unsubscribe | What::PatternUnsubscribe => return Err(Lost),
            },
            several => {
                for one in several {
                    let upstreams = vec![one.clone()];
                    self.ask(Question { what: question.what, upstreams });
                }
            }
        }
        Ok(())
    }

    fn change(
        &mut self,
        first: Change,
        next: impl Fn() -> Option<Change>,
        [listen, stop]: [What; 2],
    ) {
        let (mut listens, mut stops) = (Vec::new(), Vec::new());
        let others = std::iter::from_fn(next).take(AT_ONCE - 1);
        for change in std::iter::once(first).chain(others) {
            match change {
                Change::Listen(destination) => listens.push(destination),
                Change::Stop(destination) => stops.push(destination),
            }
        }
        for (what, upstreams) in [(listen, listens), (stop, stops)] {
            if !upstreams.is_empty() {
                self.ask(Question { what, upstreams });
            }
        }
    }

    fn ask(&mut self, question: Question) {
        let mut connection = self.connection.clone();
        self.asked.spawn(async move {
            let channels = || question.upstreams.iter().map(names::channel).collect::<Vec<_>>();
            let pattern = |glob: &Destination| Glob::named(glob.as_str()).pattern();
            let patterns = || question.upstreams.iter().map(pattern).collect::<Vec<_>>();
            let answer = match question.what {
                What::Ping => redis::cmd("PING").query_async(&mut connection).await,
                What::Subscribe => connection.subscribe(channels()).await,
                What::Unsubscribe => connection.unsubscribe(channels()).await,
                What::PatternSubscribe => connection.psubscribe(patterns()).await,
                What::PatternUnsubscribe => connection.punsubscribe(patterns()).await,
            };
            (question, answer)
        });
    }
}
