//! An engine that loses what is noted beside committed offsets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::engine::Engine;
use crate::listener::{Listener, PATIENCE, publish, texts};
use crate::node;
use crate::queues::acknowledge;

const QUEUE: &str = "/queue/work";

/// Makes of Kafka one of whose notes none is legible.
async fn lose_notes(listener: TcpListener, kafka: String) {
    let kafka = kafka.trim_start_matches("kafka://").to_owned();
    while let Ok((node, _)) = listener.accept().await {
        let (mut asks, mut answers) = node.into_split();
        let engine = TcpStream::connect(&kafka).await.expect("a Kafka");
        let (mut from, mut to) = engine.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut asks, &mut to).await });
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(length @ 1..) = from.read(&mut buffer).await {
                let bytes = &mut buffer[..length];
                for note in [&b"open"[..], b"seen="] {
                    while let Some(at) = bytes.windows(note.len()).position(|it| it == note) {
                        bytes[at..at + note.len()].fill(b'?');
                    }
                }
                if answers.write_all(bytes).await.is_err() {
                    break;
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs kafka"]
async fn where_notes_are_lost_a_queue_is_consumed_and_what_may_come_twice_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (_engine, proxied) =
        tokio::task::block_in_place(|| Engine::start_behind("kafka-notes", address.port()));
    tokio::spawn(lose_notes(listener, proxied));
    let url = format!("kafka://{address}");
    let (one, other) = (node(&url).await, node(&url).await);
    let first = Listener::consumer(&one, QUEUE, 3).await;
    for number in 0..5 {
        publish(&other, QUEUE, &number.to_string()).await.unwrap();
    }
    let had = first.mailbox.wait_for(3, PATIENCE).await.unwrap();
    assert!(had.iter().all(|it| it.attempt == 1), "{had:?}");
    acknowledge(&one, &first, &had[..1]);
    drop(one);
    let second = Listener::consumer(&other, QUEUE, 10).await;
    let received = second.mailbox.wait_for(4, PATIENCE).await.unwrap();
    assert_eq!(texts(&received), ["1", "2", "3", "4"]);
    assert!(received.iter().all(|it| it.attempt > 1), "{received:?}");
}
