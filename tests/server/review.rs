//! What a review of issue 3 found: each of these is to hold and did not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stompbox::app::App;
use stompbox::broker::{Broker, MemoryBroker, Message, Turn};
use stompbox::frame::Command;
use stompbox::server::{
    Authenticate, Authenticating, ConnectRequest, Server, ServerSettings, WebSocketPaths,
};

use super::heart_beats::embedded;
use super::peer::{CLOSE, PING, Peer, TEXT, listening, masked};

/// A lost wake-up: the messages of a COMMIT are as many as may be pending, so the connection stops
/// reading; they are handled at once, and nobody goes on.
#[tokio::test(start_paused = true)]
async fn what_follows_a_commit_of_many_handled_messages_is_still_done() {
    let app = App::new().message("/pub/x", async || {});
    let (_server, mut peer) = embedded(Server::builder().app(app));
    peer.connect("").await;
    let mut frames = String::from("BEGIN\ntransaction:t\n\n\0");
    for _ in 0..100 {
        frames.push_str("SEND\ndestination:/pub/x\ntransaction:t\n\n\0");
    }
    frames.push_str("COMMIT\ntransaction:t\nreceipt:commit\n\n\0");
    frames.push_str("SEND\ndestination:/pub/x\nreceipt:after\n\n\0");
    peer.send_bytes(TEXT, frames.as_bytes()).await;
    peer.expect_receipt("commit").await;
    peer.expect_receipt("after").await;
}

/// A lost wake-up: more is answered in one turn than may wait, so the connection stops reading; the
/// socket takes all of it at once, and nobody goes on.
#[tokio::test]
async fn a_client_that_reads_its_answers_is_read_from() {
    let mut settings = ServerSettings::default();
    settings.session.waiting_bytes = 64 * 1024;
    let (_server, address) = listening(Server::builder().settings(settings)).await;
    let mut peer = Peer::connected(address).await;
    let sends: String =
        (0..1_000).map(|n| format!("SEND\ndestination:/topic/a\nreceipt:{n:020}\n\n\0")).collect();
    for _ in 0..3 {
        peer.send_bytes(TEXT, sends.as_bytes()).await;
        for n in 0..1_000 {
            peer.expect_receipt(&format!("{n:020}")).await;
        }
    }
}

/// The same with the default settings, and a message as large as is allowed.
#[tokio::test]
async fn a_client_that_reads_its_answers_is_read_from_by_default() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    let sends: String =
        (0..12_000).map(|n| format!("SEND\ndestination:/topic/a\nreceipt:{n:030}\n\n\0")).collect();
    for _ in 0..3 {
        peer.send_bytes(TEXT, sends.as_bytes()).await;
        for n in 0..12_000 {
            peer.expect_receipt(&format!("{n:030}")).await;
        }
    }
}

/// What a direct write leaves over is put back without a look at the limit, as a copy.
#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_however_much_one_turn_delivers() {
    const MESSAGE: usize = 64 * 1024;
    let broker = Arc::new(MemoryBroker::new());
    let mut settings = ServerSettings::default();
    settings.session.waiting_bytes = MESSAGE;
    let builder = Server::builder().settings(settings).shared_broker(broker.clone());
    let (_server, mut peer) = embedded(builder);
    peer.connect("").await;
    peer.subscribe("0", "/topic/a").await;
    let mut turn = Turn::new(Instant::now());
    for _ in 0..100 {
        let message = Message::builder("/topic/a".parse().unwrap()).body("x".repeat(MESSAGE));
        drop(broker.publish(message, &mut turn));
    }
    drop(turn);
    let mut kept = 0;
    while kept < 100 && peer.frame().await.command() == Command::Message {
        kept += 1;
    }
    assert!(kept < 4, "{kept} messages of the size of the limit waited");
}

#[tokio::test]
async fn after_shutdown_no_task_is_left() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let (server, address) = listening(Server::builder()).await;
    let mut half = Peer::tcp(address).await;
    half.write(b"GET /ws HTTP/1.1\r\n").await;
    while server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    server.shutdown(Duration::from_secs(30)).await;
    // The refusal of `half` still lingers, and the task that calls the broker back still waits.
    assert_eq!(metrics.num_alive_tasks() - before, 0, "tasks are left after the shutdown");
}

/// PROTOCOL C4: any byte counts as a beat. A large message over a slow line cannot answer a Ping
/// before it is sent whole.
#[tokio::test(start_paused = true)]
async fn c4_the_bytes_of_an_unfinished_message_count() {
    let (_server, mut peer) = embedded(Server::builder());
    peer.connect("heart-beat:10000,0\n").await;
    let frame = masked(0x80 | TEXT, b"SEND\ndestination:/topic/a\nreceipt:1\n\nhello\0");
    for byte in frame {
        tokio::time::sleep(Duration::from_secs(5)).await;
        peer.write(&[byte]).await;
    }
    loop {
        let frame = peer.web_socket_frame().await;
        if frame.opcode != PING {
            assert_eq!(String::from_utf8_lossy(&frame.payload), "RECEIPT\nreceipt-id:1\n\n\0");
            break;
        }
    }
}

/// DESIGN, decision 10: `auto` settles once the socket took the bytes; what was still ours is put
/// back.
#[tokio::test(start_paused = true)]
async fn a_queue_message_that_never_left_is_put_back() {
    let broker = Arc::new(MemoryBroker::new());
    let (server, mut peer) = embedded(Server::builder().shared_broker(broker.clone()));
    peer.connect("").await;
    peer.subscribe("0", "/queue/a").await;
    for _ in 0..10 {
        server.publisher().publish("/queue/a", "x".repeat(10 * 1024)).await.unwrap();
    }
    drop(peer);
    while server.connections() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let queued = broker.queued(&"/queue/a".parse().unwrap());
    assert!(queued >= 9, "{queued} of 10 are left, and the client had room for less than one");
}

/// DESIGN, decision 4: what is not supported is refused by ERROR, never ignored.
#[tokio::test(start_paused = true)]
async fn history_that_a_broker_does_not_keep_is_refused() {
    let (_server, mut peer) = embedded(Server::builder());
    peer.connect("").await;
    peer.send("SUBSCRIBE\nid:0\ndestination:/topic/a\nhistory:10\nreceipt:1\n\n").await;
    assert_eq!(peer.frame().await.command(), Command::Error);
}

struct Never;

impl Authenticate for Never {
    fn authenticate(&self, _request: ConnectRequest) -> Authenticating {
        Box::pin(std::future::pending())
    }
}

/// The client has gone, and its place among the connections is never given back.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_while_it_is_authenticated_is_gone() {
    let (server, mut peer) = embedded(Server::builder().authenticate(Never));
    peer.send("CONNECT\naccept-version:1.2\n\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(peer);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(server.connections(), 0);
}

struct Panics;

impl Authenticate for Panics {
    fn authenticate(&self, _request: ConnectRequest) -> Authenticating {
        panic!("the application's mistake")
    }
}

/// As a handler that panics does.
#[tokio::test(start_paused = true)]
async fn an_authentication_that_panics_is_answered_with_an_error() {
    let (_server, mut peer) = embedded(Server::builder().authenticate(Panics));
    peer.send("CONNECT\naccept-version:1.2\n\n").await;
    assert_eq!(peer.error().await.0, "internal error");
}

/// As `connect_timeout` may be.
#[tokio::test(start_paused = true)]
async fn time_limits_may_be_endless() {
    let mut settings = ServerSettings::default();
    settings.write_timeout = Duration::MAX;
    settings.linger = Duration::MAX;
    let (server, mut peer) = embedded(Server::builder().settings(settings));
    peer.connect("").await;
    peer.subscribe("0", "/topic/a").await;
    server.publisher().publish("/topic/a", "x".repeat(10_000)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(server.connections(), 1);
}

/// DESIGN, decision 8: a slow consumer is bounded by bytes and time.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_byte_now_and_then_is_closed() {
    use tokio::io::AsyncReadExt;
    let (server, mut peer) = embedded(Server::builder());
    peer.connect("").await;
    peer.subscribe("0", "/topic/a").await;
    server.publisher().publish("/topic/a", "x".repeat(500_000)).await.unwrap();
    for _ in 0..1_000 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        let mut byte = [0];
        if peer.io().read(&mut byte).await.unwrap() == 0 {
            return;
        }
    }
    assert_eq!(server.connections(), 0, "after four hours it still holds what it does not read");
}

/// RFC 6455 §7.1.7, and why the STOMP endpoint lingers: what is unread resets the connection and
/// destroys the Close.
#[tokio::test]
async fn the_echo_endpoint_has_its_close_read() {
    let server = Server::builder().build();
    let paths = WebSocketPaths::new("/ws").echo("/echo");
    let address = server.listen_websocket("127.0.0.1:0", paths).await.unwrap();
    for _ in 0..20 {
        let mut peer = Peer::web_socket_with(address, "/echo", "").await;
        let mut bytes = masked(0xF0 | TEXT, b"reserved bits");
        bytes.resize(300_000, 0);
        drop(tokio::io::AsyncWriteExt::write_all(peer.io(), &bytes).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(peer.web_socket_frame().await.opcode, CLOSE);
    }
}

/// A server that stops closes its echo connections as well: with a Close (RFC 6455 §7.1.1).
#[tokio::test]
async fn the_echo_endpoint_is_closed_with_1012() {
    let server = Server::builder().build();
    let paths = WebSocketPaths::new("/ws").echo("/echo");
    let address = server.listen_websocket("127.0.0.1:0", paths).await.unwrap();
    let mut peer = Peer::web_socket_with(address, "/echo", "").await;
    peer.send_bytes(TEXT, b"hello").await;
    assert_eq!(peer.web_socket_frame().await.payload, b"hello");
    let stopping = tokio::spawn(async move { server.shutdown(Duration::from_secs(30)).await });
    assert_eq!(peer.closed().await, 1012);
    drop(peer);
    stopping.await.unwrap();
}

/// Counts how often it is delivered to.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicUsize);

impl stompbox::broker::Outlet for Counting {
    fn deliver(
        &self,
        _to: stompbox::session::SubscriptionKey,
        _deliveries: &[stompbox::session::Delivery],
        _now: Instant,
    ) -> stompbox::broker::Taken {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        stompbox::broker::Taken::Written
    }
}

fn subscriber(connection: u64, outlet: Arc<Counting>) -> stompbox::broker::Subscriber {
    let subscription = stompbox::session::SubscriptionKey::new(0, 0);
    stompbox::broker::Subscriber {
        id: stompbox::broker::SubscriberId { connection, subscription },
        outlet,
        settles: false,
        prefetch: 100,
    }
}

/// HOTPATH, design F, 1: what one read brought is grouped by destination, also where handlers stand
/// between: the way of the chat.
#[tokio::test(start_paused = true)]
async fn what_handlers_publish_in_one_turn_is_combined() {
    use stompbox::server::{HandleError, Publisher};
    let broker = Arc::new(MemoryBroker::new());
    let counting = Arc::new(Counting::default());
    let topic = "/topic/a".parse().unwrap();
    let mut turn = Turn::new(Instant::now());
    drop(broker.subscribe(&topic, subscriber(1 << 40, counting.clone()), &mut turn));
    drop(turn);
    let say = async |publisher: Publisher| -> Result<(), HandleError> {
        Ok(publisher.publish("/topic/a", "x").await?)
    };
    let app = App::new().message("/pub/x", say);
    let (_server, mut peer) = embedded(Server::builder().app(app).shared_broker(broker));
    peer.connect("").await;
    for destination in ["/topic/a", "/pub/x"] {
        counting.0.store(0, std::sync::atomic::Ordering::SeqCst);
        let mut frames = format!("SEND\ndestination:{destination}\n\nx\0").repeat(40);
        frames.push_str("SEND\ndestination:/topic/b\nreceipt:1\n\n\0");
        peer.send_bytes(TEXT, frames.as_bytes()).await;
        peer.expect_receipt("1").await;
        let deliveries = counting.0.load(std::sync::atomic::Ordering::SeqCst);
        assert!(deliveries < 8, "40 SENDs to {destination} in one read: {deliveries} deliveries");
    }
}

/// Keeps what it is handed, as a scheduler does while others have their turn.
#[derive(Default)]
struct Busy(parking_lot::Mutex<Vec<stompbox::broker::Work>>);

impl stompbox::broker::Host for Busy {
    fn hand_over(&self, work: stompbox::broker::Work) {
        self.0.lock().push(work);
    }
}

/// HOTPATH, design F, 7: the destination's queue is bounded in bytes; a publisher that finds it full
/// waits. DESIGN, decision 8: bounded everything.
#[test]
fn what_waits_at_a_destination_is_bounded() {
    let broker = MemoryBroker::new();
    broker.attach(Arc::new(Busy::default()));
    let topic = "/topic/a".parse().unwrap();
    let outlet = Arc::new(Counting::default());
    let mut turn = Turn::new(Instant::now());
    for connection in 0..1_001 {
        drop(broker.subscribe(&topic, subscriber(connection, outlet.clone()), &mut turn));
    }
    for megabytes in 0..512 {
        let message = Message::builder(topic.clone()).body(vec![b'x'; 1 << 20]);
        let taken = broker.publish(message, &mut Turn::new(Instant::now())).take_ready();
        if !matches!(taken, Some(Ok(()))) {
            assert!(megabytes > 0);
            return;
        }
    }
    panic!("512 MiB were taken while the destination's flush waited for its turn");
}

/// A queue that holds more than may wait for one connection: whoever comes for it reads all of it.
/// DESIGN, decision 10: a queue passes over a consumer that is blocked; it never drops.
async fn a_backlog_reaches_its_consumer(ack: &str) {
    const MESSAGES: usize = 200;
    let broker = Arc::new(MemoryBroker::new());
    let (server, address) = listening(Server::builder().shared_broker(broker.clone())).await;
    for n in 0..MESSAGES {
        let body = format!("{n} {}", "x".repeat(20_000));
        server.publisher().publish("/queue/a", body).await.unwrap();
    }
    let mut peer = Peer::connected(address).await;
    peer.send(&format!("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:{ack}\nreceipt:1\n\n")).await;
    peer.expect_receipt("1").await;
    for n in 0..MESSAGES {
        let frame = peer.frame().await;
        assert_eq!(
            frame.command(),
            Command::Message,
            "after {n}, with {} left in the queue: {:?} {}",
            broker.queued(&"/queue/a".parse().unwrap()),
            frame.header("message"),
            String::from_utf8_lossy(frame.body())
        );
        assert!(frame.body().starts_with(format!("{n} ").as_bytes()));
        if let Some(id) = frame.header("ack") {
            peer.send(&format!("ACK\nid:{id}\n\n")).await;
        }
    }
}

#[tokio::test]
async fn a_backlog_reaches_its_consumer_in_mode_auto() {
    a_backlog_reaches_its_consumer("auto").await;
}

#[tokio::test]
async fn a_backlog_reaches_its_consumer_in_mode_client() {
    a_backlog_reaches_its_consumer("client").await;
}
