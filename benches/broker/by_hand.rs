//! What stands beside the broker: what one would write without it. Both encode a message once, as a
//! whole MESSAGE frame but for the subscription's own headers, and share its bytes.

use std::collections::HashMap;
use std::hint::black_box;

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A channel for each subscriber, in a map by destination. It is not even locked.
#[derive(Default)]
pub(crate) struct Channels {
    senders: HashMap<String, Vec<(u64, UnboundedSender<Bytes>)>>,
    receivers: HashMap<String, Vec<UnboundedReceiver<Bytes>>>,
}

/// A channel for each pattern, in a list: each message is compared with all of them.
#[derive(Default)]
pub(crate) struct Patterns(Vec<(String, UnboundedSender<Bytes>, UnboundedReceiver<Bytes>)>);

/// tokio's broadcast channel: one destination only.
pub(crate) struct Broadcast {
    sender: broadcast::Sender<Bytes>,
    receivers: Vec<broadcast::Receiver<Bytes>>,
}

impl Channels {
    pub(crate) fn subscribe(&mut self, destination: &str, subscriber: u64) {
        let (sender, receiver) = unbounded_channel();
        self.senders.entry(destination.to_owned()).or_default().push((subscriber, sender));
        self.receivers.entry(destination.to_owned()).or_default().push(receiver);
    }

    pub(crate) fn leave(&mut self, destination: &str, subscriber: u64) {
        if let Some(senders) = self.senders.get_mut(destination) {
            senders.retain(|(other, _)| *other != subscriber);
        }
    }

    pub(crate) fn publish(&mut self, destination: &str, body: &[u8]) {
        let message = encode(destination, body);
        for (_, sender) in self.senders.get(destination).into_iter().flatten() {
            // A receiver that is gone leaves by `leave`.
            drop(sender.send(message.clone()));
        }
        for receiver in self.receivers.get_mut(destination).into_iter().flatten() {
            while let Ok(message) = receiver.try_recv() {
                black_box(message);
            }
        }
    }
}

impl Patterns {
    pub(crate) fn subscribe(&mut self, pattern: &str) {
        let (sender, receiver) = unbounded_channel();
        self.0.push((pattern.to_owned(), sender, receiver));
    }

    pub(crate) fn publish(&mut self, destination: &str, body: &[u8]) {
        let message = encode(destination, body);
        for (pattern, sender, receiver) in &mut self.0 {
            if is_match(pattern, destination) {
                // The receiver is there.
                drop(sender.send(message.clone()));
                black_box(receiver.try_recv().ok());
            }
        }
    }
}

impl Broadcast {
    pub(crate) fn new(subscribers: u64) -> Self {
        let (sender, _) = broadcast::channel(16);
        let receivers = (0..subscribers).map(|_| sender.subscribe()).collect();
        Self { sender, receivers }
    }

    pub(crate) fn publish(&mut self, body: &[u8]) {
        // There are receivers.
        drop(self.sender.send(encode("/topic/room", body)));
        for receiver in &mut self.receivers {
            while let Ok(message) = receiver.try_recv() {
                black_box(message);
            }
        }
    }
}

/// Whether all segments are the same, or `*`.
fn is_match(pattern: &str, destination: &str) -> bool {
    let (mut pattern, mut destination) = (pattern.split('/'), destination.split('/'));
    loop {
        match (pattern.next(), destination.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == "*" || one == other => {}
            _ => return false,
        }
    }
}

fn encode(destination: &str, body: &[u8]) -> Bytes {
    let head = format!("destination:{destination}\ncontent-length:{}\n\n", body.len());
    let mut frame = Vec::with_capacity(head.len() + body.len() + 1);
    frame.extend_from_slice(head.as_bytes());
    frame.extend_from_slice(body);
    frame.push(0);
    frame.into()
}
