use parking_lot::Mutex;

/// Which messages of queues JetStream may have handed out and not know of any more.
///
/// A server that has crashed may have forgotten what it had handed out, to this node and to others. So
/// all that was in the stream when this node is back counts as handed out. After a mere loss of the
/// connection the server is the same, and knows.
#[derive(Debug, Default)]
pub(super) struct Doubt(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The run of the server that was connected to last, by the server's own id of it.
    server: Option<String>,
    /// Whether that is another one than the one before, and the stream was not looked at since.
    is_another: bool,
    /// The last place in the stream that is in doubt.
    last: u64,
}

impl Doubt {
    /// The node is connected to this run of a server.
    pub(super) fn connected(&self, server: String) {
        let mut state = self.0.lock();
        let before = state.server.replace(server);
        state.is_another |= before.is_some() && before != state.server;
    }

    /// So far the stream of the queues had come when it was opened over the present connection.
    pub(super) fn opened(&self, last: u64) {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.is_another) {
            state.last = state.last.max(last);
        }
    }

    /// What handed out messages is gone, and another one begins, which knows nothing of what was handed
    /// out: so far the stream had come by then.
    pub(super) fn begun_anew(&self, last: u64) {
        // It may be another stream, which has begun anew as well.
        self.0.lock().last = last;
    }

    /// How often a message in this place of the stream may have been handed out before this time, if
    /// JetStream says that it has handed it out so often.
    pub(super) fn earlier_attempts(&self, place: u64, delivered: u32) -> u32 {
        let in_doubt = place <= self.0.lock().last;
        delivered.saturating_sub(1).max(in_doubt.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_run_of_the_server_finds_in_the_stream_counts_as_handed_out() {
        let doubt = Doubt::default();
        let earlier = |place, delivered| doubt.earlier_attempts(place, delivered);
        for (server, last) in [("one", 5), ("one", 6)] {
            doubt.connected(server.to_owned());
            doubt.opened(last);
            assert_eq!((earlier(1, 1), earlier(1, 3)), (0, 2));
        }
        doubt.connected("another".to_owned());
        doubt.opened(7);
        // The next queue that is consumed from.
        doubt.opened(9);
        assert_eq!((earlier(7, 1), earlier(7, 3), earlier(8, 1)), (1, 2, 0));
    }

    #[test]
    fn what_another_one_hands_out_counts_as_handed_out() {
        let doubt = Doubt::default();
        doubt.begun_anew(7);
        assert_eq!((doubt.earlier_attempts(7, 1), doubt.earlier_attempts(8, 1)), (1, 0));
        // Of another stream.
        doubt.begun_anew(0);
        assert_eq!(doubt.earlier_attempts(7, 1), 0);
    }

    #[test]
    fn a_server_that_was_not_asked_is_remembered() {
        let doubt = Doubt::default();
        for server in ["one", "another", "another"] {
            doubt.connected(server.to_owned());
        }
        doubt.opened(7);
        assert_eq!(doubt.earlier_attempts(7, 1), 1);
    }
}
