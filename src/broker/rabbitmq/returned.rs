use lapin::Confirmation;
use lapin::types::ShortString;

use super::shared::Sending;

/// What RabbitMQ has returned, for want of a queue.
///
/// It does so before it confirms the message, and lapin hands it over with whatever is confirmed next:
/// with that message, or with another one just before it.
#[derive(Debug, Default)]
pub(super) struct Returned(Vec<Message>);

#[derive(Debug)]
struct Message {
    queue: ShortString,
    body: Vec<u8>,
    reason: String,
}

impl Returned {
    /// Takes what came with a confirmation, whatever message it is.
    pub(super) fn hear(&mut self, confirmation: &mut Option<lapin::Result<Confirmation>>) {
        if let Some(Ok(Confirmation::Ack(message) | Confirmation::Nack(message))) = confirmation
            && let Some(message) = message.take()
        {
            let reason = message.reply_text.to_string();
            let (queue, body) = (message.delivery.routing_key, message.delivery.data);
            self.0.push(Message { queue, body, reason });
        }
    }

    /// Whether it is this message that was returned, or one that is the same.
    pub(super) fn has(&self, sending: &Sending) -> bool {
        self.place(sending).is_some()
    }

    /// Why this message was returned, if it was; it is told now.
    pub(super) fn take(&mut self, sending: &Sending) -> Option<String> {
        Some(self.0.remove(self.place(sending)?).reason)
    }

    fn place(&self, sending: &Sending) -> Option<usize> {
        let queue = sending.needs_queue()?;
        self.0.iter().position(|it| it.queue == *queue && it.body == sending.message.body())
    }

    /// Nothing is unconfirmed any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::*;
    use crate::frame::SharedMessage;

    fn sending(destination: &str, body: &str) -> Sending {
        let none = Vec::<(&str, &str)>::new();
        let message = SharedMessage::new(destination, none, body.as_bytes());
        let destination = destination.parse().unwrap();
        let address = Address::of(&destination).unwrap();
        Sending { destination, address, message }
    }

    #[test]
    fn it_is_told_of_the_message_that_it_was_and_once() {
        let (queue, body) = ("gone".into(), b"1".to_vec());
        let mut returned = Returned(vec![Message { queue, body, reason: "NO_ROUTE".to_owned() }]);
        returned.hear(&mut Some(Ok(Confirmation::Ack(None))));
        for other in [("/queue/other", "1"), ("/queue/gone", "2"), ("/topic/gone", "1")] {
            let other = sending(other.0, other.1);
            assert!(!returned.has(&other));
            assert_eq!(returned.take(&other), None);
        }
        let message = sending("/queue/gone", "1");
        assert!(returned.has(&message));
        assert_eq!(returned.take(&message).as_deref(), Some("NO_ROUTE"));
        assert_eq!(returned.take(&message), None);
    }
}
