//! Who is let in, and what a handler knows of whom.

use std::sync::{Arc, Mutex};

use stompbox::app::App;
use stompbox::server::{
    AuthenticationError, ConnectRequest, HandleError, Principal, Publisher, Server,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, PATIENCE};

/// Lets in who knows the passcode, or comes with a cookie of the website.
async fn authenticate(request: ConnectRequest) -> Result<Principal, AuthenticationError> {
    // Deciding may take its time.
    tokio::task::yield_now().await;
    if let Some(name) = request.cookie("user") {
        return Ok(Principal::new(name));
    }
    match (request.login(), request.passcode().as_deref()) {
        (Some(login), Some("open sesame")) => Ok(Principal::new(login)),
        (None, _) => Err(AuthenticationError::new("a login is needed")),
        _ => Err(AuthenticationError::refused()),
    }
}

async fn greet(who: Principal, publisher: Publisher) -> Result<(), HandleError> {
    Ok(publisher.publish("/topic/greetings", who.name().unwrap_or("nobody")).await?)
}

fn guarded() -> Server {
    let app = App::new().authenticate(authenticate).message("/pub/greet", greet);
    Server::builder().app(app).build()
}

#[tokio::test]
async fn a_passcode_lets_in_and_the_handler_knows_who_it_is() {
    let mut ann = Client::dial(&guarded()).await;
    ann.send("CONNECT\naccept-version:1.2\nhost:here\nlogin:ann\npasscode:open sesame\n\n").await;
    let connected = ann.receive().await;
    assert!(connected.contains("\nuser-name:ann\n"), "{connected}");
    ann.subscribe("/topic/greetings").await;
    ann.send("SEND\ndestination:/pub/greet\n\n").await;
    assert_eq!(ann.receive_body().await, "ann");
}

#[tokio::test]
async fn who_is_refused_is_told_so_and_not_served() {
    let refused = [
        ("", "a login is needed"),
        ("login:ann\n", "the credentials were not accepted"),
        ("login:ann\npasscode:guess\n", "the credentials were not accepted"),
    ];
    for (headers, detail) in refused {
        let mut client = Client::dial(&guarded()).await;
        let connect = format!("CONNECT\naccept-version:1.2\nhost:here\n{headers}\n\0");
        client.send(&format!("{connect}SEND\ndestination:/pub/greet\nreceipt:r\n\n")).await;
        let error = client.receive_error().await;
        assert!(error.contains("\nmessage:access refused\n"), "{error}");
        assert!(error.ends_with(&format!("\n\n{detail}")), "{error}");
    }
}

#[tokio::test]
async fn what_kept_credentials_from_being_checked_is_for_the_program_only() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let noting = Arc::clone(&told);
    let app = App::new()
        .on_error(move |report| {
            assert_eq!(report.destination(), None);
            let source = report.source().map(ToString::to_string);
            noting.lock().unwrap().push((report.to_string(), source));
        })
        .authenticate(async |request: ConnectRequest| match request.login() {
            None => Err(AuthenticationError::new("a login is needed")),
            Some(_) => Err(AuthenticationError::internal("the table `users` does not exist")),
        });
    let server = Server::builder().app(app).build();
    for login in ["", "login:ann\n"] {
        let mut client = Client::dial(&server).await;
        client.send(&format!("CONNECT\naccept-version:1.2\nhost:here\n{login}\n")).await;
        assert!(!client.receive_error().await.contains("users"));
    }
    let internal = "CONNECT: the credentials could not be checked: internal error";
    let source = "the table `users` does not exist";
    let expected = [
        ("CONNECT: a login is needed".to_owned(), None),
        (internal.to_owned(), Some(source.to_owned())),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_cookie_of_the_upgrade_request_lets_in() {
    let server = guarded();
    let address = server.listen_websocket("127.0.0.1:0", "/ws").await.unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: v12.stomp\r\nCookie: lang=de; user=carol\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let response = read_head(&mut socket).await;
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");

    socket.write_all(&masked_text("CONNECT\naccept-version:1.2\nhost:here\n\n\0")).await.unwrap();
    let connected = read_text(&mut socket).await;
    assert!(connected.starts_with("CONNECTED\n"), "{connected}");
    assert!(connected.contains("\nuser-name:carol\n"), "{connected}");
}

async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("no response came");
    String::from_utf8(head).unwrap()
}

/// A WebSocket message of up to 125 octets as a client sends it (RFC 6455 §5.2); a mask of zeros is
/// one too.
fn masked_text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// A text message from the server, whole and unmasked.
async fn read_text(socket: &mut TcpStream) -> String {
    let read = async {
        assert_eq!(socket.read_u8().await.unwrap(), 0x81, "no text came");
        let length = match socket.read_u8().await.unwrap() {
            126 => socket.read_u16().await.unwrap(),
            length => length.into(),
        };
        let mut text = vec![0; length.into()];
        socket.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    };
    tokio::time::timeout(PATIENCE, read).await.expect("no message came")
}
