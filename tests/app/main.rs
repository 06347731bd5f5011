//! An application behind a real socket: what a client gets for what it sends.
#![cfg(feature = "app")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking"
)]

mod authentication;
mod client;

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use stompbox::app::{App, Json, State};
use stompbox::server::{HandleError, Publisher};
use tokio::sync::Semaphore;

use client::Client;

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
