use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::server::{HandleError, SendRequest};

use super::FromMessage;

/// How much of what serde says about a body is passed on, in characters: it may quote the body.
const REASON: usize = 200;

/// The body of a message, read as JSON, as an argument of a handler.
///
/// Whatever the `content-type`: many clients set none. A body that does not parse, or is no `T`, is
/// answered by an ERROR that says at which line and column and what is wrong there; the handler is
/// not called.
///
/// ```
/// use serde::Deserialize;
/// use stompbox::app::{App, Json};
///
/// #[derive(Deserialize)]
/// struct Move { from: String, to: String }
///
/// async fn play(Json(Move { from, to }): Json<Move>) {
///     println!("{from}-{to}");
/// }
///
/// let app = App::new().message("/pub/move", play);
/// # let _ = app;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<S, T: DeserializeOwned> FromMessage<S> for Json<T> {
    fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
        match serde_json::from_slice(request.body()) {
            Ok(value) => Ok(Self(value)),
            Err(error) => Err(malformed(&request.destination, &error)),
        }
    }
}

fn malformed(destination: &str, error: &serde_json::Error) -> HandleError {
    let what = match error.classify() {
        Category::Data => "the body is not the JSON that this destination takes",
        Category::Syntax | Category::Eof | Category::Io => "the body is no valid JSON",
    };
    let (line, column, reason) = (error.line(), error.column(), reason(error));
    let detail = format!("{destination}: {what}: line {line}, column {column}: {reason}");
    HandleError::new("malformed body", detail)
}

/// What is wrong, without where, which stands in front of it already.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = text.strip_suffix(&place).unwrap_or(&text);
    match reason.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
        None => reason.to_owned(),
    }
}
