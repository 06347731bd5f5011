use bytes::BytesMut;

use crate::frame::Version;

use super::subscriptions::Subscription;
use super::{Delivery, Envelope, PayloadKind, SubscriptionKey, Token};

/// Writes MESSAGE frames: what is a subscription's own in front of what all copies share.
#[derive(Debug)]
pub(super) struct MessageEncoder<E> {
    pub(super) envelope: E,
    pub(super) version: Version,
    /// Whether the client itself sends binary messages, and so can read them.
    pub(super) binary: bool,
    /// The number of the last delivery, which is its `message-id`.
    pub(super) last_message: u64,
}

impl<E: Envelope> MessageEncoder<E> {
    pub(super) fn kind(&self, text: bool) -> PayloadKind {
        if text && !self.binary { PayloadKind::Text } else { PayloadKind::Binary }
    }

    /// Appends a MESSAGE to `out`. Returns how many headers were left out.
    pub(super) fn encode(
        &mut self,
        key: SubscriptionKey,
        subscription: &mut Subscription,
        delivery: &Delivery,
        out: &mut BytesMut,
    ) -> u64 {
        self.last_message += 1;
        let number = self.last_message;
        let mut own = OwnHeaders::new();
        own.push_number(number);
        own.push(b"\n");
        if subscription.ack.settles() {
            if self.version == Version::V1_2 {
                own.push(b"ack:");
                own.push_number(key.slot.into());
                own.push(b"-");
                own.push_number(number);
                own.push(b"\n");
            }
            subscription.ledger.note(number, delivery.tag());
        }
        if delivery.is_redelivered() {
            own.push(b"redelivered:true\ndelivery-count:");
            own.push_number(delivery.attempt().into());
            own.push(b"\n");
        }
        if let Some(token) = delivery.token() {
            own.push(b"token:");
            token.write(|bytes| own.push(bytes));
            own.push(b"\n");
        }
        if delivery.has_gap() {
            own.push(b"gap:true\n");
        }
        let tail = delivery.message().tail(self.version);
        let kind = self.kind(delivery.message().is_text());
        let length = subscription.prefix.len() + own.as_slice().len() + tail.len();
        out.reserve(length + 16);
        self.envelope.open(kind, length, out);
        out.extend_from_slice(&subscription.prefix);
        out.extend_from_slice(own.as_slice());
        out.extend_from_slice(tail);
        delivery.message().omitted(self.version) as u64
    }
}

/// The header bytes of one delivery that no other shares, on the stack.
struct OwnHeaders {
    bytes: [u8; Self::ROOM],
    length: usize,
}

impl OwnHeaders {
    /// `message-id` and `ack` with three numbers of at most 20 digits, `redelivered`,
    /// `delivery-count`, `token` and `gap`.
    const ROOM: usize = 128 + Token::MAX_LENGTH;

    fn new() -> Self {
        Self { bytes: [0; Self::ROOM], length: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn push_number(&mut self, number: u64) {
        let mut digits = [0; 20];
        self.push(render::<10>(number, &mut digits));
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The digits of a number, at the end of `digits`: no formatting machinery, since it is done for
/// each delivery.
pub(super) fn render<const RADIX: u64>(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut first = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        #[allow(clippy::cast_possible_truncation)] // The remainder is less than the radix.
        let value = (number % RADIX) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= RADIX;
        first = place;
        if number == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}
