//! What a connection keeps while nothing happens, by an allocator that counts on each thread.

use std::thread;

use allocation_counter::measure;
use stompbox::app::App;
use stompbox::server::Server;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::peer::{Peer, TEXT, listening};

const CONNECTIONS: usize = 200;

/// The most that a new connection may keep, in bytes. The operating system's part is not in it.
const MOST_NEW: u64 = 3_000;

/// The most that it may keep after a burst.
const MOST_AFTER_BURST: u64 = 4_000;

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// What the server keeps for each connection that has subscribed, once all of them have done this.
fn kept(then: impl AsyncFn(&mut Peer, usize) + Send + 'static) -> u64 {
    let runtime = current_thread();
    let builder = Server::builder().app(App::new().message("/pub/x", async || {}));
    let (_server, address) = runtime.block_on(listening(builder));
    let (first, first_is_done) = oneshot::channel::<()>();
    let (all, all_are_done) = oneshot::channel::<()>();
    let (measured, end) = oneshot::channel::<()>();
    let clients = thread::spawn(move || {
        let open = async |n: usize| {
            let mut peer = Peer::connected(address).await;
            peer.subscribe("0", &format!("/topic/{}", n % 10)).await;
            then(&mut peer, n).await;
            peer
        };
        current_thread().block_on(async {
            let mut peers = vec![open(0).await];
            first.send(()).unwrap();
            for n in 1..=CONNECTIONS {
                peers.push(open(n).await);
            }
            all.send(()).unwrap();
            end.await.unwrap();
        });
    });
    // The first one leaves behind what connections of a thread share.
    runtime.block_on(first_is_done).unwrap();
    let allocated = measure(|| runtime.block_on(all_are_done).unwrap());
    measured.send(()).unwrap();
    clients.join().unwrap();
    u64::try_from(allocated.bytes_current).unwrap() / CONNECTIONS as u64
}

#[test]
fn a_new_connection_keeps_little() {
    let kept = kept(async |_, _| {});
    assert!(kept <= MOST_NEW, "{kept} bytes a connection");
}

#[test]
fn after_a_burst_a_connection_keeps_little_more() {
    let kept = kept(async |peer, n| {
        // Many in one read, one that is longer than a read, many for a handler.
        let own = format!("/topic/own/{n}");
        peer.subscribe("1", &own).await;
        let small = format!("SEND\ndestination:{own}\n\nx\0").repeat(100);
        peer.send_bytes(TEXT, small.as_bytes()).await;
        peer.send(&format!("SEND\ndestination:{own}\n\n{}", "x".repeat(100_000))).await;
        for _ in 0..101 {
            peer.message().await;
        }
        let handled = "SEND\ndestination:/pub/x\n\nx\0".repeat(50);
        peer.send_bytes(TEXT, handled.as_bytes()).await;
        // A transaction, to a queue whose messages are settled all at once.
        let queue = format!("/queue/{n}");
        peer.send(&format!("SUBSCRIBE\nid:2\ndestination:{queue}\nack:client\n\n")).await;
        let sends = format!("SEND\ndestination:{queue}\ntransaction:t\n\nx\0").repeat(100);
        let transaction = format!("BEGIN\ntransaction:t\n\n\0{sends}COMMIT\ntransaction:t\n\n\0");
        peer.send_bytes(TEXT, transaction.as_bytes()).await;
        let mut ack = String::new();
        for _ in 0..100 {
            ack = peer.frame().await.header("ack").unwrap().into_owned();
        }
        peer.send(&format!("ACK\nid:{ack}\nreceipt:ack\n\n")).await;
        peer.expect_receipt("ack").await;
        for id in [1, 2] {
            peer.send(&format!("UNSUBSCRIBE\nid:{id}\nreceipt:{id}\n\n")).await;
            peer.expect_receipt(&id.to_string()).await;
        }
    });
    assert!(kept <= MOST_AFTER_BURST, "{kept} bytes a connection");
}
