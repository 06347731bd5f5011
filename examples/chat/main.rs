//! Chat rooms in the browser: a page, STOMP over WebSocket beside it, and one typed handler.
//!
//! `cargo run --example chat --features axum`, then open the address that it prints.

mod options;
mod page;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use serde::{Deserialize, Serialize};
use stompbox::app::{App, Json};
use stompbox::broker::{self, BrokerOptions};
use stompbox::server::{self, HandleError, Publisher, Server};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use options::Options;

/// How long connections may take to close after Ctrl-C.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The most characters of a name, and of what somebody writes.
const WRITER: usize = 64;
const TEXT: usize = 4_000;

/// What browsers send to `/pub/chat` and get from `/topic/room/{chatRoomId}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChatMessage {
    chat_room_id: u64,
    #[serde(rename = "type")]
    kind: Kind,
    writer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Enter,
    Message,
    Leave,
}

async fn chat(Json(message): Json<ChatMessage>, publisher: Publisher) -> Result<(), HandleError> {
    check_length("writer", &message.writer, WRITER)?;
    check_length("text", message.text.as_deref().unwrap_or_default(), TEXT)?;
    let room = format!("/topic/room/{}", message.chat_room_id);
    publisher.publish_json(&room, &message).await?;
    Ok(())
}

fn check_length(field: &str, value: &str, limit: usize) -> Result<(), HandleError> {
    match value.chars().count() {
        length if length > limit => {
            let detail = format!("{field} has {length} characters, at most {limit} are allowed");
            Err(HandleError::new("message too long", detail))
        }
        _ => Ok(()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            eprintln!("chat: {mistake}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match serve(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let broker = broker::connect(&options.broker, BrokerOptions::default()).await?;
    let app = App::new().message("/pub/chat", chat);
    let server = Server::builder().shared_broker(broker).app(app).build();
    let router: Router = page::router().route("/ws", server::route(&server));

    let listener = TcpListener::bind(&options.listen).await?;
    let page = listener.local_addr()?;
    let tcp = match &options.tcp {
        Some(address) => Some(server.listen_tcp(address).await?),
        None => None,
    };

    // HTTP stops once `stop` is dropped.
    let (stop, stopped) = oneshot::channel::<()>();
    let http = axum::serve(listener, router).with_graceful_shutdown(async { drop(stopped.await) });
    let http = tokio::spawn(http.into_future());

    println!("chat: http://{page}/");
    if let Some(tcp) = tcp {
        println!("tcp: {tcp}");
    }

    tokio::signal::ctrl_c().await?;
    drop(stop);
    // An HTTP request that takes longer is cut when the program ends.
    let http = tokio::time::timeout(SHUTDOWN, http);
    let (_, _) = tokio::join!(server.shutdown(SHUTDOWN), http);
    Ok(())
}
