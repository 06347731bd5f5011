//! STOMP's state machines, without I/O, clock or runtime.
//!
//! A server's session has two halves. What arrives is the business of [`ServerSession`]: it takes
//! bytes and gives [`Event`]s. What leaves is the business of [`Leaving`]: it takes replies and
//! deliveries and gives bytes. The first is owned by whoever reads the connection; the second is
//! behind one lock, since every publisher of the server writes to it.
//!
//! A client's session is one thing, [`ClientSession`]: it has one owner.
//!
//! # By hand
//!
//! A whole connection over the in-memory broker, from bytes to bytes:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use std::time::Instant;
//! use bytes::BytesMut;
//! use stompbox::broker::{
//!     Broker, Destination, MemoryBroker, Message, Outcome, Outlet, Subscriber, SubscriberId, Taken,
//!     Turn,
//! };
//! use stompbox::session::{
//!     Bare, Delivery, Event, Leaving, Refusal, ServerSession, SessionSettings, SubscriptionKey,
//! };
//!
//! /// What leaves, behind its lock: this is all that the broker knows of a connection. On plain TCP
//! /// frames are [`Bare`]; a WebSocket wraps them.
//! struct Connection(Mutex<Leaving<Bare>>);
//!
//! impl Connection {
//!     fn leaving<T>(&self, work: impl FnOnce(&mut Leaving<Bare>) -> T) -> T {
//!         work(&mut self.0.lock().unwrap())
//!     }
//! }
//!
//! impl Outlet for Connection {
//!     fn deliver(&self, to: SubscriptionKey, deliveries: &[Delivery], now: Instant) -> Taken {
//!         self.leaving(|leaving| match leaving.deliver(to, deliveries, now) {
//!             Ok(true) => Taken::Queued,
//!             Ok(false) => Taken::Gone,
//!             Err(too_slow) => {
//!                 leaving.refuse(&too_slow.into());
//!                 Taken::Gone
//!             }
//!         })
//!     }
//! }
//!
//! /// Outcomes of the in-memory broker are complete; those of others are awaited.
//! fn done(mut outcome: Outcome) -> Result<(), Refusal> {
//!     Ok(outcome.take_ready().expect("a complete outcome")?)
//! }
//!
//! /// Does what the client asks for.
//! fn on_event(
//!     event: Event,
//!     session: &mut ServerSession,
//!     connection: &Arc<Connection>,
//!     broker: &MemoryBroker,
//!     turn: &mut Turn,
//! ) -> Result<(), Refusal> {
//!     match event {
//!         Event::Connect(connect) => {
//!             // Everybody is welcome here; the headers of `connect.frame` say who it is.
//!             let connected = session.accept(&connect, turn.now());
//!             connection.leaving(|leaving| leaving.connected(&connected, "session-1", None));
//!         }
//!         Event::Subscribe(subscribe) => {
//!             let destination = Destination::new(&subscribe.destination)?;
//!             let key = connection.leaving(|leaving| leaving.subscribe(&subscribe))?;
//!             let id = SubscriberId { connection: 1, subscription: key };
//!             let subscriber = Subscriber::new(id, connection.clone())
//!                 .with_settles(subscribe.ack.settles())
//!                 .with_prefetch(subscribe.prefetch);
//!             done(broker.subscribe(&destination, subscriber, turn))?;
//!             // Its RECEIPT, and then what was delivered since and held back until now.
//!             connection.leaving(|leaving| leaving.activate(key, subscribe.receipt.as_ref()));
//!         }
//!         Event::Send(send) => {
//!             let destination = Destination::new(&send.destination)?;
//!             done(broker.publish(Message::from_send(destination, &send.frame, &[]), turn))?;
//!             if let Some(receipt) = &send.receipt {
//!                 connection.leaving(|leaving| leaving.receipt(receipt));
//!             }
//!         }
//!         _ => return Err(Refusal::new("not supported", "only CONNECT, SUBSCRIBE and SEND are")),
//!     }
//!     Ok(())
//! }
//!
//! let now = Instant::now();
//! let broker = MemoryBroker::new();
//! let settings = Arc::new(SessionSettings::default());
//! let mut session = ServerSession::new(settings.clone(), now);
//! let connection = Arc::new(Connection(Mutex::new(Leaving::new(Bare, settings, now))));
//!
//! // 1. What was read.
//! session.receive(
//!     "CONNECT\naccept-version:1.2\n\n\0\
//!      SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:r\n\n\0\
//!      SEND\ndestination:/topic/a\n\nhi\0\
//!      DISCONNECT\nreceipt:bye\n\n\0",
//!     now,
//! );
//!
//! // 2. What it asks for. A refusal is said to the client, and ends the session.
//! let mut turn = Turn::new(now);
//! let mut goodbye = None;
//! loop {
//!     let did = match session.next_event() {
//!         Ok(None) => break,
//!         Ok(Some(Event::Disconnect(receipt))) => Ok(goodbye = Some(receipt)),
//!         Ok(Some(event)) => on_event(event, &mut session, &connection, &broker, &mut turn),
//!         Err(refusal) => Err(refusal),
//!     };
//!     if let Err(refusal) = did {
//!         session.end();
//!         connection.leaving(|leaving| leaving.refuse(&refusal));
//!     }
//! }
//!
//! // 3. The end of the turn delivers what it published. Only then is DISCONNECT answered: nothing
//! //    can follow that.
//! drop(turn);
//! if let Some(receipt) = goodbye {
//!     connection.leaving(|leaving| leaving.disconnected(receipt.as_ref()));
//! }
//!
//! // 4. The bytes to be written, about 64 KiB at a time. What the socket does not take is put back.
//! let mut out = BytesMut::new();
//! connection.leaving(|leaving| leaving.take(&mut out, 64 * 1024, now));
//! let sent = String::from_utf8(out.to_vec())?;
//! let frames: Vec<_> = sent.split_terminator('\0').collect();
//! assert!(frames[0].starts_with("CONNECTED\nversion:1.2\n"));
//! assert_eq!(frames[1], "RECEIPT\nreceipt-id:r\n\n");
//! assert!(frames[2].starts_with("MESSAGE\nsubscription:0\n") && frames[2].ends_with("\n\nhi"));
//! assert_eq!(frames[3], "RECEIPT\nreceipt-id:bye\n\n");
//!
//! // 5. When the connection is gone, so are its subscriptions.
//! let mut turn = Turn::new(now);
//! for (key, destination) in connection.leaving(Leaving::unsubscribe_all) {
//!     let subscriber = SubscriberId { connection: 1, subscription: key };
//!     done(broker.unsubscribe(&Destination::new(&destination)?, subscriber, &mut turn)).unwrap();
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The lock is never held while the broker is called or a turn ends, since both may deliver to this
//! same connection. Whoever is told `Taken::Queued` has somebody else write, so a real outlet wakes
//! the connection's task, which [takes](Leaving::take). A connection that keeps up need not queue:
//! unless [`holds`](Leaving::holds) says that deliveries are held back,
//! [`deliver_into`](Leaving::deliver_into) encodes them at once, to be written by the publisher
//! itself. A [`Refusal`] concerns a frame: [`with_receipt`](Refusal::with_receipt) tells the client
//! which.

// Where the rules stand. What a client may ask for, and what each frame needs:
// `server/asking.rs`; when it may, and when it is silent: `server/mod.rs`, `incoming_beats.rs`. Which
// subscription is which: `subscriptions.rs`. What is said, and in which order: `leaving/mod.rs`. What
// an ACK settles: `leaving/settling.rs` over `ledger.rs`. What waits for COMMIT: `transaction.rs`.
// What is refused and in which words: `error.rs`; of it, what the strict profile adds:
// `settings.rs`. The other side likewise: `client/requests.rs` and `client/arriving.rs`.

mod ack_mode;
mod backlog;
mod client;
mod delivery;
mod envelope;
mod error;
mod event;
mod heart_beat;
mod incoming_beats;
mod leaving;
mod ledger;
mod limit;
mod message_encoder;
mod server;
mod settings;
mod slow_consumer;
mod subscriptions;
mod token;
mod transaction;
mod waiting;

pub use ack_mode::{AckMode, Settlement};
pub use client::{
    ClientError, ClientEvent, ClientSession, Confirm, ConnectOptions, Incompatible, Misuse,
    NewMessage, NewSubscription, ReceivedMessage, Request, ServerError, ServerFault, Unsettled,
    Welcome,
};
pub use delivery::{Delivery, SubscriptionKey};
pub use envelope::{Bare, Envelope, PayloadKind};
pub use error::{Receipt, Refusal, SessionError};
pub use event::{
    CommitFrame, ConnectFrame, Event, HeldFrame, MessageName, SendFrame, SettleFrame,
    SubscribeFrame, UnsubscribeFrame, UnsubscribeTarget,
};
pub use heart_beat::HeartBeat;
pub use leaving::{Connected, Leaving, LeavingCounters, Settled};
pub use limit::Limit;
pub use server::ServerSession;
pub use settings::SessionSettings;
pub use slow_consumer::{SlowConsumer, SlowConsumerAction};
pub use token::{InvalidToken, Token};
