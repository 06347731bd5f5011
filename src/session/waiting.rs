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
}

#[derive(Debug)]
pub(super) enum WaitingItem {
    /// Encoded already.
    Bytes(BytesMut),
    /// To be encoded.
    Delivery(SubscriptionKey, Delivery),
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

    pub(super) fn push(&mut self, key: SubscriptionKey, delivery: Delivery) {
        self.count(&delivery);
        self.push_counted(key, delivery);
    }

    pub(super) fn count(&mut self, delivery: &Delivery) {
        self.size += cost(delivery);
    }

    /// A delivery that was [counted](Self::count) before, while it was held elsewhere.
    pub(super) fn push_counted(&mut self, key: SubscriptionKey, delivery: Delivery) {
        self.items.push_back(WaitingItem::Delivery(key, delivery));
    }

    /// Forgets deliveries that were counted and held elsewhere.
    pub(super) fn drop_held(&mut self, held: impl Iterator<Item = Delivery>) {
        for delivery in held {
            self.size -= cost(&delivery);
        }
    }

    pub(super) fn pop(&mut self) -> Option<WaitingItem> {
        let item = if self.first.is_empty() {
            self.items.pop_front()
        } else {
            Some(WaitingItem::Bytes(std::mem::take(&mut self.first)))
        };
        match &item {
            Some(item) => self.size -= item.cost(),
            // An idle connection keeps no buffer.
            None => self.items = VecDeque::new(),
        }
        item
    }

    pub(super) fn put_back(&mut self, rest: &[u8]) {
        let mut first = BytesMut::with_capacity(rest.len() + self.first.len());
        first.extend_from_slice(rest);
        first.extend_from_slice(&self.first);
        self.first = first;
        self.size += rest.len();
    }

    pub(super) fn drop_deliveries(&mut self) {
        self.items.retain(|item| {
            let keep = matches!(item, WaitingItem::Bytes(_));
            self.size -= if keep { 0 } else { item.cost() };
            keep
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.items.is_empty()
    }

    /// How many bytes all of it takes, with what is counted and held elsewhere.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

impl WaitingItem {
    fn cost(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Delivery(_, delivery) => cost(delivery),
        }
    }
}

/// What it costs to keep a delivery. The message is shared, and yet counted whole: if this
/// connection is the only slow one, it is the one that keeps it alive.
fn cost(delivery: &Delivery) -> usize {
    size_of::<WaitingItem>() + delivery.message().size()
}
