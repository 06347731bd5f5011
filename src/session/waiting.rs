use std::collections::VecDeque;

use bytes::BytesMut;

use super::{Delivery, SubscriptionKey};

/// What waits to be written to one connection, in order and counted in bytes.
///
/// Deliveries wait as references to the shared message and are encoded when they are written, so
/// that a slow connection holds no copies, and that what has been unsubscribed meanwhile is never
/// sent.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Goes before all items: what a write left over, or frames of the session itself.
    first: BytesMut,
    items: VecDeque<WaitingItem>,
    /// What all of it takes.
    size: usize,
    /// What is counted here and held back elsewhere takes.
    held: usize,
}

#[derive(Debug)]
pub(super) enum WaitingItem {
    /// Encoded already.
    Bytes(BytesMut),
    /// To be encoded.
    Delivery(SubscriptionKey, Counted),
}

/// A delivery that waits, and what it was counted as. Asked again, the message may say something
/// else: it grows when it is first encoded for an older version of STOMP.
#[derive(Debug)]
pub(super) struct Counted {
    delivery: Delivery,
    cost: usize,
}

impl Waiting {
    /// Appends bytes behind everything that waits.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let bytes = if self.items.is_empty() {
            &mut self.first
        } else {
            if !matches!(self.items.back(), Some(WaitingItem::Bytes(_))) {
                self.items.push_back(WaitingItem::Bytes(BytesMut::new()));
            }
            let Some(WaitingItem::Bytes(bytes)) = self.items.back_mut() else { return };
            bytes
        };
        let before = bytes.len();
        write(bytes);
        self.size += bytes.len() - before;
    }

    /// Appends a delivery behind everything that waits.
    pub(super) fn push(&mut self, key: SubscriptionKey, delivery: Delivery) {
        let counted = Counted::new(delivery);
        self.size += counted.cost;
        self.items.push_back(WaitingItem::Delivery(key, counted));
    }

    /// Counts a delivery that the caller holds back.
    pub(super) fn hold(&mut self, delivery: Delivery) -> Counted {
        let counted = Counted::new(delivery);
        self.held += counted.cost;
        counted
    }

    /// Appends a delivery that was [held](Self::hold).
    pub(super) fn release(&mut self, key: SubscriptionKey, counted: Counted) {
        self.held -= counted.cost;
        self.size += counted.cost;
        self.items.push_back(WaitingItem::Delivery(key, counted));
    }

    /// Forgets deliveries that were [held](Self::hold).
    pub(super) fn drop_held(&mut self, held: impl IntoIterator<Item = Counted>) {
        for counted in held {
            self.held -= counted.cost;
        }
    }

    /// Takes what goes next: a delivery, or at most `most` bytes, which is at least one.
    pub(super) fn pop(&mut self, most: usize) -> Option<WaitingItem> {
        if self.first.is_empty() {
            match self.items.pop_front() {
                Some(WaitingItem::Bytes(bytes)) => self.first = bytes,
                Some(WaitingItem::Delivery(key, counted)) => {
                    self.size -= counted.cost;
                    return Some(WaitingItem::Delivery(key, counted));
                }
                None => {
                    // An idle connection keeps no buffer.
                    self.items = VecDeque::new();
                    return None;
                }
            }
        }
        let bytes = if self.first.len() <= most {
            std::mem::take(&mut self.first)
        } else {
            self.first.split_to(most)
        };
        self.size -= bytes.len();
        Some(WaitingItem::Bytes(bytes))
    }

    /// Puts bytes before everything that waits. Costs as much as these bytes, not as what waits.
    pub(super) fn put_back(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            return;
        }
        let behind = std::mem::replace(&mut self.first, BytesMut::from(rest));
        if !behind.is_empty() {
            self.items.push_front(WaitingItem::Bytes(behind));
        }
        self.size += rest.len();
    }

    pub(super) fn drop_deliveries(&mut self) {
        self.items.retain(|item| match item {
            WaitingItem::Bytes(_) => true,
            WaitingItem::Delivery(_, counted) => {
                self.size -= counted.cost;
                false
            }
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.items.is_empty()
    }

    /// How many bytes all of it takes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// How many bytes everything would take, what is held elsewhere included, if this waited too.
    pub(super) fn size_with(&self, delivery: &Delivery) -> usize {
        self.size + self.held + cost(delivery)
    }

    /// How many bytes the deliveries take that are [held](Self::hold).
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

impl Counted {
    fn new(delivery: Delivery) -> Self {
        let cost = cost(&delivery);
        Self { delivery, cost }
    }

    pub(super) fn delivery(&self) -> &Delivery {
        &self.delivery
    }
}

/// What it costs to keep a delivery. The message is shared, and yet counted whole: if this
/// connection is the only slow one, it is the one that keeps it alive.
fn cost(delivery: &Delivery) -> usize {
    size_of::<WaitingItem>() + delivery.message().size()
}
