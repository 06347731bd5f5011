use super::work::Work;

/// What a broker may ask of the program that runs it. The server implements it.
pub trait Host: Send + Sync {
    /// Runs `work` soon, elsewhere than in the caller: a flush so long that it would hold up whoever
    /// published, or one that will take along what others are about to publish.
    ///
    /// It is run to its end, [part by part](Work::run). If it is dropped before that nothing is lost,
    /// but what is left waits until somebody publishes at the same destination, and so do the
    /// outcomes of those who wait for it: that is for a program that stops.
    fn hand_over(&self, work: Work);

    /// A number that no other run of the program has, drawn at random: it tells the
    /// [tokens](crate::session::Token) that were given in this run from those of an earlier one.
    /// It does not change. Default: 0, for programs whose clients do not outlive them.
    fn epoch(&self) -> u64 {
        0
    }

    /// The broker's [`next_deadline`](super::Broker::next_deadline) has changed.
    fn deadline_changed(&self) {}
}
