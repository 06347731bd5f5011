//! What is done to the model, in whichever order.

use proptest::prelude::*;
use proptest::sample::Index;
use stompbox::session::SlowConsumerAction;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Subscribe {
        settles: bool,
        /// One of [`actions`], or none.
        policy: Option<Index>,
    },
    Activate(Index),
    /// Encodes them at once, if that is wished and nothing waits.
    Deliver(Index, Vec<What>, bool),
    Unsubscribe(Index),
    /// Takes about so many bytes, of which the socket takes a part.
    Take(usize, Index),
    /// Acknowledges one that the client has.
    Settle(Index),
    Receipt,
    /// So many milliseconds pass; the deadline is kept.
    Pass(u64),
}

/// A message.
#[derive(Debug, Clone)]
pub(super) struct What {
    pub(super) key: Option<u8>,
    pub(super) padding: usize,
    /// From a queue, or from history.
    pub(super) pulled: bool,
}

pub(super) fn actions() -> [SlowConsumerAction; 5] {
    [
        SlowConsumerAction::Close,
        SlowConsumerAction::DropOldest,
        SlowConsumerAction::DropNewest,
        SlowConsumerAction::KeepLatest { key: "symbol".into() },
        SlowConsumerAction::HoldPublisher,
    ]
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let key = prop::option::weighted(0.8, 0..3u8);
    let what = (key, 0..300usize, prop::bool::weighted(0.2))
        .prop_map(|(key, padding, pulled)| What { key, padding, pulled });
    let several = prop::collection::vec(what, 1..5);
    let policy = prop::option::weighted(0.9, index());
    let step = prop_oneof![
        2 => (any::<bool>(), policy).prop_map(|(settles, policy)| Step::Subscribe { settles, policy }),
        2 => index().prop_map(Step::Activate),
        8 => (index(), several, prop::bool::weighted(0.2))
            .prop_map(|(which, what, direct)| Step::Deliver(which, what, direct)),
        1 => index().prop_map(Step::Unsubscribe),
        2 => (1..2_000usize, index()).prop_map(|(most, part)| Step::Take(most, part)),
        2 => index().prop_map(Step::Settle),
        1 => Just(Step::Receipt),
        2 => (0..4_000u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..80)
}
