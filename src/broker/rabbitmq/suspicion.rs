use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError};

use super::super::Destination;

/// Which message it is that RabbitMQ refuses by closing a channel or a connection: it does not say.
///
/// So all that it has not confirmed are sent again, each alone, and the one after which it closes the
/// channel again is it.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    /// What was sent last over this channel, and the highest number that was.
    last: Option<(u64, Destination)>,
    highest: u64,
    /// Up to this number there may be one that RabbitMQ refuses.
    up_to: u64,
}

/// What comes of the end of a channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// RabbitMQ refuses this message.
    Guilty(u64, Destination),
    /// It goes on over another channel.
    GoOn,
    /// It is not for what was sent: another channel of this connection would end as well.
    ConnectAnew,
}

impl Suspicion {
    /// A message is about to be sent.
    pub(super) fn sent(&mut self, number: u64, destination: &Destination) {
        self.last = Some((number, destination.clone()));
        self.highest = self.highest.max(number);
    }

    /// Whether each message is to be sent alone at present; none is unconfirmed if it is `idle`.
    pub(super) fn is_any(&mut self, idle: bool) -> bool {
        if idle && self.highest >= self.up_to {
            self.up_to = 0;
        }
        self.up_to > 0
    }

    /// The channel is closed, because of a message or since its connection is lost.
    pub(super) fn judge(&mut self, error: &lapin::Error, connected: bool) -> Verdict {
        let (last, highest) = (self.last.take(), std::mem::take(&mut self.highest));
        match last {
            Some((number, destination)) if self.up_to > 0 && is_answer(error) => {
                Verdict::Guilty(number, destination)
            }
            // A connection that is lost for another reason casts no suspicion on anybody.
            Some(_) if self.up_to == 0 && (connected || is_protocol_error(error)) => {
                self.up_to = highest;
                Verdict::GoOn
            }
            _ => Verdict::ConnectAnew,
        }
    }
}

/// Whether RabbitMQ says this of the message that was sent last, and alone.
fn is_answer(error: &lapin::Error) -> bool {
    use AMQPHardError::{CHANNELERROR, CONNECTIONFORCED, UNEXPECTEDFRAME};
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    match error.kind() {
        AMQPErrorKind::Soft(_) => true,
        // Somebody has it close connections; or it has come upon what lapin still wrote to a channel
        // after it had agreed that it is closed.
        AMQPErrorKind::Hard(error) => {
            !matches!(error, CONNECTIONFORCED | CHANNELERROR | UNEXPECTEDFRAME)
        }
    }
}

fn is_protocol_error(error: &lapin::Error) -> bool {
    let forced = AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED);
    matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() != forced)
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPError, AMQPSoftError};

    use super::*;

    fn says(kind: impl Into<AMQPErrorKind>) -> lapin::Error {
        ErrorKind::ProtocolError(AMQPError::new(kind.into(), "a reason".into())).into()
    }

    fn reset() -> lapin::Error {
        std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()
    }

    /// After so many messages.
    fn sent(numbers: u64) -> Suspicion {
        let mut suspicion = Suspicion::default();
        for number in 1..=numbers {
            suspicion.sent(number, &to(number));
        }
        suspicion
    }

    fn to(number: u64) -> Destination {
        format!("/topic/{number}").parse().unwrap()
    }

    const DENIED: AMQPSoftError = AMQPSoftError::ACCESSREFUSED;

    #[test]
    fn the_one_that_is_refused_alone_is_it() {
        let mut suspicion = sent(3);
        assert!(!suspicion.is_any(false));
        assert_eq!(suspicion.judge(&says(DENIED), true), Verdict::GoOn);
        for number in [1, 2] {
            assert!(suspicion.is_any(true));
            suspicion.sent(number, &to(number));
        }
        assert_eq!(suspicion.judge(&says(DENIED), true), Verdict::Guilty(2, to(2)));
        assert!(suspicion.is_any(true), "there may be another one");
        suspicion.sent(3, &to(3));
        assert!(suspicion.is_any(false));
        assert!(!suspicion.is_any(true), "it is confirmed");
    }

    #[test]
    fn nobody_is_to_blame_for_what_was_written_to_a_channel_that_is_closed() {
        for kind in [AMQPHardError::CHANNELERROR, AMQPHardError::UNEXPECTEDFRAME] {
            let mut suspicion = sent(2);
            assert_eq!(suspicion.judge(&says(DENIED), true), Verdict::GoOn);
            suspicion.sent(1, &to(1));
            assert_eq!(suspicion.judge(&says(kind), false), Verdict::ConnectAnew);
            assert!(suspicion.is_any(true), "it is still to be found");
            suspicion.sent(1, &to(1));
            assert_eq!(suspicion.judge(&says(DENIED), true), Verdict::Guilty(1, to(1)));
        }
    }

    #[test]
    fn a_connection_that_is_lost_casts_no_suspicion() {
        for error in [says(AMQPHardError::CONNECTIONFORCED), reset()] {
            let mut suspicion = sent(2);
            assert_eq!(suspicion.judge(&error, false), Verdict::ConnectAnew);
            assert!(!suspicion.is_any(false));
        }
        let mut suspicion = sent(2);
        assert_eq!(suspicion.judge(&says(AMQPHardError::SYNTAXERROR), false), Verdict::GoOn);
        assert!(suspicion.is_any(true));
    }

    #[test]
    fn a_channel_that_ends_whatever_is_sent_is_not_asked_for_again_and_again() {
        let mut suspicion = sent(1);
        assert_eq!(suspicion.judge(&says(DENIED), true), Verdict::GoOn);
        assert_eq!(suspicion.judge(&says(DENIED), true), Verdict::ConnectAnew);
        suspicion.sent(1, &to(1));
        assert_eq!(suspicion.judge(&reset(), true), Verdict::ConnectAnew);
    }
}
