use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::locks::Mutex;

use super::super::{Completer, SubscriberId};
use super::channel::Channel;

/// Which subscribers hold the publishers of which destinations, since their outlets are
/// [full](super::super::Taken::Full).
///
/// An outlet says so in answer to a delivery, and its connection's task resumes it at any time, even
/// before that answer is known here. So whoever [holds](Self::hold) is asked again after that: it is
/// full still, and will be resumed later than this, or it is [let go](Self::let_go) at once.
#[derive(Default)]
pub(super) struct Holding {
    state: Mutex<State>,
    /// How many subscribers hold publishers, or are about to.
    held: AtomicUsize,
}

#[derive(Default)]
struct State {
    channels: HashMap<SubscriberId, Vec<Weak<Channel>>>,
}

impl Holding {
    /// A subscriber is full, by its answer to a delivery: publishers of this channel are held until
    /// it is resumed or leaves. Returns whether they were not, because of it.
    pub(super) fn hold(&self, subscriber: SubscriberId, channel: &Arc<Channel>) -> bool {
        let state = &mut *self.state.lock();
        // Whoever leaves now either finds this count or is not found by the channel any more.
        self.held.store(state.channels.len() + 1, Ordering::SeqCst);
        let holds = channel.hold(subscriber);
        if holds {
            state.channels.entry(subscriber).or_default().push(Arc::downgrade(channel));
        }
        self.held.store(state.channels.len(), Ordering::SeqCst);
        holds
    }

    /// A subscriber is not full any more at one channel.
    pub(super) fn let_go(&self, subscriber: SubscriberId, channel: &Arc<Channel>) {
        let mut state = self.state.lock();
        if let Some(channels) = state.channels.get_mut(&subscriber) {
            channels.retain(|other| other.as_ptr() != Arc::as_ptr(channel));
            if channels.is_empty() {
                state.channels.remove(&subscriber);
            }
        }
        let released = channel.release(subscriber);
        self.held.store(state.channels.len(), Ordering::SeqCst);
        drop(state);
        complete(vec![(released, Arc::clone(channel))]);
    }

    /// A subscriber's outlet has written what it kept, or the subscriber has left.
    pub(super) fn release(&self, subscriber: SubscriberId) {
        if self.held.load(Ordering::SeqCst) > 0 {
            let mut state = self.state.lock();
            let released = state.release(subscriber);
            self.held.store(state.channels.len(), Ordering::SeqCst);
            drop(state);
            complete(released);
        }
    }
}

impl State {
    /// Lets the publishers go that only this subscriber holds.
    fn release(&mut self, subscriber: SubscriberId) -> Vec<Released> {
        let channels = self.channels.remove(&subscriber).unwrap_or_default();
        let channels = channels.iter().filter_map(Weak::upgrade);
        channels.map(|channel| (channel.release(subscriber), channel)).collect()
    }
}

/// Who waited at a channel that a subscriber held.
type Released = (Vec<Completer>, Arc<Channel>);

/// Waking is no work for under a lock.
fn complete(released: Vec<Released>) {
    for (waiters, channel) in released {
        for waiter in waiters {
            waiter.complete(Ok(()));
        }
        channel.retire();
    }
}
