mod input;
mod spare;
mod unread;
mod whole;

use std::io::{self, Read, Write};

use bytes::Bytes;
use thiserror::Error;
use tungstenite::Message;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::WebSocketContext;

use super::CloseCode;

use input::{Input, Position};

/// Reads what a client sends over a WebSocket, without owning the socket.
///
/// The stream is lent for each [`read`](Self::read): its read side is the socket, and its write side
/// takes tungstenite's own answers, each a whole frame: Pongs, and the Close that answers a Close.
///
/// Between two messages a reader holds no memory: it reads to a buffer that the readers of a thread
/// share, and so do they the state of tungstenite.
#[derive(Debug)]
pub struct Reader {
    limit: usize,
    position: Position,
    /// In the middle of a message, or after the last one.
    context: Option<Box<WebSocketContext>>,
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// A text message, which is UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A Ping, which was answered, or a Pong: a sign of life.
    Control,
    /// A Close, which was answered. Nothing comes after it.
    Close,
}

/// Why nothing could be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The client closed the connection, with or without saying so before.
    #[error("the connection is closed")]
    Closed,
    /// The client broke RFC 6455.
    #[error("the client broke the WebSocket protocol: {0}")]
    Protocol(String),
    /// A text message, or the reason of a Close, was not UTF-8 (RFC 6455 §5.5.1, §8.1).
    #[error("text is not UTF-8; send a binary message for a body that is not")]
    Utf8,
    /// A message is larger than is allowed.
    #[error("a WebSocket message of {size} bytes or more came, at most {limit} are allowed")]
    TooBig {
        /// Its size in bytes, as far as it is known.
        size: usize,
        /// The most that is allowed.
        limit: usize,
    },
}

impl Reader {
    /// How much is read at once, in bytes: there is a buffer of this size for each thread.
    pub const BUFFER: usize = 16 * 1024;

    /// Reads messages of at most `limit` bytes. `already_read` is what came behind the Upgrade
    /// request.
    pub fn new(limit: usize, already_read: Vec<u8>) -> Self {
        Self { limit, position: Position::before(already_read), context: None }
    }

    /// Sets how large messages may be, in bytes, that have not begun to arrive.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        if let Some(context) = &mut self.context {
            spare::set_limit(context, limit);
        }
    }

    /// Reads the next message; `None` if the socket has no more at present.
    ///
    /// The stream is read only when all that it gave before was returned. Who stops before that, for
    /// the time being, says so by [`pause`](Self::pause).
    pub fn read(
        &mut self,
        stream: &mut (impl Read + Write),
    ) -> Result<Option<Incoming>, ReadError> {
        let read = self.read_next(stream);
        if !matches!(read, Ok(Some(Incoming::Text(_) | Incoming::Binary(_) | Incoming::Control))) {
            self.pause();
        }
        read
    }

    /// Says that nothing will be read for a while: what was read and not returned is moved to where
    /// it takes no more room than it has.
    pub fn pause(&mut self) {
        self.position.unread.shrink();
    }

    fn read_next(
        &mut self,
        stream: &mut (impl Read + Write),
    ) -> Result<Option<Incoming>, ReadError> {
        let mut input = Input::new(&mut self.position, stream);
        let mut context = match self.context.take() {
            Some(context) => context,
            // Mostly there is nothing, or a whole message, and then no context is needed.
            None => match input.fill_if_empty() {
                Ok(true) => match input.take_whole_message(self.limit) {
                    Some(message) => return message.map(Some),
                    None => spare::lend(self.limit),
                },
                Ok(false) => return Err(ReadError::Closed),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        let read = read_message(&mut context, &mut input);
        let goes_on = matches!(
            read,
            Ok(None | Some(Incoming::Text(_) | Incoming::Binary(_) | Incoming::Control))
        );
        if goes_on && self.position.is_between_messages() {
            spare::give_back(context, self.position.take_longest());
        } else {
            self.context = Some(context);
        }
        read
    }
}

fn read_message(
    context: &mut WebSocketContext,
    input: &mut (impl Read + Write),
) -> Result<Option<Incoming>, ReadError> {
    match context.read(input) {
        Ok(Message::Text(text)) => Ok(Some(Incoming::Text(text.into()))),
        Ok(Message::Binary(bytes)) => Ok(Some(Incoming::Binary(bytes))),
        Ok(Message::Ping(_)) => {
            // Answered now and not before the next read, which may be long after.
            flush(context, input)?;
            Ok(Some(Incoming::Control))
        }
        Ok(Message::Pong(_) | Message::Frame(_)) => Ok(Some(Incoming::Control)),
        Ok(Message::Close(_)) => {
            flush(context, input)?;
            Ok(Some(Incoming::Close))
        }
        Err(error) => match ReadError::from(error) {
            ReadError::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            error => Err(error),
        },
    }
}

fn flush(context: &mut WebSocketContext, input: &mut (impl Read + Write)) -> Result<(), ReadError> {
    match context.flush(input).map_err(ReadError::from) {
        // After the answer to a Close it says that the connection is closed.
        Ok(()) | Err(ReadError::Closed) => Ok(()),
        Err(error) => Err(error),
    }
}

impl ReadError {
    /// The code of the Close that answers it; `None` where there is nobody to answer.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Io(_) | Self::Closed => None,
            Self::Protocol(_) => Some(CloseCode::Protocol),
            Self::Utf8 => Some(CloseCode::InvalidPayload),
            Self::TooBig { .. } => Some(CloseCode::TooBig),
        }
    }
}

impl From<tungstenite::Error> for ReadError {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Io(error) => Self::Io(error),
            tungstenite::Error::ConnectionClosed
            | tungstenite::Error::AlreadyClosed
            | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Self::Closed
            }
            tungstenite::Error::Protocol(error) => Self::Protocol(error.to_string()),
            tungstenite::Error::Utf8(_) => Self::Utf8,
            tungstenite::Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                Self::TooBig { size, limit: max_size }
            }
            other => Self::Protocol(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
