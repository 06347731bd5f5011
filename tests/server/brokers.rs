//! What a session does while its broker takes its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use stompbox::broker::{
    Broker, BrokerError, Capabilities, Completer, Destination, Host, MemoryBroker, Message,
    Operation, Outcome, Settle, Subscriber, SubscriberId, TransactionGuarantee, Turn,
};
use stompbox::frame::{Command, Frame};
use stompbox::server::{Server, ServerSettings};

use super::heart_beats::embedded;
use super::peer::{TEXT, listening};

/// Does everything at once and says so only when the test wants.
#[derive(Default)]
struct Waiting {
    memory: MemoryBroker,
    /// What it says that it can do, if that is not what the broker in memory can.
    capabilities: Option<Capabilities>,
    pending: Mutex<Vec<Completer>>,
    subscribers: Mutex<Vec<Subscriber>>,
    calls: AtomicUsize,
    host: Mutex<Option<Arc<dyn Host>>>,
    deadline: Mutex<Option<Instant>>,
    called_back: AtomicUsize,
}

impl Waiting {
    fn later(&self, outcome: Outcome) -> Outcome {
        drop(outcome);
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (completer, outcome) = Outcome::pending();
        self.pending.lock().push(completer);
        outcome
    }

    /// Takes back a subscription that was confirmed.
    fn refuse(&self, place: usize, error: &BrokerError) {
        let subscriber = self.subscribers.lock()[place].clone();
        subscriber.outlet.refuse(subscriber.id.subscription, error);
    }

    async fn complete(&self, place: usize, result: Result<(), BrokerError>) {
        while self.pending.lock().len() <= place {
            tokio::task::yield_now().await;
        }
        self.pending.lock().remove(place).complete(result);
    }
}

impl Broker for Waiting {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.unwrap_or_else(|| self.memory.capabilities())
    }

    fn attach(&self, host: Arc<dyn Host>) {
        *self.host.lock() = Some(Arc::clone(&host));
        self.memory.attach(host);
    }

    fn publish(&self, message: Message, turn: &mut Turn) -> Outcome {
        self.later(self.memory.publish(message, turn))
    }

    fn subscribe(&self, to: &Destination, subscriber: Subscriber, turn: &mut Turn) -> Outcome {
        self.subscribers.lock().push(subscriber.clone());
        self.later(self.memory.subscribe(to, subscriber, turn))
    }

    fn unsubscribe(&self, from: &Destination, id: SubscriberId, turn: &mut Turn) -> Outcome {
        self.memory.unsubscribe(from, id, turn)
    }

    fn resume(&self, destination: &Destination, id: SubscriberId, turn: &mut Turn) {
        self.memory.resume(destination, id, turn);
    }

    fn settle(&self, settle: Settle, turn: &mut Turn) -> Outcome {
        self.memory.settle(settle, turn)
    }

    fn commit(&self, operations: Vec<Operation>, turn: &mut Turn) -> Outcome {
        self.later(self.memory.commit(operations, turn))
    }

    fn next_deadline(&self) -> Option<Instant> {
        *self.deadline.lock()
    }

    fn handle_deadline(&self, turn: &mut Turn) {
        if self.deadline.lock().take_if(|due| *due <= turn.now()).is_some() {
            self.called_back.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c6_a_receipt_means_that_the_broker_has_it() {
    let broker = Arc::new(Waiting::default());
    let (_server, mut peer) = embedded(Server::builder().shared_broker(broker.clone()));
    let started = tokio::time::Instant::now();
    peer.connect("").await;
    peer.send("SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:1\n\n").await;
    peer.send("SEND\ndestination:/topic/a\nreceipt:2\n\nhello").await;
    // The second is confirmed first, and its message waits for the subscription's receipt.
    broker.complete(1, Ok(())).await;
    peer.expect_receipt("2").await;
    broker.complete(0, Ok(())).await;
    peer.expect_receipt("1").await;
    assert_eq!(peer.message().await, "hello");
    // Nobody had to wait for a timer to notice.
    assert!(started.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn c7_what_the_broker_refuses_later_is_an_error_for_its_frame() {
    let broker = Arc::new(Waiting::default());
    let (_server, mut peer) = embedded(Server::builder().shared_broker(broker.clone()));
    let started = tokio::time::Instant::now();
    peer.connect("").await;
    peer.send("SEND\ndestination:/topic/a\nreceipt:1\n\n").await;
    peer.send("SEND\ndestination:/topic/a\nreceipt:2\n\n").await;
    broker.complete(1, Err(BrokerError::Unavailable { engine: "redis" })).await;
    let error = peer.frame().await;
    assert_eq!(error.command(), Command::Error);
    assert_eq!(error.header("message").as_deref(), Some("broker unavailable"));
    assert_eq!(error.header("receipt-id").as_deref(), Some("2"));
    assert!(started.elapsed().is_zero());
    assert_eq!(peer.closed().await, 1011);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_whom_the_broker_refuses_later_is_taken_back() {
    let broker = Arc::new(Waiting::default());
    let (_server, mut peer) = embedded(Server::builder().shared_broker(broker.clone()));
    peer.connect("").await;
    peer.send("SUBSCRIBE\nid:0\ndestination:/topic/a\n\n").await;
    broker.complete(0, Err(BrokerError::Unavailable { engine: "redis" })).await;
    assert_eq!(peer.frame().await.header("subscription").as_deref(), Some("0"));
    assert_eq!(peer.closed().await, 1011);
    assert_eq!(broker.memory.router().destinations(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_the_broker_takes_back_ends_with_an_error() {
    let broker = Arc::new(Waiting::default());
    let (_server, mut peer) = embedded(Server::builder().shared_broker(broker.clone()));
    let error = BrokerError::Unavailable { engine: "redis" };
    peer.connect("").await;
    for id in ["gone", "live"] {
        peer.send(&format!("SUBSCRIBE\nid:{id}\ndestination:/topic/{id}\nreceipt:{id}\n\n")).await;
        broker.complete(0, Ok(())).await;
        peer.expect_receipt(id).await;
    }
    peer.send("UNSUBSCRIBE\nid:gone\nreceipt:u\n\n").await;
    peer.expect_receipt("u").await;
    // It is no concern of the client any more.
    broker.refuse(0, &error);
    peer.send("SEND\ndestination:/topic/live\nreceipt:s\n\nhello").await;
    broker.complete(0, Ok(())).await;
    assert_eq!(peer.message().await, "hello");
    peer.expect_receipt("s").await;
    for _ in 0..2 {
        broker.refuse(1, &error);
    }
    let refusal = peer.frame().await;
    assert_eq!(refusal.command(), Command::Error);
    assert_eq!(refusal.header("message").as_deref(), Some("broker unavailable"));
    assert_eq!(refusal.header("subscription").as_deref(), Some("live"));
    assert_eq!(peer.closed().await, 1011);
    assert_eq!(broker.memory.router().destinations(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_a_bounded_number_pending() {
    let broker = Arc::new(Waiting::default());
    let (_server, mut peer) = embedded(Server::builder().shared_broker(broker.clone()));
    let started = tokio::time::Instant::now();
    peer.connect("").await;
    let sends: String =
        (0..100).map(|n| format!("SEND\ndestination:/topic/a\nreceipt:{n}\n\n\0")).collect();
    peer.send_bytes(TEXT, sends.as_bytes()).await;
    for n in 0..100 {
        broker.complete(0, Ok(())).await;
        peer.expect_receipt(&n.to_string()).await;
        // One more may be asked of the broker for each that is done, and never more than 64 wait.
        assert!(broker.pending.lock().len() <= 64);
    }
    assert_eq!(broker.calls.load(Ordering::SeqCst), 100);
    assert!(started.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_a_bounded_number_of_bytes_pending() {
    let broker = Arc::new(Waiting::default());
    let mut settings = ServerSettings::default();
    settings.pending_bytes = 1_000;
    let builder = Server::builder().shared_broker(broker.clone()).settings(settings);
    let (_server, mut peer) = embedded(builder);
    peer.connect("").await;
    let body = "x".repeat(400);
    let send = |n| format!("SEND\ndestination:/topic/a\nreceipt:{n}\n\n{body}\0");
    peer.send_bytes(TEXT, (0..20).map(send).collect::<String>().as_bytes()).await;
    for n in 0..20 {
        broker.complete(0, Ok(())).await;
        peer.expect_receipt(&n.to_string()).await;
        // Two of them are less than 1,000 bytes, with what they cost to keep; three are not.
        assert!(broker.pending.lock().len() <= 3);
    }
    assert_eq!(broker.calls.load(Ordering::SeqCst), 20);
}

#[tokio::test(start_paused = true)]
async fn a_broker_is_called_back_at_its_deadline() {
    let broker = Arc::new(Waiting::default());
    let (_server, _address) = listening(Server::builder().shared_broker(broker.clone())).await;
    let host = broker.host.lock().clone().unwrap();
    for times in 1..=3 {
        let due = tokio::time::Instant::now() + Duration::from_secs(5);
        *broker.deadline.lock() = Some(due.into_std());
        host.deadline_changed();
        tokio::time::sleep_until(due - Duration::from_millis(1)).await;
        assert_eq!(broker.called_back.load(Ordering::SeqCst), times - 1);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(broker.called_back.load(Ordering::SeqCst), times);
    }
}

/// A server over a broker whose transactions guarantee no more than this. Returns what becomes of a
/// COMMIT.
async fn commit_with(offered: TransactionGuarantee, settings: ServerSettings) -> Frame {
    let mut capabilities = MemoryBroker::new().capabilities();
    capabilities.transactions = offered;
    let broker = Waiting { capabilities: Some(capabilities), ..Waiting::default() };
    let broker = Arc::new(broker);
    let builder = Server::builder().shared_broker(broker.clone()).settings(settings);
    let (_server, mut peer) = embedded(builder);
    peer.connect("").await;
    peer.send("BEGIN\ntransaction:t\n\n").await;
    peer.send("SEND\ndestination:/topic/a\ntransaction:t\n\n").await;
    peer.send("COMMIT\ntransaction:t\nreceipt:1\n\n").await;
    let committed = broker.complete(0, Ok(()));
    tokio::select! {
        frame = peer.frame() => frame,
        () = committed => peer.frame().await,
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_would_hold_less_than_the_server_wants_is_refused() {
    use TransactionGuarantee::{AtLeastOnce, Atomic, None};

    for (offered, wanted, taken) in [
        (None, None, false),
        (None, AtLeastOnce, false),
        (AtLeastOnce, AtLeastOnce, true),
        (AtLeastOnce, Atomic, false),
        (Atomic, Atomic, true),
    ] {
        let mut settings = ServerSettings::default();
        settings.transactions = wanted;
        let answer = commit_with(offered, settings).await;
        let command = if taken { Command::Receipt } else { Command::Error };
        assert_eq!(answer.command(), command, "{offered:?} {wanted:?}");
        assert_eq!(answer.header("receipt-id").as_deref(), Some("1"));
        if !taken {
            assert_eq!(answer.header("message").as_deref(), Some("not supported"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_broker_is_told_what_a_subscription_wants() {
    let mut capabilities = MemoryBroker::new().capabilities();
    capabilities.durable = true;
    let broker = Waiting { capabilities: Some(capabilities), ..Waiting::default() };
    let broker = Arc::new(broker);
    let mut settings = ServerSettings::default();
    settings.session.unsettled = 500;
    let builder = Server::builder().shared_broker(broker.clone()).settings(settings);
    let (_server, mut peer) = embedded(builder);
    peer.connect("").await;
    for (place, (headers, durable, prefetch)) in [
        ("", false, Subscriber::DEFAULT_PREFETCH),
        ("durable:true\nprefetch-count:3\n", true, 3),
        // No more than the session may hold.
        ("durable:false\nprefetch-count:65535\n", false, 500),
    ]
    .into_iter()
    .enumerate()
    {
        let subscribe = format!("SUBSCRIBE\nid:{place}\nreceipt:{place}\ndestination:/queue/a\n");
        peer.send(&format!("{subscribe}{headers}\n")).await;
        broker.complete(0, Ok(())).await;
        peer.expect_receipt(&place.to_string()).await;
        let subscriber = broker.subscribers.lock()[place].clone();
        assert_eq!((subscriber.durable, subscriber.prefetch), (durable, prefetch), "{headers}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_queues_for_replies_who_asks_for_one_is_refused() {
    let (_server, mut peer) = embedded(Server::builder().broker(Waiting::default()));
    peer.connect("").await;
    peer.send("SEND\ndestination:/queue/a\nreceipt:1\nreply-to:/temp-queue/a\n\n").await;
    let error = peer.frame().await;
    assert_eq!(error.command(), Command::Error);
    assert_eq!(error.header("receipt-id").as_deref(), Some("1"));
    let detail = String::from_utf8_lossy(error.body()).into_owned();
    assert!(detail.contains("does not support queues for replies"), "{detail}");
}
