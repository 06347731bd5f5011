use super::router::Work;

/// What a broker may ask of the program that runs it. The server implements it.
pub trait Host: Send + Sync {
    /// Runs `work` soon, elsewhere than in the caller: a flush so long that it would hold up whoever
    /// published.
    fn hand_over(&self, work: Work);

    /// The broker's [`next_deadline`](super::Broker::next_deadline) has changed.
    fn deadline_changed(&self) {}
}
