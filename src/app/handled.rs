use crate::server::HandleError;

/// What a handler may return: nothing, or a `Result` whose error becomes a [`HandleError`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "it returns `()`, or `Result<(), E>` where `HandleError: From<E>`"
)]
pub trait Handled {
    /// Whether the message was handled.
    fn into_result(self) -> Result<(), HandleError>;
}

impl Handled for () {
    fn into_result(self) -> Result<(), HandleError> {
        Ok(())
    }
}

impl<E: Into<HandleError>> Handled for Result<(), E> {
    fn into_result(self) -> Result<(), HandleError> {
        self.map_err(Into::into)
    }
}
