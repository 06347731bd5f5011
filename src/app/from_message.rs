use bytes::Bytes;

use crate::broker::Destination;
use crate::frame::Frame;
use crate::server::{HandleError, Principal, Publisher, SendRequest};

/// An argument of a handler, made of the message that it is called for and of the application's
/// state `S`.
///
/// | argument | what it is |
/// | --- | --- |
/// | [`Json<T>`](super::Json) | the body, parsed by serde |
/// | `String` | the body, which must be UTF-8 |
/// | [`Bytes`] | the body as it came |
/// | [`Frame`] | the SEND frame, for its headers |
/// | [`Destination`] | where the message was sent |
/// | [`Principal`] | who sent it |
/// | [`Publisher`] | what publishes to the server's broker |
/// | [`State<S>`](super::State) | what all handlers share |
///
/// `String`, [`Bytes`] and [`Frame`] are right-sized copies, which a handler may keep for as long as
/// it likes without holding the buffer that they were read into.
///
/// ```
/// use stompbox::app::{App, FromMessage};
/// use stompbox::server::{HandleError, SendRequest};
///
/// struct Language(String);
///
/// impl<S> FromMessage<S> for Language {
///     fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
///         let language = request.headers().get("language");
///         let missing = || HandleError::new("missing header", "a language header is needed");
///         Ok(Self(language.ok_or_else(missing)?.into_owned()))
///     }
/// }
///
/// async fn translate(Language(language): Language, text: String) {
///     println!("into {language}: {text}");
/// }
///
/// let app = App::new().message("/pub/translate", translate);
/// # let _ = app;
/// ```
///
/// One that refuses also guards what only some may do, by what
/// [`App::authenticate`](super::App::authenticate) has attached to the [`Principal`]:
///
/// ```
/// use stompbox::app::{App, FromMessage};
/// use stompbox::server::{HandleError, SendRequest};
///
/// #[derive(Clone)]
/// struct User {
///     id: u64,
///     administrator: bool,
/// }
///
/// struct Administrator(User);
///
/// impl<S> FromMessage<S> for Administrator {
///     fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
///         match request.principal.get::<User>() {
///             Some(user) if user.administrator => Ok(Self(user.clone())),
///             _ => Err(HandleError::new("not allowed", "only administrators may do this")),
///         }
///     }
/// }
///
/// async fn close_room(Administrator(user): Administrator, room: String) {
///     println!("{} closes {room}", user.id);
/// }
///
/// let app = App::new().message("/pub/close", close_room);
/// # let _ = app;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no argument of a handler in an application whose state is `{S}`",
    note = "see the table of arguments at `stompbox::app::FromMessage`",
    note = "`Json<T>` needs `T: serde::Deserialize`, and `State<T>` an `App::with_state` of a `T`"
)]
pub trait FromMessage<S>: Sized {
    /// Makes it of a message. The error is what the sender is told.
    fn from_message(request: &SendRequest, state: &S) -> Result<Self, HandleError>;
}

impl<S> FromMessage<S> for Publisher {
    fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
        Ok(request.publisher.clone())
    }
}

impl<S> FromMessage<S> for Principal {
    fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
        Ok(request.principal.clone())
    }
}

impl<S> FromMessage<S> for Destination {
    fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
        Self::new(&request.destination)
            .map_err(|error| HandleError::new("invalid destination", error.to_string()))
    }
}

impl<S> FromMessage<S> for Frame {
    fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
        Ok(request.frame.clone().compact())
    }
}

impl<S> FromMessage<S> for Bytes {
    fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
        Ok(Self::copy_from_slice(request.body()))
    }
}

impl<S> FromMessage<S> for String {
    fn from_message(request: &SendRequest, _state: &S) -> Result<Self, HandleError> {
        let text = std::str::from_utf8(request.body()).map_err(|error| {
            let (destination, at) = (&request.destination, error.valid_up_to());
            let detail = format!("{destination} takes text, and the body is no UTF-8 at byte {at}");
            HandleError::new("malformed body", detail)
        })?;
        Ok(text.to_owned())
    }
}
