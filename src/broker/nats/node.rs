use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::super::engine::{Outbox, OutboxLimits, Upstreams};
use super::super::{Message, Router};
use super::subject::Subjects;

/// What the broker and its task share.
pub(super) struct Node {
    /// Its number, by which others know its messages: no other run of a node has it.
    pub(super) number: u64,
    pub(super) router: Router,
    pub(super) subjects: Subjects,
    pub(super) upstreams: Upstreams,
    pub(super) outbox: Outbox<Message>,
}

/// What NATS is called in errors.
pub(super) const ENGINE: &str = "NATS";

impl Node {
    pub(super) fn new(subjects: Subjects) -> Self {
        Self {
            number: RandomState::new().build_hasher().finish(),
            router: Router::with_patterns_as_names(),
            subjects,
            upstreams: Upstreams::default(),
            outbox: Outbox::new(ENGINE, OutboxLimits::default()),
        }
    }
}
