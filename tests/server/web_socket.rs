//! The WebSocket around a session (RFC 6455).

use stompbox::server::Server;

use super::peer::{BINARY, CLOSE, PING, PONG, Peer, TEXT, listening, masked};

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

#[tokio::test]
async fn a_close_is_answered_and_nothing_follows() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.send_bytes(CLOSE, &[0x0F, 0xA0, b'b', b'y', b'e']).await;
    assert_eq!(peer.closed().await, 4000);
}

#[tokio::test]
async fn text_that_is_not_utf8_closes_with_1007() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.send_bytes(TEXT, b"SEND\ndestination:/topic/a\n\n\xFF\0").await;
    assert_eq!(peer.error().await.0, "WebSocket error");
    assert_eq!(peer.closed().await, 1007);
}

#[tokio::test]
async fn a_frame_that_is_not_masked_closes_with_1002() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    peer.write(b"\x81\x01\n").await;
    assert_eq!(peer.error().await.0, "WebSocket error");
    assert_eq!(peer.closed().await, 1002);
}

#[tokio::test]
async fn a_message_over_the_limit_closes_with_1009() {
    let (_server, address) = listening(Server::builder()).await;
    let mut peer = Peer::connected(address).await;
    // Its length alone is enough.
    peer.write(&[0x81, 0xFF, 0, 0, 0, 0, 0xFF, 0, 0, 0, 1, 2, 3, 4]).await;
    assert_eq!(peer.error().await.0, "WebSocket error");
    assert_eq!(peer.closed().await, 1009);
}

#[tokio::test]
async fn the_echo_sends_back_what_it_is_sent() {
    let server = Server::builder().build();
    let paths = stompbox::server::WebSocketPaths::new("/ws").echo("/echo");
    let address = server.listen_websocket("127.0.0.1:0", paths).await.unwrap();
    let mut peer = Peer::web_socket_with(address, "/echo", "").await;
    for (opcode, payload) in [(TEXT, vec![b'x'; 70_000]), (BINARY, vec![0xFF; 3]), (TEXT, vec![])] {
        peer.send_bytes(opcode, &payload).await;
        let frame = peer.web_socket_frame().await;
        assert_eq!((frame.opcode, frame.payload), (opcode, payload));
    }
    peer.send_bytes(CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(peer.closed().await, 1000);
}
