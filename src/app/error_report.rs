use std::error::Error;
use std::fmt;

/// What [`App::on_error`](super::App::on_error) is told of: an error that a client was answered with,
/// and on which occasion.
///
/// As text it is the occasion and what the client was told.
#[derive(Debug, Clone, Copy)]
pub struct ErrorReport<'a> {
    destination: Option<&'a str>,
    error: &'a (dyn Error + 'static),
}

impl<'a> ErrorReport<'a> {
    /// A message to `destination` was not handled.
    pub(super) fn message(destination: &'a str, error: &'a (dyn Error + 'static)) -> Self {
        Self { destination: Some(destination), error }
    }

    /// A client was not let in.
    pub(super) fn connect(error: &'a (dyn Error + 'static)) -> Self {
        Self { destination: None, error }
    }

    /// Where the message was sent that was not handled; `None` where the error is
    /// [`App::authenticate`](super::App::authenticate)'s.
    pub fn destination(&self) -> Option<&'a str> {
        self.destination
    }

    /// A [`HandleError`](crate::server::HandleError) or an
    /// [`AuthenticationError`](crate::server::AuthenticationError): its text is what the client was
    /// told.
    pub fn error(&self) -> &'a (dyn Error + 'static) {
        self.error
    }

    /// What went wrong inside, which no client is told; `None` where a client was refused by the
    /// rules and nothing went wrong.
    pub fn source(&self) -> Option<&'a (dyn Error + 'static)> {
        self.error.source()
    }
}

impl fmt::Display for ErrorReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.destination.unwrap_or("CONNECT"), self.error)
    }
}
