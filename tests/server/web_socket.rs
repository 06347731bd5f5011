//! The WebSocket around a session (RFC 6455).

use std::net::SocketAddr;
use std::time::Duration;

use stompbox::server::{Server, WebSocketPaths};

use super::peer::{BINARY, CLOSE, CONTINUATION, PING, PONG, Peer, TEXT, listening, masked};

/// The bit of a frame that is the last of its message.
const FINAL: u8 = 0x80;

#[tokio::test]
async fn f11_frames_and_messages_need_not_coincide() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    let frames = "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0SEND\ndestination:/topic/a\n\none\0\
                  \n\nSEND\ndestination:/topic/a\n\ntwo\0";
    let (first, second) = frames.split_at(60);
    peer.send_bytes(TEXT, first.as_bytes()).await;
    peer.send_bytes(TEXT, second.as_bytes()).await;
    assert_eq!(peer.message().await, "one");
    assert_eq!(peer.message().await, "two");

    // A message in two frames, with a Ping between them.
    peer.write(&masked(TEXT, b"SEND\ndestination:/top")).await;
    peer.write(&masked(0x80 | PING, b"still there?")).await;
    peer.write(&masked(0x80, b"ic/a\n\nthree\0")).await;
    let pong = peer.web_socket_frame().await;
    assert_eq!((pong.opcode, &pong.payload[..]), (PONG, &b"still there?"[..]));
    assert_eq!(peer.message().await, "three");
}

#[tokio::test]
async fn f12_text_for_utf8_and_binary_for_the_rest() {
    let (_server, address) = listening(Server::builder()).await;
    let mut text = Peer::connected(address).await;
    text.subscribe("0", "/topic/a").await;
    let mut binary = Peer::web_socket(address).await;
    binary.send_bytes(BINARY, b"CONNECT\naccept-version:1.2\n\n\0").await;
    assert_eq!(binary.web_socket_frame().await.opcode, BINARY);
    binary.subscribe("0", "/topic/a").await;

    for (body, expected) in
        [(&b"gr\xC3\xBC\xC3\x9Fe"[..], TEXT), (b"a\0b", TEXT), (b"\xFF", BINARY)]
    {
        let mut send = format!("SEND\ndestination:/topic/a\ncontent-length:{}\n\n", body.len());
        send.push('\0');
        let mut send = send.into_bytes();
        send.pop();
        send.extend_from_slice(body);
        send.push(0);
        binary.send_bytes(BINARY, &send).await;
        let frame = text.web_socket_frame().await;
        assert_eq!(frame.opcode, expected, "{body:?}");
        assert!(frame.payload.ends_with(&[body, b"\0"].concat()));
        assert_eq!(binary.web_socket_frame().await.opcode, BINARY);
    }
}

#[tokio::test]
async fn f13_a_text_message_may_lack_its_last_nul() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::web_socket(address).await;
    peer.send_bytes(TEXT, b"CONNECT\naccept-version:1.2\n\n").await;
    assert_eq!(peer.frame().await.header("version").as_deref(), Some("1.2"));
    peer.send_bytes(TEXT, b"SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:1\n\n").await;
    peer.expect_receipt("1").await;
}

/// RFC 6455 §5.5.1 and §7.4: the code comes back, unless it is none that may be sent.
#[tokio::test]
async fn a_close_is_answered_and_nothing_follows() {
    let (_server, address) = listening_with_echo().await;
    for (sent, answered) in [
        (&b""[..], &b""[..]),
        (b"\x03\xE8", b"\x03\xE8"),
        (b"\x03\xE9going", b"\x03\xE9going"),
        (b"\x0B\xB8", b"\x0B\xB8"),
        (b"\x0F\xA0bye", b"\x0F\xA0bye"),
        (b"\x13\x87", b"\x13\x87"),
    ] {
        for mut peer in both(address).await {
            peer.send_bytes(CLOSE, sent).await;
            let close = peer.web_socket_frame().await;
            assert_eq!((close.opcode, &close.payload[..]), (CLOSE, answered));
            peer.ended().await;
        }
    }
}

#[tokio::test]
async fn a_close_with_a_code_that_none_may_send_is_answered_with_1002() {
    let (_server, address) = listening_with_echo().await;
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        for mut peer in both(address).await {
            peer.send_bytes(CLOSE, &code.to_be_bytes()).await;
            assert_eq!(peer.closed().await, 1002, "{code}");
        }
    }
}

#[tokio::test]
async fn a_close_that_is_malformed_fails_the_connection() {
    let (_server, address) = listening_with_echo().await;
    for (sent, code) in [(&b"\x03"[..], 1002), (&b"\x03\xE8\xC3\x28"[..], 1007)] {
        fails(address, &masked(FINAL | CLOSE, sent), code).await;
    }
}

#[tokio::test]
async fn an_error_says_which_rule_was_broken() {
    let (_server, address) = listening_with_echo().await;
    for (sent, detail) in [
        (
            masked(FINAL | CONTINUATION, b""),
            "the client broke the WebSocket protocol: Continue frame but nothing to continue",
        ),
        (
            masked(FINAL | CLOSE, b"\x03\xE8\xFF"),
            "text is not UTF-8; send a binary message for a body that is not",
        ),
    ] {
        let mut peer = Peer::connected(address).await;
        peer.write(&sent).await;
        assert_eq!(peer.error().await, ("WebSocket error".into(), detail.into()));
    }
}

/// RFC 6455 §5.2, §5.4, §5.5.
#[tokio::test]
async fn what_breaks_the_framing_closes_with_1002() {
    let (_server, address) = listening_with_echo().await;
    let in_a_message = |frame: Vec<u8>| [masked(TEXT, b"\n"), frame].concat();
    for broken in [
        masked(FINAL | 0x40 | TEXT, b"a reserved bit"),
        masked(FINAL | 0x3, b"a reserved opcode"),
        masked(FINAL | 0xB, b"a reserved opcode of control frames"),
        masked(PING, b"a control frame in pieces"),
        masked(FINAL | PING, &[b'x'; 126]),
        masked(FINAL | CONTINUATION, b"nothing to continue"),
        in_a_message(masked(FINAL | TEXT, b"a message within another")),
        in_a_message(masked(FINAL | PING, &[b'x'; 126])),
        // Not masked (§5.1).
        b"\x81\x01\n".to_vec(),
    ] {
        fails(address, &broken, 1002).await;
    }
}

/// RFC 6455 §8.1: a character may be spread over frames, but what cannot become UTF-8 fails at once.
#[tokio::test]
async fn text_in_pieces_is_checked_as_it_comes() {
    let (_server, address) = listening_with_echo().await;
    fails(address, &masked(TEXT, b"\n\xED\xA0\x80"), 1007).await;
    fails(address, &[masked(TEXT, b"\n\xE2\x82"), masked(CONTINUATION, b"x")].concat(), 1007).await;
    fails(address, &[masked(TEXT, b"\xC3"), masked(FINAL | CONTINUATION, b"")].concat(), 1007)
        .await;

    let mut echo = Peer::web_socket_with(address, "/echo", "").await;
    for octet in "κόσμε".bytes().enumerate() {
        let opcode = if octet.0 == 0 { TEXT } else { CONTINUATION };
        echo.write(&masked(opcode, &[octet.1])).await;
    }
    echo.write(&masked(FINAL | CONTINUATION, b"")).await;
    assert_eq!(echo.web_socket_frame().await.payload, "κόσμε".as_bytes());
}

/// Closing while something unread has come would reset the connection: what still comes is read.
#[tokio::test]
async fn a_client_that_goes_on_sending_reads_why_it_was_closed() {
    let (_server, address) = listening_with_echo().await;
    let broken = masked(FINAL | CONTINUATION, b"nothing to continue");
    // More than the buffers of both ends take.
    let more = masked(FINAL | BINARY, &vec![0; 12 << 20]);
    fails(address, &[broken, more].concat(), 1002).await;
}

#[tokio::test]
async fn c7_text_that_is_not_utf8_closes_with_1007() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.send_bytes(TEXT, b"SEND\ndestination:/topic/a\n\n\xFF\0").await;
    assert_eq!(peer.error().await.0, "WebSocket error");
    assert_eq!(peer.closed().await, 1007);
}

#[tokio::test]
async fn c7_a_message_over_the_limit_closes_with_1009() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    // Its length alone is enough.
    peer.write(&[0x81, 0xFF, 0, 0, 0, 0, 0xFF, 0, 0, 0, 1, 2, 3, 4]).await;
    assert_eq!(peer.error().await.0, "WebSocket error");
    assert_eq!(peer.closed().await, 1009);
}

#[tokio::test]
async fn the_echo_sends_back_what_it_is_sent() {
    let (_server, address) = listening_with_echo().await;
    let mut peer = Peer::web_socket_with(address, "/echo", "").await;
    for (opcode, payload) in [(TEXT, vec![b'x'; 70_000]), (BINARY, vec![0xFF; 3]), (TEXT, vec![])] {
        peer.send_bytes(opcode, &payload).await;
        let frame = peer.web_socket_frame().await;
        assert_eq!((frame.opcode, frame.payload), (opcode, payload));
    }
    peer.send_bytes(CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(peer.closed().await, 1000);
}

#[tokio::test]
async fn the_echo_is_closed_with_1012_when_the_server_stops() {
    let (server, address) = listening_with_echo().await;
    let mut peer = Peer::web_socket_with(address, "/echo", "").await;
    let stopping = tokio::spawn(async move { server.shutdown(Duration::from_secs(30)).await });
    assert_eq!(peer.closed().await, 1012);
    drop(peer);
    assert_eq!(stopping.await.unwrap().cut, 0);
}

/// A server with STOMP at `/ws` and an echo at `/echo`.
async fn listening_with_echo() -> (Server, SocketAddr) {
    let server = Server::builder().build();
    let paths = WebSocketPaths::new("/ws").echo("/echo");
    let address = server.listen_websocket("127.0.0.1:0", paths).await.unwrap();
    (server, address)
}

/// A connected session of STOMP, and an echo: the rules of WebSocket are the same for both.
async fn both(address: SocketAddr) -> [Peer; 2] {
    [Peer::connected(address).await, Peer::web_socket_with(address, "/echo", "").await]
}

/// What is sent must end both kinds of connection with a code, and a session with an ERROR before.
async fn fails(address: SocketAddr, sent: &[u8], code: u16) {
    let [mut session, mut echo] = both(address).await;
    session.write(sent).await;
    assert_eq!(session.error().await.0, "WebSocket error", "{sent:?}");
    assert_eq!(session.closed().await, code, "{sent:?}");
    echo.write(sent).await;
    assert_eq!(echo.closed().await, code, "{sent:?}");
}
