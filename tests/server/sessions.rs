//! What a client sees of its session, over WebSocket and over TCP.

use stompbox::frame::Command;
use stompbox::server::{
    Authenticate, Authenticating, AuthenticationError, ConnectRequest, Handle, HandleError,
    Handling, Principal, SendRequest, Server, ServerSettings,
};
use stompbox::session::SessionSettings;
use tokio::io::AsyncWriteExt;

use super::peer::{CLOSE, Peer, TEXT, listening};

/// The chat of the story, through whichever peer.
macro_rules! chat {
    ($peer:ident) => {
        $peer.connect("").await;
        $peer.subscribe("0", "/topic/room/5").await;
        $peer
            .send("SEND\ndestination:/topic/room/5\ncontent-type:text/plain\nreceipt:1\n\nhello")
            .await;
        let mut commands = Vec::new();
        for _ in 0..2 {
            let frame = $peer.frame().await;
            if frame.command() == Command::Message {
                assert_eq!(frame.body(), b"hello");
                assert_eq!(frame.header("subscription").as_deref(), Some("0"));
                assert_eq!(frame.header("destination").as_deref(), Some("/topic/room/5"));
                assert_eq!(frame.header("content-type").as_deref(), Some("text/plain"));
                assert_eq!(frame.header("receipt"), None);
            }
            commands.push(frame.command());
        }
        commands.sort_by_key(|command| command.as_str());
        assert_eq!(commands, [Command::Message, Command::Receipt]);
        $peer.send("DISCONNECT\nreceipt:bye\n\n").await;
        $peer.expect_receipt("bye").await;
    };
}

#[tokio::test]
async fn a_session_over_web_socket() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::web_socket(address).await;
    chat!(peer);
    assert_eq!(peer.closed().await, 1000);
}

#[tokio::test]
async fn c3_connected_names_the_session_by_an_id_that_nobody_can_guess() {
    let (_server, address) = listening(Server::builder()).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut peer = Peer::web_socket(address).await;
        peer.send("CONNECT\naccept-version:1.2\n\n").await;
        let connected = peer.frame().await;
        for name in ["version", "server", "heart-beat"] {
            assert!(connected.headers().contains(name), "{name}");
        }
        ids.push(connected.header("session").unwrap().into_owned());
    }
    assert_ne!(ids[0], ids[1]);
    // 128 bits, and nothing that would have to be escaped where nothing is.
    assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
}

#[tokio::test]
async fn the_same_session_over_tcp() {
    let server = Server::builder().build();
    let address = server.listen_tcp("127.0.0.1:0").await.unwrap();
    let mut peer = Peer::tcp(address).await;
    chat!(peer);
    peer.ended().await;
}

#[tokio::test]
async fn a_send_to_a_prefix_that_nobody_handles_is_an_error() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.send("SEND\ndestination:/pub/nowhere\nreceipt:7\n\nhello").await;
    let error = peer.frame().await;
    assert_eq!(error.command(), Command::Error);
    assert_eq!(error.header("message").as_deref(), Some("unknown destination"));
    assert_eq!(error.header("receipt-id").as_deref(), Some("7"));
    assert!(String::from_utf8_lossy(error.body()).contains("/pub/nowhere"));
    assert_eq!(peer.closed().await, 1008);
}

#[tokio::test]
async fn a_subscription_that_is_refused_is_named() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.send("SUBSCRIBE\nid:rooms\ndestination:/pub/nowhere\nreceipt:7\n\n").await;
    let error = peer.frame().await;
    assert_eq!(error.header("message").as_deref(), Some("unknown destination"));
    assert_eq!(error.header("subscription").as_deref(), Some("rooms"));
    assert_eq!(error.header("receipt-id").as_deref(), Some("7"));
}

#[tokio::test]
async fn a_strict_server_refuses_by_name_what_the_default_accepts() {
    let mut settings = ServerSettings::default();
    settings.session = SessionSettings::strict();
    let (_server, address) = listening(Server::builder().settings(settings)).await;
    let mut peer = Peer::web_socket(address).await;
    peer.send("CONNECT\naccept-version:1.2\n\n").await;
    let (summary, detail) = peer.error().await;
    assert_eq!(summary, "missing header");
    assert_eq!(detail, "CONNECT needs a host header");
    assert_eq!(peer.closed().await, 1002);
}

#[tokio::test]
async fn c7_a_broken_rule_of_stomp_closes_with_1002() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.send("CONNECT\naccept-version:1.2\n\n").await;
    assert_eq!(peer.error().await.0, "already connected");
    assert_eq!(peer.closed().await, 1002);
}

#[tokio::test]
async fn what_the_broker_cannot_do_is_refused_and_not_ignored() {
    let (_server, address) = listening(Server::builder()).await;
    for (header, capability) in
        [("history:10", "history"), ("since:1", "history"), ("durable:true", "durable messages")]
    {
        let mut peer = Peer::connected(address).await;
        peer.send(&format!("SUBSCRIBE\nid:0\ndestination:/topic/a\n{header}\n\n")).await;
        let (summary, detail) = peer.error().await;
        assert_eq!(summary, "not supported");
        assert!(detail.contains(&format!("does not support {capability}")), "{detail}");
    }
    let mut peer = Peer::connected(address).await;
    peer.send("SUBSCRIBE\nid:0\ndestination:/queue/*\n\n").await;
    assert_eq!(peer.error().await.0, "not supported");
}

struct ByPasscode;

impl Authenticate for ByPasscode {
    fn authenticate(&self, request: ConnectRequest) -> Authenticating {
        Box::pin(async move {
            // A decision that takes a while: what came behind the CONNECT waits for it.
            tokio::task::yield_now().await;
            let cookie = request.upgrade().and_then(|upgrade| upgrade.headers.get("cookie"));
            let cookie = cookie.and_then(|cookie| cookie.to_str().ok().map(str::to_owned));
            if let Some(token) = request.bearer_token() {
                return Ok(Principal::new(token));
            }
            match (request.passcode().as_deref(), cookie) {
                (Some("a:b\\c"), _) => Ok(Principal::new("ann")),
                (_, Some(cookie)) => Ok(Principal::new(cookie)),
                _ => Err(AuthenticationError::refused()),
            }
        })
    }
}

#[tokio::test]
async fn authentication_sees_the_connect_headers_as_they_came() {
    let (_server, address) = listening(Server::builder().authenticate(ByPasscode)).await;
    let mut peer = Peer::web_socket(address).await;
    let connect = "CONNECT\naccept-version:1.2\npasscode:a:b\\c\n\n\0SUBSCRIBE\nid:0\n\
                   destination:/topic/a\nreceipt:1\n\n";
    peer.send(connect).await;
    let connected = peer.frame().await;
    assert_eq!(connected.header("user-name").as_deref(), Some("ann"));
    peer.expect_receipt("1").await;
}

#[tokio::test]
async fn a_bearer_token_is_found_however_it_is_written() {
    let (_server, address) = listening(Server::builder().authenticate(ByPasscode)).await;
    for header in ["Authorization:Bearer eve", "authorization: bearer eve"] {
        let mut peer = Peer::web_socket(address).await;
        peer.send(&format!("CONNECT\naccept-version:1.2\n{header}\n\n")).await;
        assert_eq!(peer.frame().await.header("user-name").as_deref(), Some("eve"));
    }
}

#[tokio::test]
async fn authentication_sees_the_upgrade_request() {
    let (_server, address) = listening(Server::builder().authenticate(ByPasscode)).await;
    let mut peer = Peer::web_socket_with(address, "/ws", "Cookie: bob\r\n").await;
    peer.send("CONNECT\naccept-version:1.2\n\n").await;
    assert_eq!(peer.frame().await.header("user-name").as_deref(), Some("bob"));
}

#[tokio::test]
async fn a_client_that_may_not_connect_is_told_so() {
    let (_server, address) = listening(Server::builder().authenticate(ByPasscode)).await;
    let mut peer = Peer::web_socket(address).await;
    peer.send("CONNECT\naccept-version:1.2\npasscode:wrong\n\n").await;
    let (summary, detail) = peer.error().await;
    assert_eq!(summary, "access refused");
    assert_eq!(detail, "the credentials were not accepted");
    assert_eq!(peer.closed().await, 1008);
}

/// Takes what is sent to `/app/…` and publishes it to `/topic/…`, after a while.
struct Slowly;

impl Handle for Slowly {
    fn handles(&self, destination: &str) -> bool {
        destination.starts_with("/app/")
    }

    fn handle(&self, request: SendRequest) -> Handling {
        assert_ne!(request.body(), b"panic at once");
        Box::pin(async move {
            for _ in 0..request.body().len() {
                tokio::task::yield_now().await;
            }
            assert_ne!(request.body(), b"panic later");
            if request.body() == b"refuse" {
                return Err(HandleError::new("refused", "the handler does not want this"));
            }
            let to = request.destination.replace("/app/", "/topic/");
            request.publisher.publish(&to, request.body()).await.unwrap();
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_handler_takes_the_messages_of_a_connection_in_order() {
    let (_server, address) = listening(Server::builder().handle(Slowly)).await;
    let mut reader = Peer::connected(address).await;
    reader.subscribe("0", "/topic/a").await;
    let mut peer = Peer::connected(address).await;
    // More than may be pending at once, and each takes a different time.
    let sends: String = (0..300)
        .map(|n| {
            format!("SEND\ndestination:/app/a\nreceipt:{n}\n\n{n:0width$}\0", width = 9 - n % 7)
        })
        .collect();
    peer.send_bytes(TEXT, sends.as_bytes()).await;
    for n in 0..300 {
        assert_eq!(reader.message().await.parse::<usize>().unwrap(), n);
        peer.expect_receipt(&n.to_string()).await;
    }
}

#[tokio::test]
async fn disconnect_is_answered_after_everything_before_it() {
    let (_server, address) = listening(Server::builder().handle(Slowly)).await;
    let mut peer = Peer::connected(address).await;
    let sends = "SEND\ndestination:/app/a\nreceipt:1\n\nslow\0DISCONNECT\nreceipt:2\n\n\0";
    peer.send_bytes(TEXT, sends.as_bytes()).await;
    peer.expect_receipt("1").await;
    peer.expect_receipt("2").await;
    assert_eq!(peer.closed().await, 1000);
}

#[tokio::test]
async fn c7_a_handler_that_refuses_or_panics_is_one_connections_failure() {
    let (_server, address) = listening(Server::builder().handle(Slowly)).await;
    let mut other = Peer::connected(address).await;
    for (body, summary, code) in [
        ("refuse", "refused", 1008),
        ("panic at once", "internal error", 1011),
        ("panic later", "internal error", 1011),
    ] {
        let mut peer = Peer::connected(address).await;
        peer.send(&format!("SEND\ndestination:/app/a\nreceipt:r\n\n{body}")).await;
        let error = peer.frame().await;
        assert_eq!(error.header("message").as_deref(), Some(summary));
        assert_eq!(error.header("receipt-id").as_deref(), Some("r"));
        assert_eq!(peer.closed().await, code);
    }
    other.subscribe("0", "/topic/a").await;
    other.send("SEND\ndestination:/app/a\n\nstill here").await;
    assert_eq!(other.message().await, "still here");
}

#[tokio::test]
async fn a_transaction_takes_effect_at_its_commit() {
    let (_server, address) = listening(Server::builder().handle(Slowly)).await;
    let mut reader = Peer::connected(address).await;
    reader.subscribe("0", "/topic/a").await;
    let mut peer = Peer::connected(address).await;
    peer.send("BEGIN\ntransaction:t\nreceipt:1\n\n").await;
    peer.expect_receipt("1").await;
    for (destination, body) in [("/topic/a", "one"), ("/app/a", "two"), ("/topic/a", "three")] {
        peer.send(&format!("SEND\ndestination:{destination}\ntransaction:t\n\n{body}")).await;
    }
    peer.send("SEND\ndestination:/topic/a\n\noutside").await;
    assert_eq!(reader.message().await, "outside");
    peer.send("COMMIT\ntransaction:t\nreceipt:2\n\n").await;
    // What is for the broker takes effect as one; handlers follow.
    assert_eq!(reader.message().await, "one");
    assert_eq!(reader.message().await, "three");
    assert_eq!(reader.message().await, "two");
    peer.expect_receipt("2").await;
}

#[tokio::test]
async fn a_queue_gives_each_message_to_one_consumer_until_it_is_acknowledged() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.send("SEND\ndestination:/queue/jobs\nreceipt:1\n\none").await;
    peer.expect_receipt("1").await;

    let mut consumer = Peer::connected(address).await;
    consumer.send("SUBSCRIBE\nid:0\ndestination:/queue/jobs\nack:client\n\n").await;
    let first = consumer.frame().await;
    assert_eq!(first.body(), b"one");
    assert!(first.header("ack").is_some());
    drop(consumer);

    let mut consumer = Peer::connected(address).await;
    consumer.send("SUBSCRIBE\nid:0\ndestination:/queue/jobs\nack:client\n\n").await;
    let again = consumer.frame().await;
    assert_eq!(again.body(), b"one");
    assert_eq!(again.header("redelivered").as_deref(), Some("true"));
    consumer.send(&format!("ACK\nid:{}\nreceipt:2\n\n", again.header("ack").unwrap())).await;
    consumer.expect_receipt("2").await;
    peer.send("SEND\ndestination:/queue/jobs\n\ntwo").await;
    assert_eq!(consumer.message().await, "two");
}

#[tokio::test]
async fn what_a_client_sent_before_it_went_is_still_handled() {
    const MESSAGES: usize = 200;
    let (server, address) = listening(Server::builder().handle(Slowly)).await;
    let mut reader = Peer::connected(address).await;
    reader.subscribe("0", "/topic/a").await;
    let sends: String =
        (0..MESSAGES).map(|n| format!("SEND\ndestination:/app/a\n\n{n:050}\0")).collect();

    // stompjs 2.3.3 closes right behind its DISCONNECT; others just vanish.
    for closes in [true, false] {
        let mut peer = Peer::connected(address).await;
        let last = if closes { "DISCONNECT\n\n\0" } else { "" };
        peer.send_bytes(TEXT, format!("{sends}{last}").as_bytes()).await;
        if closes {
            peer.send_bytes(CLOSE, &1000_u16.to_be_bytes()).await;
        }
        drop(peer);
        for n in 0..MESSAGES {
            assert_eq!(reader.message().await.parse::<usize>().unwrap(), n);
        }
    }
    while server.connections() > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_tcp_client_that_only_listens_any_more_gets_its_answers() {
    let server = Server::builder().handle(Slowly).build();
    let address = server.listen_tcp("127.0.0.1:0").await.unwrap();
    let mut peer = Peer::tcp(address).await;
    peer.connect("").await;
    peer.send("SEND\ndestination:/app/a\nreceipt:1\n\nslow enough").await;
    peer.io().shutdown().await.unwrap();
    peer.expect_receipt("1").await;
    peer.ended().await;
}

#[tokio::test]
async fn what_was_published_before_a_disconnect_is_delivered_before_its_receipt() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    let frames = "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0SEND\ndestination:/topic/a\n\nlast\0\
                  DISCONNECT\nreceipt:1\n\n\0";
    peer.send_bytes(TEXT, frames.as_bytes()).await;
    assert_eq!(peer.message().await, "last");
    peer.expect_receipt("1").await;
}
