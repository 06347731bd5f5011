use std::collections::HashMap;

use crate::frame::Version;

use super::event::{HeldFrame, MessageName, SendFrame};
use super::{Limit, SessionError, SessionSettings};

/// The open transactions of one connection: frames that wait for their COMMIT
/// (STOMP 1.2, "BEGIN").
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: HashMap<Box<str>, Transaction>,
    frames: usize,
    bytes: usize,
}

/// What one transaction has held back, in order.
#[derive(Debug, Default)]
struct Transaction {
    operations: Vec<HeldFrame>,
    bytes: usize,
}

impl Transactions {
    pub(super) fn begin(
        &mut self,
        id: &str,
        settings: &SessionSettings,
    ) -> Result<(), SessionError> {
        if self.open.contains_key(id) {
            return Err(SessionError::TransactionOpen { id: id.to_owned() });
        }
        if self.open.len() >= settings.transactions {
            let limit = settings.transactions;
            return Err(SessionError::Limit { of: Limit::Transactions, limit });
        }
        self.open.insert(id.into(), Transaction::default());
        Ok(())
    }

    pub(super) fn hold(
        &mut self,
        id: &str,
        operation: HeldFrame,
        settings: &SessionSettings,
    ) -> Result<(), SessionError> {
        let Some(transaction) = self.open.get_mut(id) else { return Err(unknown(id)) };
        let operation = operation.into_kept();
        let bytes = operation.bytes();
        if self.frames >= settings.transaction_frames {
            let limit = settings.transaction_frames;
            return Err(SessionError::Limit { of: Limit::TransactionFrames, limit });
        }
        if self.bytes.saturating_add(bytes) > settings.transaction_bytes {
            let limit = settings.transaction_bytes;
            return Err(SessionError::Limit { of: Limit::TransactionBytes, limit });
        }
        self.frames += 1;
        self.bytes += bytes;
        transaction.bytes += bytes;
        transaction.operations.push(operation);
        Ok(())
    }

    /// Ends a transaction and returns what it had held back.
    pub(super) fn end(&mut self, id: &str) -> Result<Vec<HeldFrame>, SessionError> {
        let transaction = self.open.remove(id).ok_or_else(|| unknown(id))?;
        self.frames -= transaction.operations.len();
        self.bytes -= transaction.bytes;
        if self.open.is_empty() {
            // An idle connection keeps no room for what it once had open.
            self.open = HashMap::new();
        }
        Ok(transaction.operations)
    }
}

impl HeldFrame {
    /// A copy of its own: what waits for a COMMIT must not pin the buffer that it was read into.
    fn into_kept(self) -> Self {
        match self {
            Self::Send(send) => {
                let send = SendFrame { frame: send.frame.compact(), ..*send };
                Self::Send(Box::new(send))
            }
            settle @ Self::Settle(_) => settle,
        }
    }

    /// What it holds, about.
    fn bytes(&self) -> usize {
        let held = match self {
            Self::Send(send) => {
                let frame = send.frame.encoded_len(Version::V1_2);
                size_of::<SendFrame>() + send.destination.len() + frame
            }
            Self::Settle(settle) => match &settle.message {
                MessageName::Ack(id) | MessageName::Message(id) => id.len(),
                MessageName::InSubscription { message, subscription } => {
                    message.len() + subscription.len()
                }
            },
        };
        size_of::<Self>() + held
    }
}

fn unknown(id: &str) -> SessionError {
    SessionError::UnknownTransaction { id: id.to_owned() }
}
