//! Heads of real clients. All but Firefox's were recorded from the program that is named.

use stompbox::handshake::{Subprotocol, Upgrade};

use super::requests::check_bytes;

/// The subprotocol that is chosen for a head, whose lines end in CR LF on the wire.
fn chosen(head: &str) -> Option<Subprotocol> {
    let bytes = head.replace('\n', "\r\n") + "\r\n";
    check_bytes(&Upgrade::new().path("/ws"), bytes.as_bytes()).unwrap().subprotocol()
}

#[test]
fn chromium_156() {
    let head = "GET /ws HTTP/1.1
Host: 127.0.0.1:9321
Connection: Upgrade
Pragma: no-cache
Cache-Control: no-cache
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36
Upgrade: websocket
Origin: http://127.0.0.1:9321
Sec-WebSocket-Version: 13
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9
Sec-WebSocket-Key: QjHnMs5gJJN7A0xnasV2SQ==
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
Sec-WebSocket-Protocol: v12.stomp, v11.stomp, v10.stomp
";
    assert_eq!(chosen(head), Some(Subprotocol::V12Stomp));
}

/// Not recorded: put together from what Firefox is known to send, `keep-alive, Upgrade` above all.
#[test]
fn firefox() {
    let head = "GET /ws HTTP/1.1
Host: localhost:8080
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0
Accept: */*
Accept-Language: en-US,en;q=0.5
Accept-Encoding: gzip, deflate, br, zstd
Sec-WebSocket-Version: 13
Origin: http://localhost:8080
Sec-WebSocket-Protocol: v12.stomp, v11.stomp, v10.stomp
Sec-WebSocket-Extensions: permessage-deflate
Sec-WebSocket-Key: QjHnMs5gJJN7A0xnasV2SQ==
Connection: keep-alive, Upgrade
Sec-Fetch-Dest: empty
Sec-Fetch-Mode: websocket
Sec-Fetch-Site: same-origin
Pragma: no-cache
Cache-Control: no-cache
Upgrade: websocket
";
    assert_eq!(chosen(head), Some(Subprotocol::V12Stomp));
}

#[test]
fn stompjs_7_on_node_ws_8() {
    let head = "GET /ws HTTP/1.1
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: bucg829go8hGAr/Vdxjmeg==
Connection: Upgrade
Upgrade: websocket
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
Sec-WebSocket-Protocol: v12.stomp,v11.stomp,v10.stomp
Host: 127.0.0.1:9321
";
    assert_eq!(chosen(head), Some(Subprotocol::V12Stomp));
}

#[test]
fn spring_6_on_tomcat_10() {
    let head = "GET /ws HTTP/1.1
Sec-WebSocket-Key: va9NfjX735jzd10XfF4GlQ==
Connection: upgrade
Sec-WebSocket-Version: 13
Host: 127.0.0.1:9321
Upgrade: websocket
";
    assert_eq!(chosen(head), None);
}

#[test]
fn stomp_py_9() {
    let head = "GET /ws HTTP/1.1
Upgrade: websocket
Host: 127.0.0.1:9321
Origin: http://127.0.0.1:9321
Sec-WebSocket-Key: vl0iToFiFhQLfKK5Jlntsg==
Sec-WebSocket-Version: 13
Connection: Upgrade
";
    assert_eq!(chosen(head), None);
}

/// It announces a body of no bytes.
#[test]
fn java_17_http_client() {
    let head = "GET /ws HTTP/1.1
Connection: Upgrade
Content-Length: 0
Host: 127.0.0.1:9321
Upgrade: websocket
User-Agent: Java-http-client/17.0.15
Sec-WebSocket-Key: Rb+zznbbF1ZqDl3FZGZInA==
Sec-WebSocket-Protocol: v12.stomp, v11.stomp
Sec-WebSocket-Version: 13
";
    assert_eq!(chosen(head), Some(Subprotocol::V12Stomp));
}
