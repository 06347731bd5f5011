//! Everything that a peer could make grow has a bound, in bytes or in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use stompbox::broker::{Broker, Host, MemoryBroker, Message, Turn, Work};
use stompbox::frame::Command;
use stompbox::server::{Server, ServerSettings};
use tokio::io::AsyncReadExt;

use super::counting::{Counting, subscriber};
use super::heart_beats::embedded;

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

/// Keeps what it is handed, as a scheduler does while others have their turn.
#[derive(Default)]
struct Busy(Mutex<Vec<Work>>);

impl Host for Busy {
    fn hand_over(&self, work: Work) {
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

/// DESIGN, decision 8: a slow consumer is bounded by bytes and time.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_byte_now_and_then_is_closed() {
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
