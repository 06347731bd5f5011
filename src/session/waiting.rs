use std::collections::VecDeque;

use bytes::BytesMut;

use super::SubscriptionKey;

/// What waits to be written to one connection, in its order, and what all of it takes in bytes.
///
/// Deliveries themselves wait with their subscription (its backlog), where they can be dropped at
/// once; here they have tickets, which say whose turn it is. A ticket whose delivery was dropped
/// serves the next one of its subscription.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Goes before all items: what a write left over, or frames of the session itself.
    first: BytesMut,
    items: VecDeque<WaitingItem>,
    /// How many bytes are encoded already.
    encoded: usize,
    pub(super) deliveries: WaitingDeliveries,
}

/// What the deliveries to all subscriptions of a connection take, in bytes.
#[derive(Debug, Default)]
pub(super) struct WaitingDeliveries {
    /// Those whose turn will come.
    pub(super) released: usize,
    /// Those that are held back.
    pub(super) held: usize,
}

#[derive(Debug)]
enum WaitingItem {
    /// Encoded already.
    Bytes(BytesMut),
    /// The next deliveries of a subscription, so many of them.
    Tickets(SubscriptionKey, usize),
}

/// What is to be written next.
#[derive(Debug)]
pub(super) enum Next {
    /// These bytes.
    Bytes(BytesMut),
    /// The next delivery of this subscription, if there still is one.
    Delivery(SubscriptionKey),
}

impl WaitingDeliveries {
    pub(super) fn is_none(&self) -> bool {
        self.released == 0 && self.held == 0
    }
}

impl Waiting {
    /// What a ticket takes, in bytes, where the one before it is another subscription's.
    pub(super) const TICKET: usize = size_of::<WaitingItem>();

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
        self.encoded += bytes.len() - before;
    }

    /// Appends a ticket of a subscription behind everything that waits.
    pub(super) fn push_ticket(&mut self, key: SubscriptionKey) {
        match self.items.back_mut() {
            Some(WaitingItem::Tickets(same, count)) if *same == key => *count += 1,
            _ => self.items.push_back(WaitingItem::Tickets(key, 1)),
        }
    }

    /// Takes what goes next: a delivery, or at most `most` bytes, which is at least one.
    pub(super) fn pop(&mut self, most: usize) -> Option<Next> {
        if self.first.is_empty() {
            match self.items.pop_front() {
                Some(WaitingItem::Bytes(bytes)) => self.first = bytes,
                Some(WaitingItem::Tickets(key, count)) => {
                    if count > 1 {
                        self.items.push_front(WaitingItem::Tickets(key, count - 1));
                    }
                    return Some(Next::Delivery(key));
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
        self.encoded -= bytes.len();
        Some(Next::Bytes(bytes))
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
        self.encoded += rest.len();
    }

    /// Drops all tickets.
    pub(super) fn drop_tickets(&mut self) {
        self.items.retain(|item| matches!(item, WaitingItem::Bytes(_)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.items.is_empty()
    }

    /// How many bytes are encoded already.
    pub(super) fn encoded(&self) -> usize {
        self.encoded
    }

    /// How many bytes that are encoded already go next.
    pub(super) fn encoded_first(&self) -> usize {
        self.first.len()
    }

    /// How many bytes all of it takes, without the deliveries that are held back.
    pub(super) fn size(&self) -> usize {
        self.encoded + self.items.len() * Self::TICKET + self.deliveries.released
    }

    /// How many bytes everything takes, what is held back included.
    pub(super) fn total(&self) -> usize {
        self.size() + self.deliveries.held
    }
}
