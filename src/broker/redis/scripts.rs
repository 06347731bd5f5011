use redis::{Pipeline, Script};

/// What Redis does as one step, each by a script. Those of queues run also where Redis has no memory
/// left (`allow-oom`): otherwise nobody could take messages out of it.
#[derive(Debug)]
pub(super) struct Scripts {
    /// Keeps a message in the stream of its topic, and publishes it.
    pub(super) publish: Loadable,
    /// Messages of a queue are done with.
    pub(super) acknowledge: Loadable,
    /// Puts messages of a queue back.
    pub(super) give_back: Loadable,
    /// A node begins to consume from a queue.
    pub(super) join: Script,
    /// Hands messages of a queue to a node.
    pub(super) read: Script,
    /// A node consumes from a queue no more.
    pub(super) leave: Script,
    /// A node says that it is alive, and asks who is not.
    pub(super) alive: Script,
}

/// A script that a transaction calls, which cannot load it when it is missing.
#[derive(Debug)]
pub(super) struct Loadable {
    code: &'static str,
    pub(super) script: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            publish: Loadable::new(include_str!("publish.lua")),
            acknowledge: Loadable::new(include_str!("acknowledge.lua")),
            give_back: Loadable::new(include_str!("give_back.lua")),
            join: Script::new(include_str!("join.lua")),
            read: Script::new(include_str!("read.lua")),
            leave: Script::new(include_str!("leave.lua")),
            alive: Script::new(include_str!("alive.lua")),
        }
    }
}

impl Loadable {
    fn new(code: &'static str) -> Self {
        Self { code, script: Script::new(code) }
    }

    /// Adds what loads it: a Redis forgets scripts when it starts again, and when it is told to.
    pub(super) fn load(&self, pipeline: &mut Pipeline) {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(self.code);
    }
}
