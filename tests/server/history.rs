//! History and resume over real connections: the headers `history`, `since`, `token` and `gap`.

use stompbox::broker::MemoryBroker;
use stompbox::frame::{Command, Frame};
use stompbox::server::{Server, ServerBuilder};
use tokio::io::{AsyncRead, AsyncWrite};

use super::heart_beats::{connection, embedded};
use super::peer::Peer;

const ROOM: &str = "/topic/room/5";

/// A server whose topics keep by this rule.
fn keeping(settings: &str) -> ServerBuilder {
    let rule = format!("/topic/**,{settings}").parse().unwrap();
    Server::builder().broker(MemoryBroker::builder().rule(rule).build())
}

async fn publish(server: &Server, bodies: impl IntoIterator<Item = usize>) {
    for body in bodies {
        server.publisher().publish(ROOM, body.to_string()).await.unwrap();
    }
}

/// Subscribes with a further header, and waits until that is active.
async fn subscribe<T: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<T>, header: &str) {
    peer.send(&format!("SUBSCRIBE\nid:0\ndestination:{ROOM}\nreceipt:1\n{header}\n\n")).await;
    peer.expect_receipt("1").await;
}

/// The next messages must have these bodies, a token each, and say that messages are missing only
/// if the first does. Returns the token of the last one.
async fn expect<T: AsyncRead + AsyncWrite + Unpin>(
    peer: &mut Peer<T>,
    bodies: impl IntoIterator<Item = usize>,
    mut gap: bool,
) -> String {
    let mut token = None;
    for body in bodies {
        let frame: Frame = peer.frame().await;
        assert_eq!(frame.command(), Command::Message, "{frame:?}");
        assert_eq!(frame.body(), body.to_string().as_bytes());
        assert_eq!(frame.header("gap").as_deref(), gap.then_some("true"), "{frame:?}");
        token = frame.header("token").map(std::borrow::Cow::into_owned);
        assert!(token.is_some(), "{frame:?}");
        gap = false;
    }
    token.unwrap_or_default()
}

#[tokio::test]
async fn a_client_that_comes_again_resumes_behind_its_last_message() {
    let (server, mut peer) = embedded(keeping("history=100"));
    peer.connect("").await;
    subscribe(&mut peer, "").await;
    publish(&server, 0..3).await;
    let token = expect(&mut peer, 0..3, false).await;
    drop(peer);
    publish(&server, 3..10).await;
    for live in 10..12 {
        let mut peer = connection(&server);
        peer.connect("").await;
        subscribe(&mut peer, &format!("since:{token}")).await;
        expect(&mut peer, 3..live, false).await;
        publish(&server, live..=live).await;
        expect(&mut peer, live..=live, false).await;
    }
}

#[tokio::test]
async fn a_client_asks_for_the_last_messages() {
    let (server, mut peer) = embedded(keeping("history=5"));
    publish(&server, 0..10).await;
    peer.connect("").await;
    subscribe(&mut peer, "history:3").await;
    publish(&server, 10..11).await;
    expect(&mut peer, 7..11, false).await;
}

#[tokio::test]
async fn a_client_is_told_that_messages_are_missing() {
    let (server, mut first) = embedded(keeping("history=5"));
    first.connect("").await;
    subscribe(&mut first, "").await;
    publish(&server, 0..1).await;
    let token = expect(&mut first, 0..1, false).await;
    publish(&server, 1..10).await;
    // Since one that is gone, since a time before the server began, and in another run of it.
    for since in [token.as_str(), "1970-01-01T00:00:00Z", "1-0"] {
        let mut peer = connection(&server);
        peer.connect("").await;
        subscribe(&mut peer, &format!("since:{since}")).await;
        expect(&mut peer, 5..10, true).await;
    }
    let (server, mut peer) = embedded(keeping("history=5"));
    peer.connect("").await;
    subscribe(&mut peer, &format!("since:{token}")).await;
    publish(&server, 0..2).await;
    expect(&mut peer, 0..2, true).await;
}

#[tokio::test]
async fn a_time_to_come_asks_for_nothing_that_was() {
    let (server, mut peer) = embedded(keeping("history=5"));
    publish(&server, 0..3).await;
    peer.connect("").await;
    subscribe(&mut peer, "since:2970-01-01T00:00:00+01:00").await;
    publish(&server, 3..4).await;
    expect(&mut peer, 3..4, false).await;
}

/// A history of several megabytes to a client that takes four kilobytes at a time, while others go
/// on publishing: more than may wait for one connection.
async fn a_history_larger_than_all_buffers(ack: &str) {
    const MESSAGES: usize = 200;
    let (server, mut peer) = embedded(keeping("history=1000,history-bytes=64MiB"));
    let body = |number: usize| format!("{number} {}", "x".repeat(20_000));
    for number in 0..MESSAGES {
        server.publisher().publish(ROOM, body(number)).await.unwrap();
    }
    peer.connect("").await;
    subscribe(&mut peer, &format!("ack:{ack}\nhistory:1000")).await;
    for number in 0..2 * MESSAGES {
        if number < MESSAGES {
            server.publisher().publish(ROOM, body(MESSAGES + number)).await.unwrap();
        }
        let frame = peer.frame().await;
        assert_eq!(frame.command(), Command::Message, "{number}: {:?}", frame.header("message"));
        assert!(frame.body().starts_with(format!("{number} ").as_bytes()), "{number}");
        assert_eq!(frame.header("gap"), None);
        if let Some(id) = frame.header("ack") {
            peer.send(&format!("ACK\nid:{id}\n\n")).await;
        }
    }
}

#[tokio::test]
async fn a_history_larger_than_all_buffers_in_mode_auto() {
    a_history_larger_than_all_buffers("auto").await;
}

#[tokio::test]
async fn a_history_larger_than_all_buffers_in_mode_client() {
    a_history_larger_than_all_buffers("client").await;
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_an_error_that_names_it() {
    let rows = [
        ("history:all", "invalid header", "the history header of SUBSCRIBE is \"all\""),
        ("history:-1", "invalid header", "the history header of SUBSCRIBE is \"-1\""),
        ("since:a b", "invalid header", "the since header of SUBSCRIBE is \"a b\""),
        ("since:1-0\nhistory:5", "invalid header", "excludes the header history"),
        ("since:yesterday", "invalid token", "since:\"yesterday\" is neither a token"),
        ("since:2026-01-01", "invalid token", "since:\"2026-01-01\" is neither a token"),
    ];
    for (header, summary, detail) in rows {
        let (_server, mut peer) = embedded(keeping("history=5"));
        peer.connect("").await;
        peer.send(&format!("SUBSCRIBE\nid:0\ndestination:{ROOM}\n{header}\n\n")).await;
        let error = peer.error().await;
        assert_eq!(error.0, summary, "{header}");
        assert!(error.1.contains(detail), "{header}: {}", error.1);
    }
}
