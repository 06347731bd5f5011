//! Dispatch and arguments, without a connection.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde::Deserialize;

use crate::broker::{BrokerError, Destination};
use crate::frame::{Command, Frame};
use crate::server::{Handle, HandleError, Principal, PublishError, Publisher, SendRequest, Server};

use super::{App, FromMessage, Json, State};

/// What handlers have noted down.
type Notes = Arc<Mutex<Vec<String>>>;

#[derive(Deserialize)]
struct Entry {
    room: u64,
    writer: String,
    text: Option<String>,
}

fn send(destination: &str, body: impl AsRef<[u8]>) -> SendRequest {
    let frame = Frame::new(Command::Send)
        .with_header("destination", destination)
        .with_header("language", "en")
        .with_body(body);
    SendRequest {
        destination: destination.into(),
        frame,
        principal: Principal::new("ann"),
        publisher: Server::builder().build().publisher(),
    }
}

async fn handle<S: Send + Sync + 'static>(
    app: &App<S>,
    destination: &str,
    body: impl AsRef<[u8]>,
) -> Result<(), HandleError> {
    assert!(app.handles(destination), "{destination}");
    app.handle(send(destination, body)).await
}

fn noting() -> (Notes, App<Notes>) {
    let notes = Notes::default();
    (Arc::clone(&notes), App::with_state(notes))
}

fn noted(notes: &Notes) -> Vec<String> {
    std::mem::take(&mut notes.lock().unwrap())
}

async fn note_entry(State(notes): State<Notes>, Json(entry): Json<Entry>) {
    let Entry { room, writer, text } = entry;
    notes.lock().unwrap().push(format!("{room} {writer} {text:?}"));
}

#[tokio::test]
async fn a_handler_gets_json_and_what_may_be_missing_may() {
    let (notes, app) = noting();
    let app = app.message("/pub/chat", note_entry);
    handle(&app, "/pub/chat", r#"{"room":5,"writer":"ann","text":"hi"}"#).await.unwrap();
    handle(&app, "/pub/chat", r#"{"room":6,"writer":"bob","more":[]}"#).await.unwrap();
    assert_eq!(noted(&notes), ["5 ann Some(\"hi\")", "6 bob None"]);
}

#[tokio::test]
async fn a_body_that_is_not_the_json_expected_is_refused_with_its_place() {
    let (notes, app) = noting();
    let app = app.message("/pub/chat", note_entry);
    for (body, expected) in [
        (
            "{\"room\":5,\n \"writer\" \"ann\"}",
            "/pub/chat: the body is no valid JSON: line 2, column 11: expected `:`",
        ),
        ("", "/pub/chat: the body is no valid JSON: line 1, column 0: EOF while parsing a value"),
        (
            r#"{"room":"five","writer":"ann"}"#,
            "/pub/chat: the body is not the JSON that this destination takes: line 1, column 14: \
             invalid type: string \"five\", expected u64",
        ),
        (
            r#"{"room":5}"#,
            "/pub/chat: the body is not the JSON that this destination takes: line 1, column 10: \
             missing field `writer`",
        ),
    ] {
        let error = handle(&app, "/pub/chat", body).await.unwrap_err();
        assert_eq!((error.summary(), error.detail()), ("malformed body", expected));
    }
    assert!(noted(&notes).is_empty(), "a handler was called");
}

#[tokio::test]
async fn a_refusal_quotes_a_bounded_part_of_the_body() {
    let (_, app) = noting();
    let app = app.message("/pub/chat", note_entry);
    let body = format!(r#"{{"room":"{}"}}"#, "ä".repeat(100_000));
    let error = handle(&app, "/pub/chat", body).await.unwrap_err();
    assert!(error.detail().ends_with("ää…"), "{error}");
    assert!(error.detail().chars().count() < 400, "{error}");
}

#[tokio::test]
async fn every_argument_is_made_of_the_message() {
    async fn all(
        State(notes): State<Notes>,
        text: String,
        bytes: Bytes,
        frame: Frame,
        destination: Destination,
        principal: Principal,
        publisher: Publisher,
    ) -> Result<(), PublishError> {
        assert_eq!(bytes, text);
        let (language, name) = (frame.header("language"), principal.name());
        let note = format!("{destination} {language:?} {name:?} {text}");
        notes.lock().unwrap().push(note);
        publisher.publish("/topic/all", text).await
    }
    let (notes, app) = noting();
    let app = app.message("/pub/all", all);
    handle(&app, "/pub/all", "grüß dich").await.unwrap();
    assert_eq!(noted(&notes), ["/pub/all Some(\"en\") Some(\"ann\") grüß dich"]);
}

#[tokio::test]
async fn a_closure_may_use_what_it_captures_for_every_message() {
    let notes = Notes::default();
    let capturing = Arc::clone(&notes);
    let app = App::new().message("/pub/say", async move |text: String| {
        tokio::task::yield_now().await;
        capturing.lock().unwrap().push(text);
    });
    handle(&app, "/pub/say", "one").await.unwrap();
    handle(&app, "/pub/say", "two").await.unwrap();
    assert_eq!(noted(&notes), ["one", "two"]);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused_with_its_place() {
    async fn say(_text: String) {
        panic!("this was called");
    }
    let app = App::new().message("/pub/say", say);
    let error = handle(&app, "/pub/say", b"abc\xFF").await.unwrap_err();
    assert_eq!(error.detail(), "/pub/say takes text, and the body is no UTF-8 at byte 3");
}

#[tokio::test]
async fn an_argument_of_the_programs_own_may_refuse() {
    struct Administrator;
    impl<S> FromMessage<S> for Administrator {
        fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
            match request.principal.name() {
                Some("root") => Ok(Self),
                _ => Err(HandleError::new("not allowed", "only root may do this")),
            }
        }
    }
    async fn stop(_: Administrator) {
        panic!("this was called");
    }
    let app = App::new().message("/pub/stop", stop);
    let error = handle(&app, "/pub/stop", "").await.unwrap_err();
    assert_eq!(error.to_string(), "not allowed: only root may do this");
}

#[tokio::test]
async fn what_nobody_handles_is_refused_with_what_is_handled() {
    let app = App::new()
        .prefix("/calls")
        .message("/pub/chat", async || {})
        .message("/elsewhere", async || {})
        .message("/app/echo", async || {});
    for destination in ["/pub/unknown", "/app", "/pub/chat/more", "/calls/x", "/pub/chat\u{e4}"] {
        let error = handle(&app, destination, "").await.unwrap_err();
        assert_eq!(error.summary(), "unknown destination");
        assert_eq!(
            error.detail(),
            format!(
                "nothing handles the destination {destination}; \
                 this application handles /app/echo, /elsewhere, /pub/chat"
            )
        );
    }
    let error = handle(&app, "/pub//chat", "").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid destination: the destination \"/pub//chat\" has an empty segment"
    );
    for brokers in ["/topic/pub", "/public", "/elsewhere/x", "pub/chat", ""] {
        assert!(!app.handles(brokers), "{brokers}");
    }
    handle(&app, "/elsewhere", "").await.unwrap();
}

#[tokio::test]
async fn a_handlers_error_keeps_to_itself_what_went_wrong_inside() {
    async fn publish_nowhere(publisher: Publisher) -> Result<(), HandleError> {
        Ok(publisher.publish("/private/ledger", "x").await?)
    }
    let told = Notes::default();
    let noting = Arc::clone(&told);
    let app = App::new().message("/pub/note", publish_nowhere).on_error(move |report| {
        let destination = report.destination().unwrap();
        noting.lock().unwrap().push(format!("{destination}: {}", report.source().unwrap()));
    });
    let error = handle(&app, "/pub/note", "").await.unwrap_err();
    assert_eq!(error.to_string(), "internal error: the message could not be handled");
    let nowhere = BrokerError::UnknownDestination {
        destination: "/private/ledger".to_owned(),
        known: "/topic, /queue, /temp-queue".to_owned(),
    };
    assert_eq!(noted(&told), [format!("/pub/note: {nowhere}")]);
}

#[test]
#[should_panic(expected = "the destination \"pub/chat\" does not begin with /")]
fn a_handler_needs_a_destination() {
    let _ = App::new().message("pub/chat", async || {});
}

#[test]
#[should_panic(expected = "/pub/chat has a handler already")]
fn a_destination_has_one_handler() {
    let _ = App::new().message("/pub/chat", async || {}).message("/pub/chat", async || {});
}

#[test]
#[should_panic(expected = "/pub/* is a pattern, which no message is ever sent to")]
fn a_pattern_has_no_handler() {
    let _ = App::new().message("/pub/*", async || {});
}
