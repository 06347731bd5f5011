//! An application behind a real socket: what a client gets for what it sends.
#![cfg(feature = "app")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stompbox::app::{App, Json, State};
use stompbox::server::{
    AuthenticationError, ConnectRequest, HandleError, Principal, Publisher, Server,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// A test that waits longer for the server has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChatMessage {
    chat_room_id: u64,
    writer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

async fn chat(Json(message): Json<ChatMessage>, publisher: Publisher) -> Result<(), HandleError> {
    let room = format!("/topic/room/{}", message.chat_room_id);
    publisher.publish_json(&room, &message).await?;
    Ok(())
}

/// A client that speaks STOMP over TCP, frame by frame.
struct Client(TcpStream);

impl Client {
    async fn open<S: Send + Sync + 'static>(app: App<S>) -> (Self, Server) {
        let server = Server::builder().app(app).build();
        (Self::connect(&server).await, server)
    }

    /// Connects to the server on an address of its own.
    async fn connect(server: &Server) -> Self {
        let mut client = Self::dial(server).await;
        client.send("CONNECT\naccept-version:1.2\nhost:here\n\n").await;
        let connected = client.receive().await;
        assert!(connected.starts_with("CONNECTED\n"), "{connected}");
        client
    }

    async fn dial(server: &Server) -> Self {
        let address = server.listen_tcp("127.0.0.1:0").await.unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends a frame, and the NUL behind it.
    async fn send(&mut self, frame: &str) {
        self.0.write_all(format!("{frame}\0").as_bytes()).await.unwrap();
    }

    /// Receives a frame, without the NUL behind it.
    async fn receive(&mut self) -> String {
        let mut frame = Vec::new();
        let read = async {
            loop {
                match self.0.read_u8().await.unwrap() {
                    0 => break,
                    b'\n' if frame.is_empty() => {}
                    octet => frame.push(octet),
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("no frame came");
        String::from_utf8(frame).unwrap()
    }

    /// Subscribes; everything sent before has then been read by the server.
    async fn subscribe(&mut self, destination: &str) {
        self.send(&format!("SUBSCRIBE\nid:s\ndestination:{destination}\nreceipt:s\n\n")).await;
        assert_eq!(self.receive().await, "RECEIPT\nreceipt-id:s\n\n");
    }

    async fn receive_body(&mut self) -> String {
        let frame = self.receive().await;
        assert!(frame.starts_with("MESSAGE\n"), "{frame}");
        frame.split_once("\n\n").unwrap().1.to_owned()
    }

    /// Receives an ERROR, and nothing more before the end of the connection.
    async fn receive_error(&mut self) -> String {
        let error = self.receive().await;
        assert!(error.starts_with("ERROR\n"), "{error}");
        let mut rest = Vec::new();
        let end = self.0.read_to_end(&mut rest);
        tokio::time::timeout(PATIENCE, end).await.expect("the server did not close").unwrap();
        assert!(rest.iter().all(|octet| *octet == b'\n'), "{}", String::from_utf8_lossy(&rest));
        error
    }
}

#[tokio::test]
async fn json_is_handled_and_published_to_its_room() {
    let (mut ann, server) = Client::open(App::new().message("/pub/chat", chat)).await;
    let mut bob = Client::connect(&server).await;
    bob.subscribe("/topic/room/5").await;

    let body = r#"{"chatRoomId":5,"writer":"ann","text":"grüß dich"}"#;
    ann.send(&format!("SEND\ndestination:/pub/chat\n\n{body}")).await;
    let frame = bob.receive().await;
    assert!(frame.starts_with("MESSAGE\nsubscription:s\n"), "{frame}");
    assert!(frame.contains("\ndestination:/topic/room/5\n"), "{frame}");
    assert!(frame.contains("\ncontent-type:application/json\n"), "{frame}");
    assert!(frame.ends_with(&format!("\n\n{body}")), "{frame}");
}

#[tokio::test]
async fn what_may_be_missing_may_and_other_rooms_get_nothing() {
    let (mut ann, server) = Client::open(App::new().message("/pub/chat", chat)).await;
    let mut bob = Client::connect(&server).await;
    bob.subscribe("/topic/room/6").await;
    for room in [5, 6] {
        let body = format!(r#"{{"chatRoomId":{room}, "type": "MESSAGE", "writer": "ann"}}"#);
        ann.send(&format!("SEND\ndestination:/pub/chat\n\n{body}")).await;
    }
    assert_eq!(bob.receive_body().await, r#"{"chatRoomId":6,"writer":"ann"}"#);
}

#[tokio::test]
async fn a_body_that_does_not_parse_is_an_error_that_says_where() {
    let (mut ann, server) = Client::open(App::new().message("/pub/chat", chat)).await;
    let mut bob = Client::connect(&server).await;
    ann.send("SEND\ndestination:/pub/chat\nreceipt:r\n\n{\"chatRoomId\":\n 5,}").await;
    let error = ann.receive_error().await;
    assert!(error.contains("\nmessage:malformed body\n"), "{error}");
    assert!(error.contains("\nreceipt-id:r\n"), "{error}");
    assert!(error.contains("/pub/chat: the body is no valid JSON: line 2, column 4: "), "{error}");
    // Nobody else notices.
    bob.subscribe("/topic/room/5").await;
}

#[tokio::test]
async fn a_destination_that_nobody_handles_is_an_error_that_helps() {
    let (mut ann, _server) = Client::open(App::new().message("/pub/chat", chat)).await;
    ann.send("SEND\ndestination:/pub/chta\n\n{}").await;
    let error = ann.receive_error().await;
    assert!(error.contains("\nmessage:unknown destination\n"), "{error}");
    let detail = "nothing handles the destination /pub/chta; this application handles /pub/chat";
    assert!(error.ends_with(detail), "{error}");
}

#[tokio::test]
async fn a_prefix_that_is_nobodys_is_an_error() {
    let (mut ann, _server) = Client::open(App::new().message("/pub/chat", chat)).await;
    ann.send("SEND\ndestination:/elsewhere/chat\n\n{}").await;
    let error = ann.receive_error().await;
    assert!(error.contains("nothing handles the destination /elsewhere/chat"), "{error}");
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_own_client_the_connection() {
    async fn fail(_text: String) {
        panic!("a mistake in the handler");
    }
    let app = App::new().message("/pub/fail", fail).message("/pub/chat", chat);
    let (mut ann, server) = Client::open(app).await;
    let mut bob = Client::connect(&server).await;
    ann.send("SEND\ndestination:/pub/fail\n\n").await;
    let error = ann.receive_error().await;
    assert!(error.contains("\nmessage:internal error\n"), "{error}");
    assert!(!error.contains("mistake"), "{error}");
    bob.send("SEND\ndestination:/pub/chat\nreceipt:r\n\n{\"chatRoomId\":5,\"writer\":\"b\"}").await;
    assert_eq!(bob.receive().await, "RECEIPT\nreceipt-id:r\n\n");
}

/// The body of a message that the handler keeps waiting at the gate.
const SLOW: &str = "slow";

#[derive(Clone)]
struct Gate {
    started: Arc<Mutex<Vec<String>>>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { started: Arc::default(), open: Arc::new(Semaphore::new(0)) }
    }

    fn app(&self) -> App<Self> {
        App::with_state(self.clone()).message("/pub/work", work)
    }

    fn started(&self) -> Vec<String> {
        self.started.lock().unwrap().clone()
    }
}

async fn work(
    State(gate): State<Gate>,
    body: String,
    publisher: Publisher,
) -> Result<(), HandleError> {
    gate.started.lock().unwrap().push(body.clone());
    if body == SLOW {
        drop(gate.open.acquire().await.map_err(HandleError::internal)?);
    }
    publisher.publish("/topic/done", body).await?;
    Ok(())
}

#[tokio::test]
async fn messages_of_one_connection_are_handled_in_order_and_others_do_not_wait() {
    let gate = Gate::new();
    let (mut ann, server) = Client::open(gate.app()).await;
    let mut bob = Client::connect(&server).await;
    bob.subscribe("/topic/done").await;
    for body in [SLOW, "second", "third"] {
        ann.send(&format!("SEND\ndestination:/pub/work\n\n{body}")).await;
    }
    // The server has read all three when it confirms this.
    ann.subscribe("/topic/other").await;
    assert_eq!(gate.started(), [SLOW]);

    bob.send("SEND\ndestination:/pub/work\n\nbob's").await;
    assert_eq!(bob.receive_body().await, "bob's");

    gate.open.add_permits(1);
    for body in [SLOW, "second", "third"] {
        assert_eq!(bob.receive_body().await, body);
    }
}

#[tokio::test]
async fn a_receipt_comes_when_the_handler_is_done() {
    let gate = Gate::new();
    let (mut ann, _server) = Client::open(gate.app()).await;
    ann.send(&format!("SEND\ndestination:/pub/work\nreceipt:r\n\n{SLOW}")).await;
    ann.subscribe("/topic/other").await;
    assert_eq!(gate.started(), [SLOW]);
    gate.open.add_permits(1);
    assert_eq!(ann.receive().await, "RECEIPT\nreceipt-id:r\n\n");
}

#[tokio::test]
async fn disconnect_is_answered_when_all_messages_are_handled() {
    let gate = Gate::new();
    let (mut ann, server) = Client::open(gate.app()).await;
    let mut bob = Client::connect(&server).await;
    bob.subscribe("/topic/done").await;
    ann.send(&format!("SEND\ndestination:/pub/work\n\n{SLOW}")).await;
    ann.send("SEND\ndestination:/pub/work\n\nlast").await;
    ann.send("DISCONNECT\nreceipt:bye\n\n").await;
    gate.open.add_permits(1);
    assert_eq!(ann.receive().await, "RECEIPT\nreceipt-id:bye\n\n");
    assert_eq!(bob.receive_body().await, SLOW);
    assert_eq!(bob.receive_body().await, "last");
}

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
async fn under_a_prefix_of_the_applications_only_the_program_publishes() {
    let (mut ann, server) = Client::open(App::new().prefix("/topic").message("/pub/x", chat)).await;
    let mut bob = Client::connect(&server).await;
    bob.subscribe("/topic/room/5").await;
    ann.send("SEND\ndestination:/topic/room/5\n\nforged").await;
    let error = ann.receive_error().await;
    assert!(error.contains("\nmessage:unknown destination\n"), "{error}");
    server.publisher().publish("/topic/room/5", "real").await.unwrap();
    assert_eq!(bob.receive_body().await, "real");
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
