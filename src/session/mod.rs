//! STOMP's state machines, without I/O, clock or runtime.
//!
//! A server's session has two halves. What arrives is the business of [`ServerSession`]: it takes
//! bytes and gives [`Event`]s. What leaves is the business of [`Leaving`]: it takes replies and
//! deliveries and gives bytes. The first is owned by whoever reads the connection; the second is
//! behind one lock, since every publisher of the server writes to it.

mod ack_mode;
mod delivery;
mod envelope;
mod error;
mod event;
mod heart_beat;
mod leaving;
mod ledger;
mod message_encoder;
mod server;
mod settings;
mod subscriptions;
mod transaction;
mod waiting;

pub use ack_mode::{AckMode, Settlement};
pub use delivery::{Delivery, SubscriptionKey};
pub use envelope::{Bare, Envelope, PayloadKind};
pub use error::{Receipt, Refusal, SessionError};
pub use event::{
    Commit, Connect, Event, MessageName, Operation, Send, Settle, Subscribe, Unsubscribe,
    UnsubscribeTarget,
};
pub use heart_beat::HeartBeat;
pub use leaving::{Connected, Leaving, LeavingCounters, Settled};
pub use server::ServerSession;
pub use settings::SessionSettings;
